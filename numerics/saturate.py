"""Narrowing without wrapping: saturation and rounding shifts, on arrays of any shape."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Int32Array = NDArray[np.int32]
Integers = NDArray[np.signedinteger[Any]]

# NumPy converts a Python number anew in each operation.
_INT32_MINIMUM = np.array(-(2.0**31))
_INT32_MAXIMUM = np.array(2.0**31 - 1)


def saturate(x: Integers, bits: int) -> Integers:
    """The nearest value that `bits` signed bits hold, in the dtype of `x`.

    Raises:
        ValueError: if `bits` is not from 1 to the width of the dtype.
    """
    width = 8 * x.dtype.itemsize
    if not 1 <= bits <= width:
        raise ValueError(f"bits must be from 1 to {width} (the width of {x.dtype}), not {bits!r}")
    if bits == width:
        return x
    limit = 1 << (bits - 1)
    return np.minimum(np.maximum(x, -limit), limit - 1)


def to_integer(x: NDArray[np.floating[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Floats as integers: rounded towards 0; beyond the range of `dtype` its nearest value, NaN as 0.

    Args:
        x: of any shape.
        dtype: of integers; numpy alone leaves out-of-range values to the processor.
    """
    ends = np.iinfo(dtype)
    whole = np.trunc(x)
    # One above the highest value is a power of two, which every float type has; the highest may be none.
    low, beyond = float(ends.min), float(ends.max + 1)
    inside = np.where((whole >= low) & (whole < beyond), whole, 0).astype(dtype)
    below = np.where(whole < low, dtype.type(ends.min), inside)
    return np.asarray(np.where(whole >= beyond, dtype.type(ends.max), below))


def saturating_add(a: Int32Array, b: Int32Array) -> Int32Array:
    """a + b, saturated to int32; the shapes broadcast."""
    return saturated_sum(a, b).astype(np.int32)


def saturated_sum(a: Int32Array, b: Int32Array) -> NDArray[np.float64]:
    """`saturating_add` in float64, which holds every int32 and every sum of two, and is vectorised."""
    total = np.asarray(np.add(a, b, dtype=np.float64))
    np.maximum(total, _INT32_MINIMUM, out=total)
    np.minimum(total, _INT32_MAXIMUM, out=total)
    return total


def round_shift(t: Integers, shift: Integers | int) -> NDArray[np.int64]:
    """t · 2^−shift, rounded half up; a negative shift is a shift to the left.

    Args:
        t: int32 values (of any integer dtype).
        shift: from −32 to 31; broadcasts with `t`.

    Exact for every int32 and every such shift: 32 bits moved 32 to the left fill an int64.
    """
    amount = np.asarray(shift, np.int64)
    right = np.maximum(amount, 0)
    half = (np.int64(1) << right) >> np.int64(1)
    wide = t.astype(np.int64) << np.maximum(-amount, 0)
    return np.asarray((wide + half) >> right, np.int64)
