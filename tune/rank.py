"""How well one order agrees with another."""

import numpy as np
from numpy.typing import NDArray


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each value [n] from 0; equal values share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    shared: NDArray[np.float64] = (first + (counts - 1) / 2)[which]
    return shared


def spearman(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> float | None:
    """The rank correlation of two arrays [n], −1 to 1; None where one of them has no order."""
    first, second = ranks(predicted), ranks(measured)
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / size if size else None
