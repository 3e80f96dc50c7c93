"""Ways to choose the range of a value's integers from what data show of it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.histogram import Distribution, Real
from tilewright.numerics.elementary import log
from tilewright.numerics.exact_sum import total
from tilewright.numerics.quantise import INT8_MAXIMUM, INT8_MINIMUM

_LEVELS = INT8_MAXIMUM - INT8_MINIMUM + 1
_CANDIDATES = 48
"""Ends that are tried on either side: from the last value down to a quarter of it."""
_LEAST_PART = 0.25
_BINS_A_LEVEL = 4
"""Of the distribution whose entropy is compared with that of its integers."""
_SMALLEST_SHARE = 2.0**-40
"""Of a bin that integers leave empty: its logarithm is finite."""
DEFAULT_OUTSIDE = 1e-4
"""The share of values that a percentile leaves outside, on either side."""


@dataclass(frozen=True)
class Range:
    """The least and the greatest value that integers stand for."""

    low: float
    high: float

    def joined(self, other: "Range") -> "Range":
        """The range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


class RangeMethod(StrEnum):
    """How data choose the range of a value's integers.

    `AUTO`: of all the others, what makes the network of integers nearest to that of floats. `MIN_MAX`: from
    the least to the greatest value seen. `PERCENTILE`: without the outermost 0.01 % on either side.
    `ENTROPY`: where integers tell most of the distribution (Migacz, 8-bit inference with TensorRT, 2017).
    `MEAN_SQUARE`: where the mean of the squared errors is least. What is outside of a range becomes its end.
    """

    AUTO = "auto"
    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"
    MEAN_SQUARE = "mean-square"


Choose = Callable[[Distribution, Range], Range]
"""From how values are distributed, and the least and the greatest of them, to a range of those."""


def range_method(name: str) -> RangeMethod:
    """The method of that name.

    Raises:
        QuantiseError: if there is none.
    """
    try:
        return RangeMethod(name)
    except ValueError:
        raise QuantiseError(f"ranges must be one of {', '.join(RangeMethod)}, not {name!r}") from None


def all_seen(values: Distribution, seen: Range) -> Range:
    """From the least to the greatest value."""
    return seen


def percentile(outside: float) -> Choose:
    """Leaves at most that share of the values outside on either side."""

    def choose(values: Distribution, seen: Range) -> Range:
        low, high = values.percentiles(outside)
        return Range(max(low, seen.low), min(high, seen.high))

    return choose


def least_squares(values: Distribution, seen: Range) -> Range:
    """The range whose 256 integers have the least mean square error.

    A value inside loses a twelfth of the square of a step in the mean; one outside, its distance.
    """
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if low == high:
        return seen
    lows, highs = _ends(low), _ends(high)
    below = np.maximum(lows[:, None] - values.middles[None, :], 0.0)
    above = np.maximum(values.middles[None, :] - highs[:, None], 0.0)
    outside = _weighted(below**2, values)[:, None] + _weighted(above**2, values)[None, :]
    steps = (highs[None, :] - lows[:, None]) / (_LEVELS - 1)
    error = outside + values.total * steps**2 / 12
    row, column = np.unravel_index(int(np.argmin(error)), error.shape)
    return Range(float(lows[row]), float(highs[column]))


def least_divergence(values: Distribution, seen: Range) -> Range:
    """The range whose 256 integers have the least Kullback-Leibler divergence from the values.

    One end after the other: the greatest is chosen while the least stays, then the least.
    """
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if low == high:
        return seen
    highs, lows = _ends(high), _ends(low)
    high = float(highs[int(np.argmin(_divergences(values, np.full_like(highs, low), highs)))])
    low = float(lows[int(np.argmin(_divergences(values, lows, np.full_like(lows, high))))])
    return Range(low, high)


METHODS: dict[RangeMethod, Choose] = {
    RangeMethod.MIN_MAX: all_seen,
    RangeMethod.PERCENTILE: percentile(DEFAULT_OUTSIDE),
    RangeMethod.ENTROPY: least_divergence,
    RangeMethod.MEAN_SQUARE: least_squares,
}
"""All but `AUTO`."""
CANDIDATES: tuple[Choose, ...] = (
    all_seen,
    percentile(1e-5),
    percentile(DEFAULT_OUTSIDE),
    percentile(1e-3),
    least_squares,
    least_divergence,
)
"""What `AUTO` tries."""


def _ends(end: float) -> Real:
    """Those that are tried: 0 alone where no value is on that side."""
    return np.asarray(end * np.linspace(1.0, _LEAST_PART, _CANDIDATES) if end else np.zeros(1), np.float64)


def _weighted(errors: Real, values: Distribution) -> Real:
    return np.asarray(total(errors * values.counts, (1,)), np.float64)


def _divergences(values: Distribution, lows: Real, highs: Real) -> Real:
    """For each range: of the values, those outside moved to the ends, from what 256 integers tell of them.

    Integers keep the sum of their bins, which is then spread over those of them that had any.
    """
    bins = _LEVELS * _BINS_A_LEVEL
    edges = lows[:, None] + (highs - lows)[:, None] * (np.arange(bins + 1) / bins)
    below = values.counts_below(edges)
    inside = np.diff(below, axis=1)
    given = inside.copy()
    given[:, 0] += below[:, 0]
    given[:, -1] += values.total - below[:, -1]
    levels, held = (each.reshape(len(lows), _LEVELS, -1) for each in (inside, given > 0))
    sums, filled = total(levels, (2,)), held.sum(axis=2)
    spread = np.where(held, (sums / np.maximum(filled, 1))[:, :, None], 0.0).reshape(given.shape)
    p, q = given / values.total, spread / np.maximum(total(sums, (1,)), 1.0)[:, None]
    ratio = np.where(p > 0, p / np.maximum(q, _SMALLEST_SHARE), 1.0)
    return np.asarray(total(p * log(ratio.astype(np.float32)), (1,)), np.float64)
