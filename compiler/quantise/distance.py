"""How far results are from those of floats: the ratio of noise to signal, and decibels."""

import math
from collections.abc import Mapping

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.numerics.exact_sum import total


def noise_share(expected: Mapping[str, Array], found: Mapping[str, Array]) -> float:
    """The squares of the errors as a share of those of what is expected: the mean over the results.

    Args:
        expected: arrays by name.
        found: of the same shapes; a result that is 0 everywhere counts as its plain error.
    """
    shares = [_share(expected[name], found[name]) for name in sorted(expected)]
    return math.fsum(shares) / len(shares)


def decibels(share: float) -> float:
    """The ratio of signal to noise: 10 log10 of 1 / share; infinite without noise."""
    return math.inf if share == 0 else -10 * math.log10(share)


def _share(expected: Array, found: Array) -> float:
    return noise(expected, found) / (energy(expected) or 1.0)


def energy(x: Array) -> float:
    """The sum of all squares, with the same bits on every machine."""
    wide = x.astype(np.float64).reshape(-1)
    return float(total(wide * wide, (0,)))


def noise(expected: Array, found: Array) -> float:
    """The energy of the difference."""
    return energy(expected.astype(np.float64) - found)
