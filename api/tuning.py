"""Tunes the layers of a package: searches over their schedules, with measurements that are kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tilewright.api.error import PackageError
from tilewright.api.tunable_layer import TunableLayer
from tilewright.compiler.space.error import SpaceError
from tilewright.compiler.space.point import Point
from tilewright.tune.allocate import Progress, turns
from tilewright.tune.harness import Budget, Trial, steps
from tilewright.tune.measure import Job, Measure
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.record import Record
from tilewright.tune.search.candidate import Candidates
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
        cost, default_cost: of all layers, each alone, by the best points so far and by the defaults; None
            while a default is unknown.
    """

    layer: TunableLayer
    trial: Trial
    done: int
    cost: float | None
    default_cost: float | None


@dataclass(frozen=True, kw_only=True)
class TunedLayer:
    """What the search for a structure came to.

    Members:
        layer: which.
        default_cost, cost: of one of its layers, by the default and by the best point; None if it
            could not be measured.
        point: the best.
        trials: how many points were measured, now and before.
        failures: of these without a cost: how many of each kind.
    """

    layer: TunableLayer
    default_cost: float | None
    cost: float | None
    point: Point | None
    trials: int
    failures: dict[Kind, int]


@dataclass
class Tuning:
    """A run of tuning.

    Members:
        layers: what is tuned.
        session: what was measured before, and where outcomes are kept.
        measure: measures.
        seed: of all chance.

    """

    layers: Sequence[TunableLayer]
    session: Session
    measure: Measure
    seed: int = 0
    _searches: list[Search] = field(init=False)

    def __post_init__(self) -> None:
        self._searches = [self._search(layer, number) for number, layer in enumerate(self.layers)]

    def _search(self, layer: TunableLayer, number: int) -> Search:
        """The search for a layer, which knows what was measured before."""
        # It needs the packages of an extra: not before it is asked for.
        from tilewright.tune.search.guided import GuidedSearch

        search = GuidedSearch(layer.task, self.seed + number)
        known = {
            point: outcome
            for point, outcome in self.session.records.outcomes(layer.key).items()
            if outcome.is_final and _is_in(layer, point)
        }
        if known:
            search.learn(layer.task.space.positions_of(list(known)), list(known.values()))
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
        layer = self.layers[number]

        def measured(points: Sequence[Point]) -> Iterable[tuple[Point, Outcome]]:
            jobs = [(layer.key, _job(layer, point)) for point in points]
            return ((job.point, outcome) for _, job, outcome in self.session(self.measure, jobs))

        for step in steps(self._searches[number], measured, Budget(trials=count), batch=count):
            if isinstance(step, Trial):
                yield step

    def _totals(self) -> dict[str, float | None]:
        """`cost` and `default_cost` of a step."""
        found = self.results()
        pairs = [(each.cost, each.default_cost, len(each.layer.names)) for each in found]
        if any(default is None for _, default, _ in pairs):
            return {"cost": None, "default_cost": None}
        best = sum(count * (cost or 0) for cost, _, count in pairs)
        return {"cost": best, "default_cost": sum(count * (default or 0) for _, default, count in pairs)}

    def candidates(self, layer: TunableLayer, count: int) -> Candidates:
        """Points of a layer that are worth a trial in its program, `count` at a time."""
        measured = self.session.records.outcomes(layer.key).items()
        costs = {
            point: each.cost for point, each in measured if each.cost is not None and _is_in(layer, point)
        }
        best = sorted(costs, key=lambda point: costs[point])[:count]
        return Candidates(layer.task, best, count, self.seed)

    # --- results -------------------------------------------------------------------------------------------

    def results(self) -> list[TunedLayer]:
        """What is known of each layer, by all that was measured."""
        return [self._result(layer) for layer in self.layers]

    def _result(self, layer: TunableLayer) -> TunedLayer:
        records, key = self.session.records, layer.key
        default = None if layer.task.default is None else records.known(key, layer.task.default)
        best, outcomes = records.best(key), records.outcomes(key).values()
        if best is not None and default is not None and default.cost == best.outcome.cost:
            best = Record(key=key, point=layer.task.default or best.point, outcome=default)
        kinds = [outcome.kind for outcome in outcomes if outcome.kind is not Kind.OK]
        return TunedLayer(
            layer=layer,
            default_cost=None if default is None else default.cost,
            cost=None if best is None else best.outcome.cost,
            point=None if best is None else best.point,
            trials=len(outcomes),
            failures={kind: kinds.count(kind) for kind in Kind if kind in kinds},
        )


def chosen_layers(layers: Sequence[TunableLayer], names: Sequence[str]) -> list[TunableLayer]:
    """Those layers that have one of these names; all if there are no names.

    Raises:
        PackageError: if there is no layer, or none of a name.
    """
    if not layers:
        raise PackageError(
            "a network must have layers there to be tuned: `tilewright explain` says what runs where"
        )
    missing = [name for name in names if not any(layer.has_name([name]) for layer in layers)]
    if missing:
        known = ", ".join(sorted(name for layer in layers for name in layer.names))
        raise PackageError(f"layers to tune must be of {known}, not {', '.join(missing)}")
    return [layer for layer in layers if not names or layer.has_name(names)]


def _job(layer: TunableLayer, point: Point) -> Job:
    return Job(runner=layer.runner, point=point, timeout_seconds=TIMEOUT_SECONDS, resource=layer.resource)


def _is_in(layer: TunableLayer, point: Point) -> bool:
    """Whether a point is one of the layer's space: another version may have had others."""
    try:
        return layer.task.space.refuse(point) is None
    except SpaceError:
        return False
