"""How often values occur: what calibration keeps of the data beside the least and the greatest of them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.array import Array

Real = NDArray[np.float64]
Counts = NDArray[np.int64]

_BINS = 1 << 16
_POSITIVE = _BINS >> 1
_LARGEST = float(np.finfo(np.float32).max)
_UPPER = 1 if np.little_endian else 0
"""The place of a float32's upper half among its two halves."""


@dataclass
class Histogram:
    """Counts of float32 by their upper half: sign, exponent and 7 bits of the fraction.

    A bin is at most 2^-7 of its values wide. Counts are exact and of no order: any machine, and any way to
    cut the data into parts, gives the same.

    Members:
        counts: int64 [65536], by the upper half as a number.
    """

    counts: Counts = field(default_factory=lambda: np.zeros(_BINS, np.int64))

    def add(self, values: Array) -> None:
        """Count finite values, float32 of any shape."""
        halves = np.ascontiguousarray(values).reshape(-1).view(np.uint16)[_UPPER::2]
        self.counts += np.bincount(halves, minlength=_BINS)

    def joined(self, other: "Histogram") -> "Histogram":
        """The counts of both."""
        return Histogram(self.counts + other.counts)

    def distribution(self) -> "Distribution":
        """The bins that are not empty."""
        order = np.concatenate([np.arange(_BINS - 1, _POSITIVE - 1, -1), np.arange(_POSITIVE)])
        order = order[self.counts[order] > 0]
        near, far = _edge(order), _edge(order + 1)
        is_negative = order >= _POSITIVE
        return Distribution(
            np.where(is_negative, far, near), np.where(is_negative, near, far), self.counts[order]
        )


def _edge(upper: NDArray[np.int64]) -> Real:
    """The finite float nearest to that whose upper half is that number, and whose lower half is 0."""
    words = (upper.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return np.clip(words.astype(np.float64), -_LARGEST, _LARGEST)


@dataclass(frozen=True)
class Distribution:
    """Bins of values in ascending order, none of them empty.

    Members:
        lower, upper: ends of each bin.
        counts: of values in each.
    """

    lower: Real
    upper: Real
    counts: Counts

    @property
    def total(self) -> int:
        """Values in all bins."""
        return int(self.counts.sum())

    @property
    def middles(self) -> Real:
        """Of the bins."""
        return (self.lower + self.upper) / 2

    def percentiles(self, share: float) -> tuple[float, float]:
        """Ends outside of which at most that share of all values lies on either side."""
        allowed = int(np.floor(share * self.total))
        below = np.cumsum(self.counts) - self.counts
        above = np.cumsum(self.counts[::-1])[::-1] - self.counts
        first = int(np.flatnonzero(below <= allowed)[-1])
        last = int(np.flatnonzero(above <= allowed)[0])
        return float(self.lower[first]), float(self.upper[last])

    def counts_below(self, ends: Real) -> Real:
        """Of each of some ends: how many values lie below it, if they are spread evenly in their bins."""
        before = np.concatenate([[0], np.cumsum(self.counts)]).astype(np.float64)
        place = np.searchsorted(self.upper, ends, side="left")
        inside = np.minimum(place, len(self.counts) - 1)
        width = self.upper[inside] - self.lower[inside]
        part = np.clip((ends - self.lower[inside]) / width, 0.0, 1.0)
        found = before[inside] + part * self.counts[inside]
        return np.where(place == len(self.counts), before[-1], found)
