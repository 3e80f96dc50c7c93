"""The access log: which engine accessed which addresses, in the order of a program.

It finds what an instruction must follow.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tilewright.isa.access_table import AccessTable
from tilewright.isa.encoding import BoolArray

_FEW = 32
"""How many of the newest accesses are looked at one by one; an array operation searches the older ones."""


@dataclass(slots=True)
class _Series:
    """The accesses of one kind that one engine makes to one location, oldest first.

    Members:
        engine, write: the number of the engine, and whether the accesses are writes.
        positions: the position of each one's instruction among those of the engine, from 1.
        numbers: of the accesses in the access table.
        lows, highs: the bounding intervals.
    """

    engine: int
    write: bool
    positions: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    lows: "array[int]" = field(default_factory=lambda: array("q"))
    highs: "array[int]" = field(default_factory=lambda: array("q"))

    def near(self, first: int, end: int, low: int, high: int) -> list[int]:
        """Those from `first` to `end` whose bounding intervals meet low … high, newest first."""
        lows = np.frombuffer(self.lows, np.int64)[first:end]
        highs = np.frombuffer(self.highs, np.int64)[first:end]
        return [int(k) + first for k in np.flatnonzero((lows <= high) & (highs >= low))[::-1]]


class AccessLog:
    """The accesses of a program so far, by location: a bank, or the memory behind a base register."""

    def __init__(self, accesses: AccessTable) -> None:
        self._accesses = accesses
        self._contiguous = _contiguous(accesses).tolist()
        self._lows, self._highs = accesses.low.tolist(), accesses.high.tolist()
        self._writes: list[bool] = accesses.write.tolist()
        banks = int(accesses.bank.max(initial=0)) + 1
        locations, which = np.unique(accesses.memory * banks + accesses.bank, return_inverse=True)
        self._locations: list[int] = which.ravel().tolist()
        self._series: list[list[_Series]] = [[] for _ in locations]

    def add(self, numbers: Sequence[int], engine: int, position: int, followed: Sequence[int]) -> list[int]:
        """Append an instruction.

        Args:
            numbers: of its accesses.
            engine: the number of what runs it.
            position: its position among the instructions of that engine, from 1.
            followed: by engine, the position that it follows already.

        Returns:
            By engine, the newest position that it conflicts with, or that it follows already if it is newer.
        """
        needs = list(followed)
        numbers = [number for number in numbers if self._lows[number] <= self._highs[number]]
        for number in numbers:
            write = self._writes[number]
            for series in self._series[self._locations[number]]:
                other = series.engine
                if other != engine and (series.write or write) and series.positions[-1] > needs[other]:
                    needs[other] = self._newest_meeting(series, number, needs[other])
        for number in numbers:
            self._append(number, engine, position)
        return needs

    def _append(self, number: int, engine: int, position: int) -> None:
        series = self._series_of(number, engine)
        series.positions.append(position)
        series.numbers.append(number)
        series.lows.append(self._lows[number])
        series.highs.append(self._highs[number])

    def _series_of(self, number: int, engine: int) -> _Series:
        found, write = self._series[self._locations[number]], self._writes[number]
        for series in found:
            if series.engine == engine and series.write == write:
                return series
        found.append(_Series(engine, write))
        return found[-1]

    def _newest_meeting(self, series: _Series, number: int, after: int) -> int:
        """The newest position above `after` whose access shares an address; `after` if there is none."""
        first, end = bisect_right(series.positions, after), len(series.positions)
        middle = max(first, end - _FEW)
        low, high, lows, highs = self._lows[number], self._highs[number], series.lows, series.highs
        for k in range(end - 1, middle - 1, -1):
            if lows[k] <= high and highs[k] >= low and self._meet(number, series.numbers[k]):
                return series.positions[k]
        for k in series.near(first, middle, low, high) if first < middle else ():
            if self._meet(number, series.numbers[k]):
                return series.positions[k]
        return after

    def _meet(self, one: int, other: int) -> bool:
        """Whether two accesses whose bounding intervals meet share an address; the ends are addresses."""
        lows, highs = self._lows, self._highs
        low, high, its_low, its_high = lows[one], highs[one], lows[other], highs[other]
        if low in (its_low, its_high) or high in (its_low, its_high):
            return True
        whole, its_whole = self._contiguous[one], self._contiguous[other]
        if whole and (its_whole or its_low >= low or its_high <= high):
            return True
        if its_whole and (low >= its_low or high <= its_high):
            return True
        one_access, other_access = self._accesses.access(one), self._accesses.access(other)
        return one_access.spans.common(other_access.spans) is not None


def _contiguous(accesses: AccessTable) -> BoolArray:
    """Whether each has every address from the lowest to the highest one."""
    strides = np.abs(accesses.strides)
    order = np.argsort(strides, axis=1)
    strides = np.take_along_axis(strides, order, axis=1)
    counts = np.take_along_axis(accesses.counts, order, axis=1)
    length, result = accesses.length.copy(), np.ones(len(accesses), np.bool_)
    for stride, count in zip(strides.T, counts.T, strict=True):
        result &= (count == 1) | (stride <= length)
        length += stride * (count - 1)
    return result
