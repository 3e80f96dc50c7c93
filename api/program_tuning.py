"""Tunes programs as wholes: points of layers are tried in their place, and kept only if all of it gains.

What a layer takes alone says little of what it costs between others: its first loads run while the layer
before ends, its last stores while the next one begins.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter

from tilewright.api.accel_task import SIM, program_key
from tilewright.api.package import Package
from tilewright.api.program_clock import ProgramClock
from tilewright.api.tuned_package import RecordedPrograms
from tilewright.api.tuning import Tuning
from tilewright.compiler.ir.function import Value
from tilewright.compiler.network.split import Part
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.compile import Variant, Variants
from tilewright.compiler.targets.accel.cost.problem import assumed_latency
from tilewright.compiler.targets.accel.layer_schedule import LayerPart
from tilewright.compiler.targets.accel.operator.tunable import Tunable
from tilewright.isa.memory import Engine
from tilewright.numerics.error import TilewrightError
from tilewright.tune.harness import Budget
from tilewright.tune.program_record import ProgramRecord
from tilewright.tune.record import Key
from tilewright.tune.search.candidate import Candidates
from tilewright.tune.search.in_place import Attempt, InPlaceSearch, Points, Site
from tilewright.tune.session import Session

CANDIDATES = 16
"""Points of a layer that are tried in its place."""


@dataclass(frozen=True, kw_only=True)
class ProgramStep:
    """One program that was measured.

    Members:
        done: programs measured so far, of all kernels and of earlier runs.
        default_cycles, cycles: of all programs together, by defaults and by the best so far.
    """

    done: int
    default_cycles: int
    cycles: int


@dataclass
class ProgramTuning:
    """A run that tunes the programs of a package.

    Members:
        package: with programs by default schedules.
        tuning: of its layers, which names points to try.
        latency_cycles: of the memory.
        device: that runs the programs: "sim" or "rtl".
    """

    package: Package
    tuning: Tuning
    latency_cycles: int
    device: str = SIM

    @cached_property
    def programs(self) -> dict[Value, "_Program"]:
        """Of each kernel, the one of most cycles first."""
        clock = ProgramClock(self.package.config, self.latency_cycles, self.device)
        found = {
            value: _Program(part, self.package, self.tuning.session, clock, self.latency_cycles, self.device)
            for value, part in self.package.parts.items()
        }
        return dict(sorted(found.items(), key=lambda item: -item[1].default_cycles))

    @property
    def trials(self) -> int:
        """Programs that were measured, now and in earlier runs."""
        return sum(program.trials for program in self.programs.values())

    @property
    def default_cycles(self) -> int:
        """Of all programs by defaults, one sample."""
        return sum(program.default_cycles for program in self.programs.values())

    @property
    def cycles(self) -> int:
        """Of the best programs."""
        return sum(program.cycles for program in self.programs.values())

    def steps(self, budget: Budget) -> Iterator[ProgramStep]:
        """Measure, and say each program; ended early, what was found is kept.

        Args:
            budget: of this run.
        """
        layers = self.tuning.layers
        candidates = {layer.key.structure: self.tuning.candidates(layer, CANDIDATES) for layer in layers}
        begun, before = perf_counter(), self.trials
        remaining = self.default_cycles
        for program in self.programs.values():
            share = program.default_cycles / remaining
            remaining -= program.default_cycles
            part = _part_of(budget, self.trials - before, perf_counter() - begun, share)
            for _ in program.steps(candidates, part) if part is not None else ():
                yield ProgramStep(done=self.trials, default_cycles=self.default_cycles, cycles=self.cycles)

    @property
    def records(self) -> list[ProgramRecord]:
        """Of each program the best so far."""
        return [program.record for program in self.programs.values()]

    def tuned(self) -> Package:
        """The package with the best programs."""
        parts = {value: program.part for value, program in self.programs.items()}
        return replace(self.package, parts={value: parts[value] for value in self.package.parts})


def _part_of(budget: Budget, done: int, seconds: float, share: float) -> Budget | None:
    """A share of what is left of a budget; None if nothing is."""
    trials = None if budget.trials is None else round((budget.trials - done) * share)
    left = None if budget.seconds is None else (budget.seconds - seconds) * share
    if (trials is not None and trials <= 0) or (left is not None and left <= 0):
        return None
    return Budget(trials=trials, seconds=left)


class _Program:
    """The program of a kernel, the best one so far, and what is kept of it."""

    def __init__(
        self,
        part: Part,
        package: Package,
        session: Session,
        clock: ProgramClock,
        latency_cycles: int,
        device: str,
    ) -> None:
        self._part, self._session, self._clock = part, session, clock
        self._variants = Variants(
            part.integers, package.config, latency_cycles=assumed_latency(latency_cycles)
        )
        self.layers: Sequence[LayerPart] = list(self._variants.lowered)
        default = self._variants.variant()
        self.default_cycles = clock.cycles(default.executable)
        self._key: Key = program_key(self._variants, latency_cycles, device)
        record = session.records.program(self._key)
        self.trials = 0 if record is None else record.trials
        known = RecordedPrograms(records=session.records, latency_cycles=latency_cycles, device=device)
        self._take(known(self._variants, default))

    def _take(self, variant: Variant) -> None:
        self.points: Points = {self.layers.index(part): point for part, point in variant.points.items()}
        self.cycles = self._clock.cycles(variant.executable)

    @property
    def part(self) -> Part:
        """The kernel with the best program."""
        if not self.points:
            return self._part
        best = self._variant(self.points)
        return replace(self._part, model=best.model(), points=best.points)

    def steps(self, candidates: Mapping[str, Candidates], budget: Budget) -> Iterator[Attempt]:
        """Try points of layers, and keep the best program and how many were tried."""
        search = InPlaceSearch(
            self._sites(candidates), self._cost, self._excerpt_cost, self.points, self.cycles
        )
        is_kept = True
        try:
            for attempt in search.steps(budget):
                self.trials += 1
                self.points, self.cycles = search.points, search.best_cost
                is_kept = attempt.is_kept
                if is_kept:
                    self._session.keep(self.record)
                yield attempt
        finally:
            # How many were tried since the last that is kept.
            if not is_kept:
                self._session.keep(self.record)

    def _sites(self, candidates: Mapping[str, Candidates]) -> list[Site]:
        found = []
        for lowered in self._variants.lowered.values():
            named = candidates.get(lowered.tunable.key)
            promise = 0.0 if named is None else _promise(lowered.tunable, lowered.default)
            found.append(Site(default=lowered.default, candidates=named or _none, promise=promise))
        return found

    @property
    def record(self) -> ProgramRecord:
        """The best program so far, and how many were measured."""
        return ProgramRecord(
            key=self._key,
            points=self.points,
            default_cycles=self.default_cycles,
            cycles=self.cycles,
            trials=self.trials,
        )

    def _variant(self, points: Points, near: range | None = None) -> Variant:
        named = {self.layers[number]: point for number, point in points.items()}
        if near is None:
            return self._variants.variant(named)
        among = [self.layers[number] for number in near]
        return self._variants.variant(
            {part: point for part, point in named.items() if part in among}, among=among
        )

    def _cost(self, points: Points) -> int | None:
        return self._excerpt_cost(points, None)

    def _excerpt_cost(self, points: Points, near: range | None) -> int | None:
        try:
            return self._clock.cycles(self._variant(points, near).executable)
        except TilewrightError:
            return None


def _none(point: Point) -> list[Point]:
    """Of a layer that is not tuned."""
    return []


def _promise(tunable: Tunable, default: Point) -> float:
    """The cycles of a layer alone beyond those of its busiest engine, and one: even such a one may gain."""
    tilings = tunable.tilings()
    occupancy = tilings.occupancy(default)
    return max(0, tilings.cycles(default) - max(map(occupancy.cycles, Engine))) + 1.0
