"""Conflicting accesses that no token orders."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tilewright.isa.access_table import AccessTable
from tilewright.isa.encoding import IntArray
from tilewright.isa.footprint import Access
from tilewright.isa.memory import Engine
from tilewright.isa.order import Order

_BANKS = 1 << 21
"""More than banks and base registers that an address can name."""
_MOST_PAIRS = 1 << 20
"""So many pairs of accesses are compared at a time: one missing token can make millions of hazards."""


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


def find_hazards(accesses: AccessTable, order: Order) -> Iterator[Hazard]:
    """Every conflicting pair whose order the tokens do not fix, among the instructions that start.

    Args:
        accesses: what the instructions touch.
        order: of the same program.
    """
    windows = _windows(accesses, order)
    for some in windows.parts():
        for earlier, later in some.pairs(accesses):
            one, other = accesses.access(earlier), accesses.access(later)
            if common := one.spans.common(other.spans):
                first, second = int(accesses.row[earlier]), int(accesses.row[later])
                yield Hazard(first, second, one, other, *common, _is_before(second, first, order))


def _is_before(index: int, other: int, order: Order) -> bool:
    """Whether instruction `index` surely finishes before instruction `other` starts."""
    own = order.engines[index]
    clock = order.clocks[other]
    return clock is not None and own is not None and clock[own] >= order.positions[index]


@dataclass(frozen=True)
class _Windows:
    """Accesses, each with others that may not have finished before it: ranges of `members`.

    Members:
        members: numbers of accesses, those of one place, engine and kind together, ascending.
        later: int64[n], numbers of accesses, ascending.
        first, end: int64[n], of the range of each.
    """

    members: IntArray
    later: IntArray
    first: IntArray
    end: IntArray

    def parts(self) -> "Iterator[_Windows]":
        """The same in parts of few pairs each."""
        part = np.cumsum(self.end - self.first) // _MOST_PAIRS
        for chosen in np.split(np.arange(len(part)), np.flatnonzero(np.diff(part)) + 1):
            yield _Windows(self.members, self.later[chosen], self.first[chosen], self.end[chosen])

    def pairs(self, accesses: AccessTable) -> Iterator[tuple[int, int]]:
        """Numbers of the accesses whose bounds meet, earlier and later."""
        lengths = self.end - self.first
        begins = np.cumsum(lengths) - lengths
        later = np.repeat(self.later, lengths)
        places = np.arange(len(later)) - np.repeat(begins - self.first, lengths)
        earlier = self.members[places]
        lows, highs = accesses.low, accesses.high
        meet = (lows[earlier] <= highs[later]) & (highs[earlier] >= lows[later])
        yield from zip(earlier[meet].tolist(), later[meet].tolist(), strict=True)


def _windows(accesses: AccessTable, order: Order) -> _Windows:
    """For each access those of other engines that it conflicts with by place and kind."""
    groups, members = _groups(accesses, order)
    clocks = np.array([clock or (0,) * len(Engine) for clock in order.clocks], np.int64)
    positions = np.array(order.positions, np.int64)
    begins = np.cumsum([0, *(len(group.numbers) for group in groups)])
    found = [
        _window(group, other, int(begin), accesses.row, positions, clocks)
        for group, begin in zip(groups, begins[:-1], strict=True)
        for other in groups
        if group.place == other.place and group.engine != other.engine and (group.write or other.write)
    ]
    none = (np.zeros(0, np.int64),) * 3
    later, first, end = (np.concatenate(column) for column in zip(none, *found, strict=True))
    # By the later access; then by the group's first access, as they stand.
    ranked = np.argsort(later, kind="stable")
    return _Windows(members, later[ranked], first[ranked], end[ranked])


@dataclass(frozen=True)
class _Group:
    """Accesses of one kind that one engine makes to one place.

    Members:
        place: memory and bank, as one number.
        engine, write: who, and what.
        numbers: of the accesses, ascending.
    """

    place: int
    engine: int
    write: bool
    numbers: IntArray


def _groups(accesses: AccessTable, order: Order) -> tuple[list[_Group], IntArray]:
    """The groups by their first accesses, and the accesses of all groups."""
    engines = np.array([-1 if engine is None else engine for engine in order.engines], np.int64)
    starts = np.array([clock is not None for clock in order.clocks], np.bool_)
    row = accesses.row
    chosen = np.flatnonzero((engines[row] >= 0) & starts[row] & (accesses.low <= accesses.high))
    places = accesses.memory[chosen] * _BANKS + accesses.bank[chosen]
    keys = (places * len(Engine) + engines[row[chosen]]) * 2 + accesses.write[chosen]
    kinds, first = np.unique(keys, return_index=True)
    ranked = chosen[np.argsort(keys, kind="stable")]
    ends = np.cumsum([np.count_nonzero(keys == kind) for kind in kinds])[:-1]
    groups = [
        _Group(
            place=int(places[number]),
            engine=int(engines[row[chosen[number]]]),
            write=bool(accesses.write[chosen[number]]),
            numbers=numbers,
        )
        for number, numbers in zip(first, np.split(ranked, ends), strict=False)
    ]
    groups.sort(key=lambda group: int(group.numbers[0]))
    return groups, np.concatenate([np.zeros(0, np.int64), *(group.numbers for group in groups)])


def _window(
    group: _Group, other: _Group, begin: int, row: IntArray, positions: IntArray, clocks: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Of each access of `other`: itself, and the range of those of `group`, which begin at `begin`.

    These stand before it in the program, and are not among what has finished when it starts.
    """
    rows = row[other.numbers]
    first = np.searchsorted(positions[row[group.numbers]], clocks[rows, group.engine], side="right")
    end = np.searchsorted(row[group.numbers], rows, side="left")
    some = np.flatnonzero(first < end)
    return other.numbers[some], begin + first[some], begin + end[some]
