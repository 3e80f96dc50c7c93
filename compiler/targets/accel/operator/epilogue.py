"""What every integer operator ends with: bias, requantisation, zero point, clamp."""

from tilewright.compiler.dtype import DType
from tilewright.compiler.te import Tensor, cast, clamp, requantise, saturating_add
from tilewright.compiler.tir.expr import Expr

BIAS = 0
SCALE = 1
FACTOR = 2
"""Places of the parameter vectors of a block."""


def finish(
    total: Expr, parameters: Tensor, block: Expr, lane: Expr, *, zero_point: int, lo: int, hi: int
) -> Expr:
    """The int8 result of a total: clamp(requantise(total + bias, scale) + zero_point, lo, hi).

    Args:
        total: int32.
        parameters: int32 [blocks][vectors][lanes].
        block, lane: of the result.
        zero_point, lo, hi: of the result.
    """
    biased = saturating_add(total, parameters[block, BIAS, lane])
    scaled = requantise(biased, parameters[block, SCALE, lane])
    return cast(clamp(scaled + zero_point, lo, hi), DType.INT8)
