"""Runs a search: batches of points to who measures, outcomes back, and what it came to, trial by trial."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Positions
from tilewright.tune.error import TuneError
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.rank import spearman
from tilewright.tune.search.search import Search

MeasurePoints = Callable[[Sequence[Point]], Iterable[tuple[Point, Outcome]]]
"""Measures points and says each with its one outcome as it arrives, in any order."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When a search ends: with the first that is reached; both may be left out for a space that is small.

    Members:
        trials: how many points are measured.
        seconds: after which no batch is begun.

    Raises:
        TuneError: if one is not above 0.
    """

    trials: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("trials", self.trials), ("seconds", self.seconds)):
            if value is not None and not value > 0:
                raise TuneError(f"a budget must have {name} above 0, not {value!r}")

    def batch(self, done: int, seconds: float, size: int) -> int:
        """How many points may be measured now, after so many and so long, `size` at most."""
        if self.seconds is not None and seconds >= self.seconds:
            return 0
        return size if self.trials is None else max(0, min(size, self.trials - done))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point that was measured.

    Members:
        number: from 1, in the order in which outcomes arrived.
        point: what.
        outcome: how it ended.
        best_cost: of all points so far; infinite if there is none.
        seconds: since the search began.
    """

    number: int
    point: Point
    outcome: Outcome
    best_cost: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Points that were proposed at once, in the order in which they were proposed.

    Members:
        positions: int64 [n, knobs].
        outcomes: one each.
        rank: how well the search foretold their order: Spearman of those with a cost, −1 to 1; None if it
            foretold nothing, or of fewer than three.
    """

    positions: Positions
    outcomes: tuple[Outcome, ...]
    rank: float | None

    @property
    def costs(self) -> NDArray[np.float64]:
        """Float64 [n], infinite where there is none."""
        return np.array([np.inf if each.cost is None else each.cost for each in self.outcomes], np.float64)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What a search came to.

    Members:
        batches: in their order.
        seconds: that it took.
    """

    batches: tuple[Batch, ...]
    seconds: float

    @property
    def positions(self) -> Positions:
        """Of all points, in the order in which they were proposed: int64 [n, knobs]."""
        return np.concatenate([batch.positions for batch in self.batches])

    @property
    def costs(self) -> NDArray[np.float64]:
        """Of these, float64 [n]; infinite where there is none."""
        return np.concatenate([np.empty(0), *(batch.costs for batch in self.batches)])

    @property
    def best(self) -> NDArray[np.float64]:
        """The best cost so far, by trial: float64 [n]."""
        best: NDArray[np.float64] = np.minimum.accumulate(self.costs)
        return best

    @property
    def kinds(self) -> dict[Kind, int]:
        """How many outcomes of each kind there were."""
        kinds = [outcome.kind for batch in self.batches for outcome in batch.outcomes]
        return {kind: kinds.count(kind) for kind in Kind if kind in kinds}

    @property
    def rank(self) -> tuple[float | None, ...]:
        """How well the order of each batch was foretold."""
        return tuple(batch.rank for batch in self.batches)


def steps(
    search: Search, measure_points: MeasurePoints, budget: Budget, *, batch: int = 16
) -> Iterator[Trial | Batch]:
    """Run a search, saying each trial as it arrives and each batch when the search has learned from it.

    It ends with the budget, or when there are no more points.

    Raises:
        TuneError: if a point is not measured exactly once.
    """
    start, done = perf_counter(), 0
    best_cost = float(np.min(search.costs, initial=np.inf))
    while count := budget.batch(done, perf_counter() - start, batch):
        positions = search.propose(count)
        if not len(positions):
            return
        foretold = search.predict(positions)
        points, outcomes = search.task.space.points(positions), dict[Point, Outcome]()
        for point, outcome in measure_points(points):
            _hold_that_expected(point, points, outcomes)
            outcomes[point] = outcome
            best_cost = min(best_cost, outcome.cost or np.inf)
            done += 1
            seconds = perf_counter() - start
            yield Trial(number=done, point=point, outcome=outcome, best_cost=best_cost, seconds=seconds)
        if missing := [point for point in points if point not in outcomes]:
            raise TuneError(f"each point must have an outcome, not none, as {missing[0]}")
        yield _learned(search, positions, [outcomes[point] for point in points], foretold)


def _hold_that_expected(point: Point, points: Sequence[Point], outcomes: dict[Point, Outcome]) -> None:
    if point not in points or point in outcomes:
        raise TuneError(f"each point that is asked for must have one outcome, and no other: {point}")


def _learned(
    search: Search, positions: Positions, outcomes: list[Outcome], foretold: NDArray[np.float64] | None
) -> Batch:
    search.learn(positions, outcomes)
    found = Batch(positions=positions, outcomes=tuple(outcomes), rank=None)
    has_cost = np.isfinite(found.costs)
    if foretold is None or has_cost.sum() < 3:
        return found
    rank = spearman(foretold[has_cost], found.costs[has_cost])
    return Batch(positions=positions, outcomes=tuple(outcomes), rank=rank)


def run(search: Search, measure_points: MeasurePoints, budget: Budget, *, batch: int = 16) -> Trace:
    """The whole of `steps` at once.

    Raises:
        TuneError: if a point is not measured exactly once.
    """
    start = perf_counter()
    batches = [step for step in steps(search, measure_points, budget, batch=batch) if isinstance(step, Batch)]
    return Trace(batches=tuple(batches), seconds=perf_counter() - start)


# --- what traces say ---------------------------------------------------------------------------------------


def trials_to(trace: Trace, share: float, best_cost: float) -> int | None:
    """After how many trials a cost within `share` of the best one was found; None if it was not.

    Args:
        trace: of a search.
        share: of the best speed, 0 to 1: 0.99 asks for a cost of at most best / 0.99.
        best_cost: the lowest that is known.
    """
    reached = np.flatnonzero(trace.best <= best_cost / share)
    return int(reached[0]) + 1 if len(reached) else None


@dataclass(frozen=True, kw_only=True)
class Quartiles:
    """Of a number over seeds: a quarter is at most `low`, half at most `median`; None: it was not reached."""

    low: float | None
    median: float | None
    high: float | None

    def __str__(self) -> str:
        low, median, high = (
            "–" if each is None else f"{each:.0f}" for each in (self.low, self.median, self.high)
        )
        return f"{median} ({low}–{high})"


def quartiles(numbers: Sequence[float | None]) -> Quartiles:
    """Of numbers, of which None is larger than all; each is one that occurs.

    Raises:
        TuneError: if there is none.
    """
    if not numbers:
        raise TuneError("quartiles must be of numbers, not of none")
    ordered = sorted(numbers, key=lambda number: np.inf if number is None else number)
    low, median, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.25, 0.5, 0.75))
    return Quartiles(low=low, median=median, high=high)


def over_seeds(
    make: Callable[[int], Search],
    measure_points: MeasurePoints,
    budget: Budget,
    *,
    seeds: Iterable[int] = range(10),
    batch: int = 16,
) -> list[Trace]:
    """One search after another, each with its seed."""
    return [run(make(seed), measure_points, budget, batch=batch) for seed in seeds]
