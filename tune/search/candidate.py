"""Points that are worth a trial in a program, by what is known of the layer alone."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import zip_longest

import numpy as np

from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Positions
from tilewright.tune.search.move import diverse
from tilewright.tune.search.prior import Prior
from tilewright.tune.task import Task

_REACH = 3
"""Steps of a knob to a neighbour."""
_DRAWN, _REFINED = 4096, 128
"""Points that are looked at by the estimate, and of these by the better model."""


class Candidates:
    """Names points from three sources in turn: neighbours, different ones by the models, the best measured.

    What a layer takes alone decides little between near equals, so that they should differ: a neighbour
    changes when a layer loads and stores, another tiling where.

    Args:
        task: the layer.
        measured: its points, the best first.
        count: how many are named.
        seed: draws points of large spaces.
    """

    def __init__(self, task: Task, measured: Sequence[Point], count: int, seed: int = 0) -> None:
        self._task, self._measured, self._count = task, measured, count
        self._rng = np.random.default_rng(seed)
        self._prior = Prior(task, self._rng)
        self._known: dict[Point, list[Point]] = {}

    def __call__(self, current: Point) -> list[Point]:
        """Where the layer has some point; that one is not among them."""
        if current not in self._known:
            sources = (self._near(current), self._different, self._measured)
            found = (point for point in _in_turn(sources) if point != current)
            self._known[current] = list(dict.fromkeys(found))[: self._count]
        return self._known[current]

    def _near(self, current: Point) -> list[Point]:
        """Neighbours, the best by the models first."""
        space = self._task.space
        (position,) = space.positions_of([current])
        return space.points(self._ranked(space.neighbours(position, _REACH)))

    @cached_property
    def _different(self) -> list[Point]:
        """The best by the models of some drawn ones, such as have little in common."""
        space = self._task.space
        drawn = space.sample(self._rng, _DRAWN)
        likely = drawn[np.argsort(self._prior.estimated(drawn), kind="stable")[:_REFINED]]
        return space.points(diverse(self._ranked(likely), self._count))

    def _ranked(self, positions: Positions) -> Positions:
        """The best by the models first."""
        costs = self._prior.refined(positions)
        if costs is None:
            costs = self._prior.estimated(positions)
        ranked: Positions = positions[np.argsort(costs, kind="stable")]
        return ranked


def _in_turn(sources: Iterable[Sequence[Point]]) -> Iterator[Point]:
    """One of each, then the next one of each."""
    return (point for row in zip_longest(*sources) for point in row if point is not None)
