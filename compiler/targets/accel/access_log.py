"""The access log: which engine accessed which addresses, in the order of a program.

It finds what an instruction must follow.
"""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from tilewright.isa.access_table import AccessTable
from tilewright.isa.encoding import BoolArray, IntArray
from tilewright.isa.memory import Engine

_FEW = 32
"""How many of the newest accesses are looked at one by one; an array operation searches the older ones."""


class AccessLog:
    """The accesses of a program so far, in series: those of one kind that one engine makes to one location.

    A location is a bank, or the memory behind a base register. All accesses of a series lie next to each
    other from the start, in their order; what happens as instructions are added is that ends move.
    """

    def __init__(self, accesses: AccessTable, engines: IntArray) -> None:
        """Nothing was accessed yet.

        Args:
            accesses: of the program.
            engines: the number of what runs each instruction, int64[n]; -1 where none does.
        """
        self._accesses = accesses
        self._contiguous = _contiguous(accesses).tolist()
        self._lows, self._highs = accesses.low.tolist(), accesses.high.tolist()
        # Numbers of the accesses of each instruction: from one element to the next.
        self._firsts = np.searchsorted(accesses.row, np.arange(len(engines) + 1)).tolist()
        keys = _series_keys(accesses, engines)
        kinds, series = np.unique(keys, return_inverse=True)
        self._series: list[int] = series.tolist()
        self._conflicts = _conflicts(kinds.tolist())
        order = np.argsort(series, kind="stable")
        self._numbers: list[int] = order.tolist()
        self._positions: list[int] = _positions(engines)[accesses.row][order].tolist()
        self._sorted_lows, self._sorted_highs = accesses.low[order], accesses.high[order]
        self._starts = np.searchsorted(series[order], np.arange(len(kinds))).tolist()
        self._ends = list(self._starts)

    def add(self, row: int, followed: Sequence[int]) -> list[int]:
        """Append the next instruction.

        Args:
            row: its place in the program.
            followed: by engine, the position among that one's instructions, from 1, that it follows already.

        Returns:
            By engine, the newest position that it conflicts with, or that it follows already if it is newer.
        """
        needs, numbers = list(followed), range(self._firsts[row], self._firsts[row + 1])
        for number in numbers:
            for other, engine in self._conflicts[self._series[number]]:
                end = self._ends[other]
                if end > self._starts[other] and self._positions[end - 1] > needs[engine]:
                    needs[engine] = self._newest_meeting(other, number, needs[engine])
        for number in numbers:
            self._ends[self._series[number]] += 1
        return needs

    def _newest_meeting(self, series: int, number: int, after: int) -> int:
        """The newest position above `after` whose access shares an address; `after` if there is none."""
        end = self._ends[series]
        first = bisect_right(self._positions, after, self._starts[series], end)
        middle = max(first, end - _FEW)
        low, high, lows, highs = self._lows[number], self._highs[number], self._lows, self._highs
        for k in range(end - 1, middle - 1, -1):
            other = self._numbers[k]
            if lows[other] <= high and highs[other] >= low and self._meet(number, other):
                return self._positions[k]
        for k in self._near(first, middle, low, high) if first < middle else ():
            if self._meet(number, self._numbers[k]):
                return self._positions[k]
        return after

    def _near(self, first: int, end: int, low: int, high: int) -> list[int]:
        """Those from `first` to `end` whose bounding intervals meet low … high, newest first."""
        lows, highs = self._sorted_lows[first:end], self._sorted_highs[first:end]
        return [int(k) + first for k in np.flatnonzero((lows <= high) & (highs >= low))[::-1]]

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


_NOTHING = -1
"""In place of the key of a series: no address is accessed, or by none."""


def _series_keys(accesses: AccessTable, engines: IntArray) -> IntArray:
    """Location, engine and whether it is a write, of each access, as one number: int64[m]."""
    banks = int(accesses.bank.max(initial=0)) + 1
    location, engine = accesses.memory * banks + accesses.bank, engines[accesses.row]
    keys = (location * len(Engine) + engine) * 2 + accesses.write
    return np.where((accesses.low <= accesses.high) & (engine >= 0), keys, _NOTHING)


def _conflicts(keys: Sequence[int]) -> list[list[tuple[int, int]]]:
    """For each series those of other engines at its location that it must not overtake, with the engine."""
    by_location: dict[int, list[tuple[int, int, bool]]] = {}
    for number, key in enumerate(keys):
        location, kind = divmod(key, 2 * len(Engine))
        by_location.setdefault(location, []).append((number, kind // 2, bool(kind % 2)))
    found: list[list[tuple[int, int]]] = [[] for _ in keys]
    for series in by_location.values():
        for number, engine, write in series:
            found[number] = [(n, other) for n, other, its in series if other != engine and (its or write)]
    return found


def _positions(engines: IntArray) -> IntArray:
    """The position of each instruction among those of its engine, from 1."""
    found = np.zeros(len(engines), np.int64)
    for engine in Engine:
        own = engines == engine
        found[own] = np.arange(1, own.sum() + 1)
    return found
