"""Sets of addresses as sorted, disjoint ranges."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.address import AddressLoops


class Spans(NamedTuple):
    """The addresses from starts[k] up to stops[k] - 1: int64[n] each, ascending, with gaps between."""

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    def coarser(self, unit: int) -> "Spans":
        """The blocks of `unit` addresses that hold at least one of these addresses."""
        return _joined(self.starts // unit, (self.stops - 1) // unit + 1)

    def addresses(self) -> NDArray[np.int64]:
        """Every address, ascending."""
        ranges = [np.arange(*ends) for ends in zip(self.starts, self.stops, strict=True)]
        return np.concatenate(ranges) if ranges else np.zeros(0, np.int64)

    def common(self, other: "Spans") -> tuple[int, int] | None:
        """The lowest and the highest address that are in both; None if there is none."""
        low = self._lowest_common(other)
        return None if low is None else (low, self._highest_common(other))

    def _lowest_common(self, other: "Spans") -> int | None:
        # For each range here, the first range there that ends after its start.
        there = np.searchsorted(other.stops, self.starts, side="right")
        here = np.flatnonzero(there < len(other.starts))
        here = here[other.starts[there[here]] < self.stops[here]]
        if not here.size:
            return None
        return int(max(self.starts[here[0]], other.starts[there[here[0]]]))

    def _highest_common(self, other: "Spans") -> int:
        # For each range here, the last range there that begins before its end.
        there = np.searchsorted(other.starts, self.stops, side="left") - 1
        here = np.flatnonzero(there >= 0)
        here = here[other.stops[there[here]] > self.starts[here]]
        return int(min(self.stops[here[-1]], other.stops[there[here[-1]]])) - 1


def spans_of(nest: AddressLoops, length: int = 1) -> Spans:
    """The addresses of `nest`, each with the `length - 1` that follow it."""
    low, high = nest.bounds()
    if high < low:
        return Spans(np.zeros(0, np.int64), np.zeros(0, np.int64))
    loops = sorted((abs(stride), count) for count, stride in zip(nest.counts, nest.strides, strict=True))
    # A loop whose step is no longer than what lies inside of it makes one longer range.
    while loops and (loops[0][0] <= length or loops[0][1] == 1):
        stride, count = loops.pop(0)
        length += stride * (count - 1)
    rest = AddressLoops(low, tuple(count for _, count in loops), tuple(stride for stride, _ in loops))
    starts = np.sort(rest.addresses(), axis=None)
    return _joined(starts, starts + length)


def _joined(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Spans:
    """Ranges whose starts and stops both ascend, those that touch made one."""
    first, last = np.ones(len(starts), np.bool_), np.ones(len(starts), np.bool_)
    first[1:] = last[:-1] = starts[1:] > stops[:-1]
    return Spans(starts[first], stops[last])
