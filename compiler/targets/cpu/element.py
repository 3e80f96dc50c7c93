"""Functions of elements as LLVM values: what `numerics/` says, in integers of up to 64 bits."""

from collections.abc import Callable, Sequence

from llvmlite import ir

from tilewright.compiler.targets.cpu.arithmetic import larger, smaller
from tilewright.compiler.targets.cpu.intrinsic import call_intrinsic
from tilewright.compiler.targets.cpu.type import lanes_of, like, with_lanes
from tilewright.compiler.tir.expr import Function
from tilewright.numerics.requantise import (
    MULTIPLIER_MAXIMUM,
    PRODUCT_SHIFT,
    SHIFT_BITS,
    SHIFT_POSITION,
    X_LIMIT,
)

_INT32_BITS = 32
_LEFT_BITS = 15
_LLVM_NAMES = {
    Function.SATURATING_ADD: "sadd.sat",
    Function.EXP: "exp",
    Function.TANH: "tanh",
    Function.SQRT: "sqrt",
    Function.ROUND: "roundeven",
}


def call_function(builder: ir.IRBuilder, function: Function, arguments: Sequence[ir.Value]) -> ir.Value:
    """The result on operands of as many lanes. exp and tanh are those of the C library."""
    if function in _LLVM_NAMES:
        return call_intrinsic(builder, _LLVM_NAMES[function], arguments)
    return _WRITTEN_OUT[function](builder, *arguments)


def _saturate(bits: int) -> Callable[[ir.IRBuilder, ir.Value], ir.Value]:
    limit = 1 << (bits - 1)

    def saturate(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
        near = smaller(builder, larger(builder, value, like(value, -limit)), like(value, limit - 1))
        return builder.trunc(near, with_lanes(ir.IntType(bits), lanes_of(value)))

    return saturate


def _requantise(builder: ir.IRBuilder, t: ir.Value, scale: ir.Value) -> ir.Value:
    """((sat17(round_half_up(t · 2^−pre)) · m) + 2²¹) >> 22, in 32 bits all along."""
    multiplier, shift = _unpacked(builder, scale)
    x = _saturated(builder, _round_right(builder, t, larger(builder, shift, like(t, 0))))
    left = larger(builder, builder.neg(shift), like(t, 0))
    for _ in range(2):
        # A saturated number has room for 15 bits more; what moves further than twice that is 0 or saturated.
        step = smaller(builder, left, like(t, _LEFT_BITS))
        x = _saturated(builder, builder.shl(x, step))
        left = builder.sub(left, step)
    product = builder.mul(x, multiplier)
    product = builder.add(product, like(product, 1 << (PRODUCT_SHIFT - 1)))
    return builder.ashr(product, like(product, PRODUCT_SHIFT))


def _saturated(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """The nearest number that is multiplied."""
    return smaller(builder, larger(builder, x, like(x, -X_LIMIT)), like(x, X_LIMIT))


def _unpacked(builder: ir.IRBuilder, scale: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Multiplier and shift; the bits outside of both fields are ignored."""
    above = _INT32_BITS - SHIFT_POSITION - SHIFT_BITS
    field = builder.shl(scale, like(scale, above))
    shift = builder.ashr(field, like(scale, _INT32_BITS - SHIFT_BITS))
    return builder.and_(scale, like(scale, MULTIPLIER_MAXIMUM)), shift


def _round_right(builder: ir.IRBuilder, value: ir.Value, shift: ir.Value) -> ir.Value:
    """value · 2^−shift, rounded half up: what is shifted out last is added."""
    zero, one = like(value, 0), like(value, 1)
    before = larger(builder, builder.sub(shift, one), zero)
    last = builder.and_(builder.ashr(value, before), smaller(builder, shift, one))
    return builder.add(builder.ashr(value, shift), last)


_WRITTEN_OUT: dict[Function, Callable[..., ir.Value]] = {
    Function.SATURATE_INT8: _saturate(8),
    Function.SATURATE_INT16: _saturate(16),
    Function.REQUANTISE: _requantise,
    Function.DIVIDE: ir.IRBuilder.fdiv,
}
