"""Real numbers as int8 and back: x ≈ (q − zero_point) · scale."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

INT8_MINIMUM = -128
INT8_MAXIMUM = 127


def quantise(x: NDArray[np.floating[Any]], scale: float, zero_point: int) -> NDArray[np.int8]:
    """round(x / scale) + zero_point, half to even, saturated; the division has the precision of `x`.

    Raises:
        ValueError: if a value is not a number.
    """
    if np.isnan(x).any():
        raise ValueError("values to quantise must be numbers, not NaN: look for 0/0 or missing data")
    with np.errstate(over="ignore"):
        y = x / x.dtype.type(scale)
    np.rint(y, out=y)
    y += zero_point
    return np.clip(y, INT8_MINIMUM, INT8_MAXIMUM).astype(np.int8)


def dequantise(q: NDArray[np.int8], scale: float, zero_point: int) -> NDArray[np.float32]:
    """(q − zero_point) · scale, in float32."""
    return (q.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
