"""How every integer operator ends: bias, requantisation, zero point, clamp."""

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ops.quantised.operator import expect_range
from tilewright.numerics.requantise import requantise
from tilewright.numerics.saturate import saturated_sum


def finish(t: Array, bias: Array, scale: Array, zero_point: int, lo: int, hi: int) -> Array:
    """clamp(requantise(sat32(t + bias), scale) + zero_point, lo, hi) as int8.

    Args:
        t: exact sums, of any dtype that holds them.
        bias: int32, broadcasts with t.
        scale: packed scales, int32, broadcasts with t.
    """
    y = requantise(saturated_sum(t, bias), scale)
    y += np.int32(zero_point)
    return np.minimum(np.maximum(y, lo), hi).astype(np.int8)


def expect_clamp(lo: int, hi: int) -> None:
    """Raises OperatorError unless lo … hi is a range of int8."""
    expect_range("lo", lo, -128, 127)
    expect_range("hi", hi, -128, 127)
    expect(lo <= hi, f"lo must be at most hi, not {lo} > {hi}")


def expect_int32(what: str, value: int) -> None:
    """Raises OperatorError unless the value fits an int32."""
    expect_range(what, value, -(2**31), 2**31 - 1)
