"""Conflicting accesses that no token orders."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tilewright.isa.footprint import Access
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.order import Order

_FEW = 32
"""Up to so many candidates are compared one by one; more are worth an array operation."""


class Hazard(NamedTuple):
    """Two instructions of different engines that touch the same addresses, one of them writing.

    Members:
        first, second: their places in the program, ascending.
        earlier, later: their accesses.
        low, high: the lowest and highest common address.
        reversed: whether the tokens let the second one finish before the first one starts.
    """

    first: int
    second: int
    earlier: Access
    later: Access
    low: int
    high: int
    reversed: bool


def find_hazards(footprints: Sequence[Sequence[Access]], order: Order) -> Iterator[Hazard]:
    """Every conflicting pair whose order the tokens do not fix, among the instructions that start.

    Args:
        footprints: what each instruction touches.
        order: of the same program.
    """
    places: dict[_Place, list[_History]] = {}
    for index, (engine, accesses) in enumerate(zip(order.engines, footprints, strict=True)):
        if engine is None or order.clocks[index] is None:
            continue
        for access in accesses:
            histories = places.setdefault((access.memory, access.bank), [])
            for history in histories:
                if history.engine != engine and (history.write or access.write):
                    yield from _conflicts(history, access, index, order)
        for access in accesses:
            histories = places[access.memory, access.bank]
            _history_of(histories, engine, access.write).append(access, index, order.positions[index])


_Place = tuple[Memory | None, int]


@dataclass
class _History:
    """The accesses of one kind that one engine makes to one bank, in the order of the program."""

    engine: Engine
    write: bool
    positions: list[int] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    lows: "array[int]" = field(default_factory=lambda: array("q"))
    highs: "array[int]" = field(default_factory=lambda: array("q"))

    def append(self, access: Access, index: int, position: int) -> None:
        low, high = access.hull
        self.positions.append(position)
        self.indices.append(index)
        self.accesses.append(access)
        self.lows.append(low)
        self.highs.append(high)

    def overlapping(self, finished: int, low: int, high: int) -> list[int]:
        """Which accesses, after the first `finished` instructions, may share addresses low … high."""
        first, end = bisect_right(self.positions, finished), len(self.positions)
        if end - first <= _FEW:
            lows, highs = self.lows, self.highs
            return [k for k in range(first, end) if lows[k] <= high and highs[k] >= low]
        lows_after = np.frombuffer(self.lows, np.int64)[first:]
        highs_after = np.frombuffer(self.highs, np.int64)[first:]
        found = np.flatnonzero((lows_after <= high) & (highs_after >= low)) + first
        return [int(k) for k in found]


def _history_of(histories: list[_History], engine: Engine, write: bool) -> _History:
    for history in histories:
        if history.engine == engine and history.write == write:
            return history
    histories.append(_History(engine, write))
    return histories[-1]


def _conflicts(history: _History, access: Access, index: int, order: Order) -> Iterator[Hazard]:
    """The conflicts of an access with earlier ones in the program that may not have finished."""
    clock, (low, high) = order.clocks[index], access.hull
    assert clock is not None
    for k in history.overlapping(clock[history.engine], low, high):
        earlier = history.accesses[k]
        if common := earlier.spans.common(access.spans):
            first = history.indices[k]
            yield Hazard(first, index, earlier, access, *common, _is_before(index, first, order))


def _is_before(index: int, other: int, order: Order) -> bool:
    """Whether instruction `index` surely finishes before instruction `other` starts."""
    own = order.engines[index]
    clock = order.clocks[other]
    return clock is not None and own is not None and clock[own] >= order.positions[index]
