"""The search over a whole program: a layer after the other, a change is kept only if all of it gains."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

from tilewright.compiler.space.point import Point
from tilewright.tune.harness import Budget

Points = Mapping[int, Point]
"""By the number of a layer, of those that do not have their default."""
ProgramCost = Callable[[Points], int | None]
"""Measures a program; None if there is none with these points."""
ExcerptCost = Callable[[Points, range], int | None]
"""Measures some layers of a program alone."""
REACH = 2
"""How far away in the program a change may matter to a layer: its loads begin while these end."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A layer of a program.

    Members:
        default: its point without tuning.
        candidates: names points that are worth a trial where the layer has some point, the best first.
        promise: what it may gain at most, in any unit that the layers have in common; layers without any
            are not tried.
    """

    default: Point
    candidates: Callable[[Point], Sequence[Point]]
    promise: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A program that was measured.

    Members:
        number: from 1.
        points: its own.
        cost: of the whole program; None if there is none, or its layers near the changed one gain nothing.
        is_kept: whether it is the best so far.
    """

    number: int
    points: Points
    cost: int | None
    is_kept: bool


@dataclass
class InPlaceSearch:
    """Tries points of layers in their program, the most promising layers first, until no change gains more.

    It starts at some points and goes in rounds; a layer is tried again only if it, or a layer near it, has
    changed since. An excerpt around the layer is measured first, which takes a fraction of the time. The best
    program is never slower than the one it started at.

    Members:
        sites: the layers, in the order of the program.
        cost, excerpt_cost: measure a program, and some layers of it.
        points, best_cost: of the best program so far; at first, where to begin.
    """

    sites: Sequence[Site]
    cost: ProgramCost
    excerpt_cost: ExcerptCost
    points: Points
    best_cost: int
    _changed: list[int] = field(init=False)
    _tried: list[int] = field(init=False)
    _done: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        # By layer: the number of the attempt that changed it last, and of the last one before its own.
        self._changed, self._tried = [0] * len(self.sites), [-1] * len(self.sites)
        self._excerpts: dict[tuple[int, tuple[Point | None, ...]], int | None] = {}
        self._measured: set[frozenset[tuple[int, Point]]] = {frozenset(self.points.items())}

    def steps(self, budget: Budget) -> Iterator[Attempt]:
        """Measure, and say each program; ended early, the best so far is kept."""
        begun, before = perf_counter(), self._done
        for number, point in self._proposals():
            if not budget.batch(self._done - before, perf_counter() - begun, 1):
                return
            self._done += 1
            yield self._attempt(number, point)

    def _proposals(self) -> Iterator[tuple[int, Point]]:
        """Layers and points whose program was not measured, seen from the best one so far."""
        order = sorted(range(len(self.sites)), key=lambda number: -self.sites[number].promise)
        while waiting := [number for number in order if self._is_open(number)]:
            for number in waiting:
                self._tried[number] = self._done
                for point in self.sites[number].candidates(self._point(number)):
                    if frozenset(self._with(number, point).items()) not in self._measured:
                        yield number, point

    def _is_open(self, number: int) -> bool:
        """Whether something near has changed since the layer was tried."""
        newest = max(self._changed[near] for near in self._near(number))
        return self.sites[number].promise > 0 and newest > self._tried[number]

    def _near(self, number: int) -> range:
        return range(max(0, number - REACH), min(len(self.sites), number + REACH + 1))

    def _point(self, number: int) -> Point:
        return self.points.get(number, self.sites[number].default)

    def _with(self, number: int, point: Point) -> dict[int, Point]:
        """The best points so far, with another one for a layer."""
        points = {each: known for each, known in self.points.items() if each != number}
        return points if point == self.sites[number].default else {**points, number: point}

    def _attempt(self, number: int, point: Point) -> Attempt:
        points = self._with(number, point)
        self._measured.add(frozenset(points.items()))
        cost = self.cost(points) if self._gains(points, self._near(number)) else None
        is_kept = cost is not None and cost < self.best_cost
        if is_kept and cost is not None:
            self.points, self.best_cost = points, cost
            self._changed[number] = self._done
        return Attempt(number=self._done, points=points, cost=cost, is_kept=is_kept)

    def _gains(self, points: Points, near: range) -> bool:
        """Whether the layers near a change take less time than before."""
        before, after = self._excerpt(self.points, near), self._excerpt(points, near)
        return before is not None and after is not None and after < before

    def _excerpt(self, points: Points, near: range) -> int | None:
        """What some layers take; what was measured once is known."""
        key = near.start, tuple(points.get(number) for number in near)
        if key not in self._excerpts:
            self._excerpts[key] = self.excerpt_cost(points, near)
        return self._excerpts[key]
