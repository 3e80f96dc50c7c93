"""Requantisation: int32 sums to the scale of an int8 result, with one small product a lane.

    x = sat18(round_half_up(t · 2^−pre)),  y = (x · m + 2²⁴) >> 25

sat18 saturates to int18, −2¹⁷ … 2¹⁷ − 1, and m has 17 bits: one multiplier of 18 by 18 bits with signs of an
FPGA. −2¹⁷ · (2¹⁷ − 1) ≤ x · m ≤ (2¹⁷ − 1)² < 2³⁴: the product has 35 bits, and y lies from −512 to 512.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.numerics.saturate import Int32Array

X_BITS = 18
"""Of x, with its sign."""
X_MINIMUM, X_MAXIMUM = -(1 << (X_BITS - 1)), (1 << (X_BITS - 1)) - 1
"""Where x saturates."""
MULTIPLIER_BITS = 17
SHIFT_BITS = 6
SHIFT_POSITION = MULTIPLIER_BITS
"""First bit of the shift in a packed scale: right behind the multiplier."""
PRODUCT_SHIFT = 25
"""What a full multiplier, of 2¹⁶ or more, leaves of the largest x is 256: beyond the span of int8."""

# NumPy converts a Python number anew in each operation.
_X_LIMITS = np.array(float(X_MINIMUM)), np.array(float(X_MAXIMUM))
_HALF = np.array(0.5)
_KEPT_LANES = 128

MULTIPLIER_MAXIMUM = (1 << MULTIPLIER_BITS) - 1
SHIFT_MINIMUM = -(1 << (SHIFT_BITS - 1))
SHIFT_MAXIMUM = (1 << (SHIFT_BITS - 1)) - 1


def pack_scale(multiplier: ArrayLike, shift: ArrayLike) -> Int32Array:
    """The parameter lanes that hold these multipliers (0 … 131071) and shifts (−32 … 31); shapes broadcast.

    Raises:
        ValueError: if one does not fit its field.
    """
    m, pre = np.asarray(multiplier), np.asarray(shift)
    _check_range("multiplier", m, 0, MULTIPLIER_MAXIMUM)
    _check_range("shift", pre, SHIFT_MINIMUM, SHIFT_MAXIMUM)
    field = pre.astype(np.int32) & ((1 << SHIFT_BITS) - 1)
    packed: Int32Array = m.astype(np.int32) | (field << SHIFT_POSITION)
    return packed


def unpack_scale(scale: Int32Array) -> tuple[Int32Array, Int32Array]:
    """Multiplier and shift of packed lanes; the bits outside of both fields are ignored."""
    # Left until the field's sign bit is bit 31, then an arithmetic shift to the right extends it.
    above = 32 - SHIFT_POSITION - SHIFT_BITS
    return scale & MULTIPLIER_MAXIMUM, (scale << above) >> (32 - SHIFT_BITS)


def requantise(t: Int32Array | NDArray[np.float64], scale: Int32Array) -> Int32Array:
    """y of the module's formula, before the zero point.

    Args:
        t: int32 values, as int32 or float64.
        scale: packed lanes, int32; broadcasts with `t`.
    """
    before, after = _factors(scale)
    # In float64, whose arithmetic is vectorised: scaling by powers of two is exact, x · m has 35 bits, and
    # what loses its half for want of 53 bits is far beyond the saturation.
    x: NDArray[np.float64] = np.asarray(np.multiply(t, before, dtype=np.float64))
    _round_half_up(x)
    np.maximum(x, _X_LIMITS[0], out=x)
    np.minimum(x, _X_LIMITS[1], out=x)
    x *= after
    _round_half_up(x)
    return x.astype(np.int32)


def quantise_multiplier(real_scale: ArrayLike) -> tuple[Int32Array, Int32Array]:
    """The multiplier and shift for which requantise(t) is nearest to t · real_scale.

    Args:
        real_scale: positive scales, of any shape. From 2⁻⁴⁰ up the multiplier has its full 17 bits.

    Returns:
        multiplier and shift, int32, of the shape of `real_scale`; `pack_scale` takes them.

    Raises:
        ValueError: if a scale is not positive, or out of reach: above 131071 · 2⁷, or nearest to 0.
    """
    real = np.asarray(real_scale, np.float64)
    largest = MULTIPLIER_MAXIMUM * 2.0 ** -(PRODUCT_SHIFT + SHIFT_MINIMUM)
    smallest = 2.0 ** -(PRODUCT_SHIFT + SHIFT_MAXIMUM)
    _check_scale(real, real > smallest / 2, f"positive and above {smallest / 2:g}: take it as 0")
    _check_scale(real, real <= largest, f"at most {largest:g}: raise the scale of the result")
    exponent = np.frexp(real)[1]
    pre = np.minimum(MULTIPLIER_BITS - PRODUCT_SHIFT - exponent, SHIFT_MAXIMUM)
    m = np.rint(np.ldexp(real, PRODUCT_SHIFT + pre))
    # Rounded up to a power of two: half the multiplier, one bit less of shift.
    full = m > MULTIPLIER_MAXIMUM
    return np.where(full, m / 2, m).astype(np.int32), (pre - full).astype(np.int32)


def _factors(scale: Int32Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """2^−pre and m · 2⁻²⁵ of packed lanes."""
    if scale.shape == (scale.size,) and scale.size <= _KEPT_LANES:
        return _factors_of_vector(scale.astype(np.int32, copy=False).tobytes())
    return _powers(scale)


@lru_cache(maxsize=256)
def _factors_of_vector(scale: bytes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The factors of one parameter vector: a layer uses the same scales in each of its instructions."""
    return _powers(np.frombuffer(scale, np.int32))


def _powers(scale: Int32Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    m, pre = unpack_scale(scale)
    return np.ldexp(1.0, -pre), np.ldexp(m.astype(np.float64), -PRODUCT_SHIFT)


def _round_half_up(x: NDArray[np.float64]) -> None:
    x += _HALF
    np.floor(x, out=x)


def _check_range(name: str, values: NDArray[Any], low: int, high: int) -> None:
    wrong = values[(values < low) | (values > high)]
    if wrong.size:
        raise ValueError(f"{name} must be from {low} to {high}, not {wrong.flat[0]}")


def _check_scale(real: NDArray[np.float64], good: NDArray[np.bool_], what: str) -> None:
    if not good.all():
        raise ValueError(f"scale must be {what}, not {real[~good].flat[0]:g}")
