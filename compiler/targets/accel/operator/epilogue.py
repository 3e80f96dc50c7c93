"""The epilogue of integer operators: bias, requantisation, zero point, clamp."""

from tilewright.compiler.dtype import DType
from tilewright.compiler.te import Tensor, cast, clamp, requantise, saturate, saturating_add
from tilewright.compiler.tir.expr import Expr

BIAS = 0
SCALE = 1
FACTOR = 2
"""Places of the parameter vectors of a block."""


def with_residual(total: Expr, residual: Expr, parameters: Tensor, block: Expr, lane: Expr) -> Expr:
    """total + residual · factor, which must fit int32.

    Args:
        total: int32.
        residual: int8.
        parameters: int32 [blocks][vectors][lanes]; the factor is within int16.
        block, lane: of the result.
    """
    factor = cast(saturate(parameters[block, FACTOR, lane], DType.INT16), DType.INT32)
    return total + cast(residual, DType.INT32) * factor


def finish(
    total: Expr,
    parameters: Tensor,
    block: Expr,
    lane: Expr,
    *,
    zero_point: int,
    lo: int,
    hi: int,
    first: int = 0,
) -> Expr:
    """The int8 result of a total: clamp(requantise(total + bias, scale) + zero_point, lo, hi).

    Args:
        total: int32.
        parameters: int32 [blocks][vectors][lanes].
        block, lane: of the result.
        zero_point, lo, hi: of the result.
        first: of its vectors among those of the block.
    """
    biased = saturating_add(total, parameters[block, first + BIAS, lane])
    scaled = requantise(biased, parameters[block, first + SCALE, lane])
    return cast(clamp(scaled + zero_point, lo, hi), DType.INT8)
