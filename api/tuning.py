"""Tunes the layers of a package: searches over their schedules, with measurements that are kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tilewright.api.accel_task import ACCEL, TunableLayer, key_of, tunable_layers
from tilewright.api.device import machine_of
from tilewright.api.error import PackageError
from tilewright.api.package import Package
from tilewright.api.records import TunedPoints
from tilewright.compiler.ir.function import Value
from tilewright.compiler.network.split import Part
from tilewright.compiler.space.error import SpaceError
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.isa.model import CONSTANTS, INPUTS
from tilewright.runtime.device import Environment
from tilewright.tune.allocate import Progress, turns
from tilewright.tune.harness import Budget, Trial, steps
from tilewright.tune.measure import Job, Measure
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.record import Key, Record
from tilewright.tune.search.search import Search
from tilewright.tune.session import Session

BATCH, MINIMUM = 8, 8
"""Points of a turn, and of each layer before any is preferred: its own model finds most in the first few."""
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """One point that was measured.

    Members:
        layer: of which structure.
        trial: the point, its outcome, the best so far.
        done: points measured so far, of all layers.
        cycles, default_cycles: of all layers, each alone, by the best points so far and by the defaults; None
            while a default is unknown.
    """

    layer: TunableLayer
    trial: Trial
    done: int
    cycles: float | None
    default_cycles: float | None


@dataclass(frozen=True, kw_only=True)
class TunedLayer:
    """What the search for a structure came to.

    Members:
        layer: which.
        default_cycles, cycles: of one of its layers, by the default and by the best point; None if it
            could not be measured.
        point: the best.
        trials: how many points were measured, now and before.
        failures: of these without a cost: how many of each kind.
    """

    layer: TunableLayer
    default_cycles: float | None
    cycles: float | None
    point: Point | None
    trials: int
    failures: dict[Kind, int]


@dataclass(frozen=True, kw_only=True)
class TunedPackage:
    """A package with the schedules that were found.

    Members:
        package: compiled anew; a program that was not faster as a whole keeps its default schedules.
        default_cycles, cycles: of all programs, as they run.
    """

    package: Package
    default_cycles: int
    cycles: int


@dataclass
class Tuning:
    """A run of tuning.

    Members:
        package: with programs.
        session: what was measured before, and where outcomes are kept.
        measure: measures.
        latency_cycles: of the memory.
        device: that runs programs: "sim" or "rtl".
        seed: of all chance.
        only: names of layers that are tuned; all if there is none.
        layers: its distinct layers on the accelerator, the longest first.

    Raises:
        PackageError: if nothing of it runs on the accelerator, or it has no layer of a name.
    """

    package: Package
    session: Session
    measure: Measure
    latency_cycles: int = 16
    device: str = "sim"
    seed: int = 0
    only: Sequence[str] = ()
    layers: list[TunableLayer] = field(init=False)
    _searches: list[Search] = field(init=False)

    def __post_init__(self) -> None:
        found = tunable_layers(self.package, self.latency_cycles, self.device)
        self.layers = [layer for layer in found if not self.only or layer.has_name(self.only)]
        missing = [name for name in self.only if not any(layer.has_name([name]) for layer in found)]
        if not found or missing:
            raise PackageError(_nothing(found, missing))
        self._searches = [self._search(layer, number) for number, layer in enumerate(self.layers)]

    def key(self, layer: TunableLayer) -> Key:
        """Under which costs of a layer are kept."""
        key = key_of(layer.runner.lowered.tunable, self.package.config, self.latency_cycles)
        return key if self.device == "sim" else replace(key, target=f"{ACCEL}-{self.device}")

    def _search(self, layer: TunableLayer, number: int) -> Search:
        """The search for a layer, which knows what was measured before."""
        # It needs the packages of an extra: not before it is asked for.
        from tilewright.tune.search.guided import GuidedSearch

        search = GuidedSearch(layer.task, self.seed + number)
        points, outcomes = [], list[Outcome]()
        for point, outcome in self.session.records.outcomes(self.key(layer)).items():
            if outcome.is_final and _is_in(layer, point):
                points.append(point)
                outcomes.append(outcome)
        if points:
            search.learn(layer.task.space.positions_of(points), outcomes)
        return search

    # --- running -------------------------------------------------------------------------------------------

    def steps(self, budget: Budget) -> Iterator[Step]:
        """Measure, and say each point; what was measured before counts as a part of the trials.

        Ended early, all that was said is kept.
        """
        known = sum(len(search.measured) for search in self._searches)
        if budget.trials is not None:
            if budget.trials <= known:
                return
            budget = replace(budget, trials=budget.trials - known)
        order = turns(
            [layer.task.weight for layer in self.layers], budget, batch=BATCH, minimum=MINIMUM, seed=self.seed
        )
        done, progress = known, None
        while True:
            try:
                turn = next(order) if progress is None else order.send(progress)
            except StopIteration:
                return
            search, trial = self._searches[turn.task], None
            for step in self._turn(turn.task, turn.count):
                trial, done = step, done + 1
                yield Step(layer=self.layers[turn.task], trial=step, done=done, **self._totals())
            progress = Progress(
                best_cost=float(np.min(search.costs, initial=np.inf)),
                measured=0 if trial is None else trial.number,
                seconds=0.0 if trial is None else trial.seconds,
                is_over=trial is None,
            )

    def _turn(self, number: int, count: int) -> Iterator[Trial]:
        layer, key = self.layers[number], self.key(self.layers[number])

        def measured(points: Sequence[Point]) -> Iterable[tuple[Point, Outcome]]:
            jobs = [
                (key, Job(runner=layer.runner, point=point, timeout_seconds=TIMEOUT_SECONDS))
                for point in points
            ]
            return ((job.point, outcome) for _, job, outcome in self.session(self.measure, jobs))

        for step in steps(self._searches[number], measured, Budget(trials=count), batch=count):
            if isinstance(step, Trial):
                yield step

    def _totals(self) -> dict[str, float | None]:
        """`cycles` and `default_cycles` of a step."""
        found = self.results()
        pairs = [(each.cycles, each.default_cycles, len(each.layer.layers)) for each in found]
        if any(default is None for _, default, _ in pairs):
            return {"cycles": None, "default_cycles": None}
        best = sum(count * (cycles or 0) for cycles, _, count in pairs)
        return {"cycles": best, "default_cycles": sum(count * (default or 0) for _, default, count in pairs)}

    # --- results -------------------------------------------------------------------------------------------

    def results(self) -> list[TunedLayer]:
        """What is known of each layer, by all that was measured."""
        return [self._result(layer) for layer in self.layers]

    def _result(self, layer: TunableLayer) -> TunedLayer:
        records, key = self.session.records, self.key(layer)
        default = None if layer.task.default is None else records.known(key, layer.task.default)
        best, outcomes = records.best(key), records.outcomes(key).values()
        if best is not None and default is not None and default.cost == best.outcome.cost:
            best = Record(key=key, point=layer.task.default or best.point, outcome=default)
        kinds = [outcome.kind for outcome in outcomes if outcome.kind is not Kind.OK]
        return TunedLayer(
            layer=layer,
            default_cycles=None if default is None else default.cost,
            cycles=None if best is None else best.outcome.cost,
            point=None if best is None else best.point,
            trials=len(outcomes),
            failures={kind: kinds.count(kind) for kind in Kind if kind in kinds},
        )

    def tuned(self) -> TunedPackage:
        """The package by the best points, program by program where all of it is faster."""
        points = TunedPoints(
            records=self.session.records, config=self.package.config, latency_cycles=self.latency_cycles
        )
        parts, before, after = dict[Value, Part](), 0, 0
        for value, part in self.package.parts.items():
            model = compile_function(part.integers, self.package.config, choose=points)
            tuned = replace(part, model=model)
            cycles, tuned_cycles = self._cycles(part), self._cycles(tuned)
            parts[value] = tuned if tuned_cycles < cycles else part
            before, after = before + cycles, after + min(cycles, tuned_cycles)
        return TunedPackage(package=replace(self.package, parts=parts), default_cycles=before, cycles=after)

    def _cycles(self, part: Part) -> int:
        """Of a program, whose time no data changes."""
        device = machine_of(self.device, self.package.config)
        executable = part.model.executable
        given = {each.base: bytes(each.size_bytes) for each in executable.regions if each.base == INPUTS}
        if part.model.constants:
            given[CONSTANTS] = part.model.constants
        environment = Environment(latency=self.latency_cycles)
        return device.run(executable, given, environment, check=False).cycles


def _is_in(layer: TunableLayer, point: Point) -> bool:
    """Whether a point is one of the layer's space: another version may have had others."""
    try:
        return layer.task.space.refuse(point) is None
    except SpaceError:
        return False


def _nothing(found: Sequence[TunableLayer], missing: Sequence[str]) -> str:
    if not found:
        return "a network must have layers on the accelerator to be tuned: `tilewright explain` says why not"
    known = ", ".join(sorted({part.layer for layer in found for _, part in layer.layers}))
    return f"layers to tune must be of {known}, not {', '.join(missing)}"
