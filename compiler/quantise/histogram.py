"""How often values occur, and the range of integers that loses least of them."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.array import Array
from tilewright.numerics.exact_sum import total
from tilewright.numerics.quantise import INT8_MAXIMUM, INT8_MINIMUM

_SIDE = 2048
"""Bins on either side of 0."""
_CANDIDATES = 48
"""Ends that are tried on either side: from the last value down to a quarter of it."""
_LEAST_PART = 0.25


@dataclass
class Histogram:
    """Counts of values in equal bins around 0, which become wider as larger values come.

    Bins are powers of two wide: which one a value is in is exact. Sums over bins have the same bits
    everywhere (`exact_sum`), so that every machine chooses the same range.

    Members:
        counts: int64 [2 · bins on a side].
        limit: what the last bin ends at, a power of two.
    """

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * _SIDE, np.int64))
    limit: float = 0.0

    def add(self, values: Array) -> None:
        """Count finite values, float32 of any shape."""
        largest = float(np.abs(values).max(initial=0))
        if largest > 0:
            self._widen(largest)
        scaled = values.reshape(-1) * np.float32(_SIDE / self.limit) if self.limit else values.reshape(-1)
        places = np.clip(np.floor(scaled).astype(np.int64) + _SIDE, 0, 2 * _SIDE - 1)
        self.counts += np.bincount(places, minlength=2 * _SIDE)

    def _widen(self, largest: float) -> None:
        fraction, exponent = math.frexp(largest)
        wanted = math.ldexp(1.0, exponent - 1 if fraction == 0.5 else exponent)
        if not self.limit:
            self.limit = wanted
        while self.limit < wanted:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros_like(self.counts)
            self.counts[_SIDE // 2 : _SIDE // 2 + _SIDE] = pairs
            self.limit *= 2

    def best_range(self, low: float, high: float) -> tuple[float, float]:
        """The range whose 256 integers have the least mean square error.

        A value inside loses a twelfth of the square of a step in the mean; one outside, its distance.

        Args:
            low, high: the least and the greatest value; 0 counts as one.
        """
        low, high = min(low, 0.0), max(high, 0.0)
        if low == high:
            return low, high
        parts = np.linspace(1.0, _LEAST_PART, _CANDIDATES)
        lows, highs = (low * parts if low else np.zeros(1)), (high * parts if high else np.zeros(1))
        outside = self._below(lows)[:, None] + self._above(highs)[None, :]
        steps = (highs[None, :] - lows[:, None]) / (INT8_MAXIMUM - INT8_MINIMUM)
        error = outside + self.counts.sum() * steps**2 / 12
        row, column = np.unravel_index(int(np.argmin(error)), error.shape)
        return float(lows[row]), float(highs[column])

    @property
    def _middles(self) -> NDArray[np.float64]:
        return np.asarray((np.arange(-_SIDE, _SIDE) + 0.5) * (self.limit / _SIDE), np.float64)

    def _below(self, ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of the squared distances of values below each of some ends."""
        distance = np.maximum(ends[:, None] - self._middles[None, :], 0.0)
        return np.asarray(total(distance**2 * self.counts, (1,)), np.float64)

    def _above(self, ends: NDArray[np.float64]) -> NDArray[np.float64]:
        distance = np.maximum(self._middles[None, :] - ends[:, None], 0.0)
        return np.asarray(total(distance**2 * self.counts, (1,)), np.float64)
