"""All points of some knobs, as arrays of positions: what fits, what lies near, what to draw."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.error import SpaceError
from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.point import Point

Positions = NDArray[np.int64]
"""Of points [n, knobs]: for each knob the position of its value."""
Columns = Mapping[str, NDArray[np.int64]]
"""Of points, by knob [n]: its values; of words their positions."""

_CHUNK = 1 << 18
_DRAWS = 64
"""Draws for each point that is wanted, before all points are looked at."""
LARGEST_SIZE = 1 << 62


def everything(columns: Columns) -> NDArray[np.bool_]:
    """Fits whatever the values."""
    return np.ones(len(next(iter(columns.values()))), np.bool_)


def no_reason(point: Point) -> str:
    """Why a point that does not fit does not, where nothing more is known."""
    return "it does not fit"


@dataclass(frozen=True)
class Space:
    """Knobs, and which of their points fit.

    Members:
        knobs: each name once.
        fits: of many points, whether they can be used at all; it is asked before anything is measured.
        why_not: the reason why a point that does not fit does not.

    Raises:
        SpaceError: if a name comes twice, or there are too many points to count.
    """

    knobs: tuple[Knob, ...]
    fits: Callable[[Columns], NDArray[np.bool_]] = everything
    why_not: Callable[[Point], str] = no_reason

    def __post_init__(self) -> None:
        names = [knob.name for knob in self.knobs]
        if not names or len(set(names)) != len(names):
            raise SpaceError(f"a space must have knobs, each name once, not {names}")
        if self.size > LARGEST_SIZE:
            raise SpaceError(f"a space must have at most {LARGEST_SIZE} points, not {self.size}")

    @property
    def size(self) -> int:
        """The number of points, whether they fit or not."""
        return prod(len(knob.values) for knob in self.knobs)

    # --- forms of a point ----------------------------------------------------------------------------------

    def positions(self, numbers: NDArray[np.int64]) -> Positions:
        """Of the points with these numbers [n], from 0 to size − 1; the last knob runs first."""
        shape = tuple(len(knob.values) for knob in self.knobs)
        found: Positions = np.array(np.unravel_index(numbers, shape), np.int64).T
        return found

    def numbers(self, positions: Positions) -> NDArray[np.int64]:
        """The numbers [n] of points."""
        shape = tuple(len(knob.values) for knob in self.knobs)
        return np.asarray(np.ravel_multi_index(tuple(positions.T), shape), np.int64)

    def columns(self, positions: Positions) -> Columns:
        """The values of points by knob."""
        return {knob.name: knob.column(positions[:, n]) for n, knob in enumerate(self.knobs)}

    def points(self, positions: Positions) -> list[Point]:
        """The same as points."""
        return [
            Point({knob.name: knob.values[at] for knob, at in zip(self.knobs, row, strict=True)})
            for row in positions.tolist()
        ]

    def positions_of(self, points: Sequence[Point]) -> Positions:
        """The positions of points.

        Raises:
            SpaceError: naming what is not in the space.
        """
        return np.array([self._position(point) for point in points], np.int64).reshape(-1, len(self.knobs))

    def _position(self, point: Point) -> list[int]:
        names = {knob.name for knob in self.knobs}
        if point.keys() != names:
            raise SpaceError(f"a point must have the knobs {sorted(names)}, not {sorted(point)}")
        return [knob.position(point[knob.name]) for knob in self.knobs]

    def refuse(self, point: Point) -> str | None:
        """Why a point cannot be used; None if it can.

        Raises:
            SpaceError: if it is not in the space.
        """
        fits = self.fits(self.columns(self.positions_of([point])))
        return None if fits[0] else self.why_not(point)

    # --- which points --------------------------------------------------------------------------------------

    def that_fit(self, positions: Positions) -> Positions:
        """Those of the points that fit, in their order."""
        if not len(positions):
            return positions
        kept: Positions = positions[self.fits(self.columns(positions))]
        return kept

    def chunks(self) -> Iterator[Positions]:
        """All points that fit, in their order, some at a time."""
        for first in range(0, self.size, _CHUNK):
            yield self.that_fit(self.positions(np.arange(first, min(first + _CHUNK, self.size))))

    def all_that_fit(self) -> Positions:
        """All points that fit, in their order: for spaces of millions of points at most."""
        return np.concatenate(list(self.chunks()))

    def sample(self, rng: np.random.Generator, count: int) -> Positions:
        """Different points that fit, drawn evenly; fewer if there are no more.

        Args:
            rng: decides which.
            count: how many.
        """
        found = np.empty(0, np.int64)
        for _ in range(_DRAWS):
            drawn = rng.integers(0, self.size, max(64, 2 * count))
            fitting = self.numbers(self.that_fit(self.positions(drawn)))
            found = _distinct(np.concatenate([found, fitting]))
            if len(found) >= count:
                return self.positions(found[:count])
        if self.size > _DRAWS * _CHUNK:
            return self.positions(found)
        every = self.all_that_fit()
        drawn_of_all: Positions = every[rng.permutation(len(every))[:count]]
        return drawn_of_all

    def neighbours(self, position: NDArray[np.int64], reach: int = 1) -> Positions:
        """The points that fit and differ from one [knobs] in one knob: by `reach` steps at most or a word."""
        rows = []
        for n, knob in enumerate(self.knobs):
            at = int(position[n])
            others = range(at - reach, at + reach + 1) if knob.is_number else range(len(knob.values))
            for other in others:
                if other != at and 0 <= other < len(knob.values):
                    row = position.copy()
                    row[n] = other
                    rows.append(row)
        return self.that_fit(np.array(rows, np.int64).reshape(-1, len(self.knobs)))


def _distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each number once, where it comes first."""
    _, first = np.unique(numbers, return_index=True)
    kept: NDArray[np.int64] = numbers[np.sort(first)]
    return kept
