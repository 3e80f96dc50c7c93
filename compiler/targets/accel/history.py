"""Who touched which addresses, in the order of a program: finds what an instruction must follow."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tilewright.isa.footprint import Access
from tilewright.isa.memory import Engine, Memory

_FEW = 32
"""So many of the newest accesses are looked at one by one; of older ones an array operation finds the few."""


class _Touch:
    """An access with what is quickly said about its addresses: `low` and `high` are the ends of its hull."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.low, self.high = access.hull

    @cached_property
    def solid(self) -> bool:
        """Whether it has every address from `low` to `high`."""
        nest, length = self.access.nest, self.access.length
        for stride, count in sorted(zip(map(abs, nest.strides), nest.counts, strict=True)):
            if count != 1:
                if stride > length:
                    return False
                length += stride * (count - 1)
        return True

    def meets(self, other: "_Touch") -> bool:
        """Whether both have an address, where their hulls meet. The ends of a hull are addresses."""
        if not {self.low, self.high}.isdisjoint((other.low, other.high)):
            return True
        if self.solid and (other.solid or other.low >= self.low or other.high <= self.high):
            return True
        if other.solid and (self.low >= other.low or self.high <= other.high):
            return True
        return self.access.spans.common(other.access.spans) is not None


@dataclass
class _Past:
    """The accesses of one kind that one engine makes to one place, oldest first.

    Members:
        positions: the place of each one's instruction among those of the engine, from 1.
        lows, highs: the ends of its hull.
    """

    engine: Engine
    write: bool
    positions: list[int] = field(default_factory=list)
    touches: list[_Touch] = field(default_factory=list)
    lows: "array[int]" = field(default_factory=lambda: array("q"))
    highs: "array[int]" = field(default_factory=lambda: array("q"))

    def append(self, touch: _Touch, position: int) -> None:
        self.positions.append(position)
        self.touches.append(touch)
        self.lows.append(touch.low)
        self.highs.append(touch.high)

    def newest_meeting(self, touch: _Touch, after: int) -> int:
        """The newest position above `after` whose access shares an address; `after` if there is none."""
        first, end = bisect_right(self.positions, after), len(self.positions)
        middle = max(first, end - _FEW)
        low, high, lows, highs = touch.low, touch.high, self.lows, self.highs
        for k in range(end - 1, middle - 1, -1):
            if lows[k] <= high and highs[k] >= low and self.touches[k].meets(touch):
                return self.positions[k]
        for k in self._near(first, middle, low, high):
            if self.touches[k].meets(touch):
                return self.positions[k]
        return after

    def _near(self, first: int, end: int, low: int, high: int) -> list[int]:
        """Those from `first` to `end` whose hulls meet low … high, newest first."""
        if first == end:
            return []
        lows = np.frombuffer(self.lows, np.int64)[first:end]
        highs = np.frombuffer(self.highs, np.int64)[first:end]
        return [int(k) + first for k in np.flatnonzero((lows <= high) & (highs >= low))[::-1]]


class History:
    """The accesses of a program so far, by place: a bank, or the memory behind a base register."""

    def __init__(self) -> None:
        self._places: dict[tuple[Memory | None, int], list[_Past]] = {}

    def add(
        self, accesses: Iterable[Access], engine: Engine, position: int, followed: Sequence[int]
    ) -> list[int]:
        """Append an instruction.

        Args:
            accesses: what it touches.
            engine: what runs it.
            position: its place among the instructions of that engine, from 1.
            followed: by engine, the position that it follows already.

        Returns:
            By engine, the newest position that it conflicts with, or that it follows already if it is newer.
        """
        needs = list(followed)
        places = [
            (self._places.setdefault((access.memory, access.bank), []), access.write, _Touch(access))
            for access in accesses
            if access.hull[0] <= access.hull[1]
        ]
        for pasts, write, touch in places:
            for past in pasts:
                if past.engine != engine and (past.write or write):
                    needs[past.engine] = past.newest_meeting(touch, needs[past.engine])
        for pasts, write, touch in places:
            _past_of(pasts, engine, write).append(touch, position)
        return needs


def _past_of(pasts: list[_Past], engine: Engine, write: bool) -> _Past:
    for past in pasts:
        if past.engine == engine and past.write == write:
            return past
    pasts.append(_Past(engine, write))
    return pasts[-1]
