"""Functions of elements as LLVM values, as defined in `numerics/`, in integers of up to 64 bits."""

from collections.abc import Callable, Sequence

from llvmlite import ir

from tilewright.compiler.targets.cpu.arithmetic import larger, smaller
from tilewright.compiler.targets.cpu.elementary import emit_elementary
from tilewright.compiler.targets.cpu.intrinsic import call_intrinsic, external
from tilewright.compiler.targets.cpu.type import element_of, lanes_of, like, with_lanes
from tilewright.compiler.tir.expr import ElementFunction
from tilewright.numerics.elementary import erf_of, exp_of, log_of, tanh_of
from tilewright.numerics.requantise import (
    MULTIPLIER_BITS,
    MULTIPLIER_MAXIMUM,
    PRODUCT_SHIFT,
    SHIFT_BITS,
    SHIFT_POSITION,
    X_BITS,
    X_MAXIMUM,
    X_MINIMUM,
)

_INT32_BITS = 32
_LOW_BITS = X_BITS - 1 + MULTIPLIER_BITS - (_INT32_BITS - 2)
"""Of a multiplier: x times the bits above them is −2³⁰ at least, which leaves room for what is added."""
_LLVM_NAMES = {
    ElementFunction.EXP: "exp",
    ElementFunction.LOG: "log",
    ElementFunction.TANH: "tanh",
    ElementFunction.SQRT: "sqrt",
    ElementFunction.ROUND: "roundeven",
    ElementFunction.ABSOLUTE: "fabs",
    ElementFunction.FLOOR: "floor",
    ElementFunction.CEIL: "ceil",
    ElementFunction.SIN: "sin",
    ElementFunction.COS: "cos",
    ElementFunction.TAN: "tan",
    ElementFunction.ASIN: "asin",
    ElementFunction.ACOS: "acos",
    ElementFunction.ATAN: "atan",
    ElementFunction.SINH: "sinh",
    ElementFunction.COSH: "cosh",
}


def call_function(
    builder: ir.IRBuilder, function: ElementFunction, arguments: Sequence[ir.Value]
) -> ir.Value:
    """The result on operands of as many lanes of one type.

    exp, log, tanh and erf of float64, powers of floats and functions of angles are those of the C library.
    """
    if function in _OF_FLOAT32 and element_of(arguments[0]) == ir.FloatType():
        return _OF_FLOAT32[function](builder, *arguments)
    if function in _LLVM_NAMES:
        return call_intrinsic(builder, _LLVM_NAMES[function], arguments)
    return _WRITTEN_OUT[function](builder, *arguments)


def _saturate(bits: int) -> Callable[[ir.IRBuilder, ir.Value], ir.Value]:
    limit = 1 << (bits - 1)

    def saturate(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
        near = _within(builder, value, like(value, -limit), like(value, limit - 1))
        return builder.trunc(near, with_lanes(ir.IntType(bits), lanes_of(value)))

    return saturate


def _saturating_add(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """a is brought to where the sum has 32 bits; where that is depends on b alone, which seldom changes."""
    lowest = builder.sub(like(b, -(1 << _INT32_BITS - 1)), smaller(builder, b, like(b, 0)))
    highest = builder.sub(like(b, (1 << _INT32_BITS - 1) - 1), larger(builder, b, like(b, 0)))
    return builder.add(_within(builder, a, lowest, highest), b)


def _requantise(builder: ir.IRBuilder, t: ir.Value, scale: ir.Value) -> ir.Value:
    """((sat18(round_half_up(t · 2^−pre)) · m) + 2²⁴) >> 25, in 32 bits all along.

    m = m₁ · 2⁴ + m₀, and what x · m₀ has below 2⁴ reaches no bit that is kept:
    y = (x · m₁ + (x · m₀ >> 4) + 2²⁰) >> 21, where |x · m₁| ≤ 2¹⁷ · (2¹³ − 1) and |x · m₀ >> 4| < 2¹⁷.
    """
    multiplier, shift = _unpacked(builder, scale)
    x, low = _rounded(builder, t, shift), like(scale, _LOW_BITS)
    high_part = builder.mul(x, builder.lshr(multiplier, low))
    low_part = builder.mul(x, builder.and_(multiplier, like(scale, (1 << _LOW_BITS) - 1)))
    product = builder.add(high_part, builder.ashr(low_part, low))
    product = builder.add(product, like(product, 1 << (PRODUCT_SHIFT - _LOW_BITS - 1)))
    return builder.ashr(product, like(product, PRODUCT_SHIFT - _LOW_BITS))


def _rounded(builder: ir.IRBuilder, t: ir.Value, shift: ir.Value) -> ir.Value:
    """t · 2^−shift, rounded half up, saturated: by way of floor(t · 2^(1−shift)), whose last bit rounds."""
    one, least, most = (like(t, value) for value in (1, 2 * X_MINIMUM, 2 * X_MAXIMUM))
    right, left = (
        larger(builder, steps, like(t, 0)) for steps in (builder.sub(shift, one), builder.sub(one, shift))
    )
    # Whatever moves further than this is 0 or saturated.
    left = smaller(builder, left, like(t, X_BITS))
    lowest = builder.ashr(least, left)
    # Both ends are whole: the lower one moves to the least, the upper one beyond the most.
    doubled = _within(builder, builder.ashr(t, right), lowest, builder.neg(lowest))
    doubled = smaller(builder, builder.shl(doubled, left), most)
    return builder.ashr(builder.add(doubled, one), one)


def _within(builder: ir.IRBuilder, x: ir.Value, lowest: ir.Value, highest: ir.Value) -> ir.Value:
    """The nearest number in between."""
    return smaller(builder, larger(builder, x, lowest), highest)


def _unpacked(builder: ir.IRBuilder, scale: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Multiplier and shift; the bits outside of both fields are ignored."""
    above = _INT32_BITS - SHIFT_POSITION - SHIFT_BITS
    field = builder.shl(scale, like(scale, above))
    shift = builder.ashr(field, like(scale, _INT32_BITS - SHIFT_BITS))
    return builder.and_(scale, like(scale, MULTIPLIER_MAXIMUM)), shift


def _power(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """A power of integers by squaring: one step for each bit of the exponent."""
    if not isinstance(element_of(x), ir.IntType):
        return call_intrinsic(builder, "pow", [x, y])
    result, zero = like(x, 1), like(x, 0)
    for bit in range(element_of(x).width):
        is_set = builder.icmp_signed("!=", builder.and_(y, like(y, _wrapped(1 << bit, y))), zero)
        result = builder.select(is_set, builder.mul(result, x), result)
        x = builder.mul(x, x)
    return result


def _wrapped(number: int, value: ir.Value) -> int:
    """A number as the signed integer of the same bits."""
    width = element_of(value).width
    return number - (1 << width) if number >> (width - 1) else number


def _shift_left(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    inside = builder.icmp_unsigned("<", y, like(y, element_of(y).width))
    return builder.select(inside, builder.shl(x, builder.select(inside, y, like(y, 0))), like(x, 0))


def shift_right(builder: ir.IRBuilder, is_signed: bool, x: ir.Value, y: ir.Value) -> ir.Value:
    """x · 2^-y, rounded down; what is shifted out entirely leaves the sign."""
    last = like(y, element_of(y).width - 1)
    inside = builder.icmp_unsigned("<=", y, last)
    if is_signed:
        return builder.ashr(x, builder.select(inside, y, last))
    return builder.select(inside, builder.lshr(x, builder.select(inside, y, like(y, 0))), like(x, 0))


def _erf(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """erf of float64, by the C library, lane by lane."""
    double = ir.DoubleType()
    function = external(builder.module, "erf", double, [double])
    if lanes_of(x) == 1:
        return builder.call(function, [x])
    result = ir.Constant(x.type, ir.Undefined)
    for lane in range(lanes_of(x)):
        at = ir.Constant(ir.IntType(32), lane)
        result = builder.insert_element(result, builder.call(function, [builder.extract_element(x, at)]), at)
    return result


_OF_FLOAT32: dict[ElementFunction, Callable[..., ir.Value]] = {
    ElementFunction.EXP: emit_elementary(exp_of),
    ElementFunction.LOG: emit_elementary(log_of),
    ElementFunction.TANH: emit_elementary(tanh_of),
    ElementFunction.ERF: emit_elementary(erf_of),
}
_WRITTEN_OUT: dict[ElementFunction, Callable[..., ir.Value]] = {
    ElementFunction.SATURATE_INT8: _saturate(8),
    ElementFunction.SATURATE_INT16: _saturate(16),
    ElementFunction.SATURATING_ADD: _saturating_add,
    ElementFunction.REQUANTISE: _requantise,
    ElementFunction.DIVIDE: ir.IRBuilder.fdiv,
    ElementFunction.ERF: _erf,
    ElementFunction.FMOD: ir.IRBuilder.frem,
    ElementFunction.POWER: _power,
    ElementFunction.BIT_AND: ir.IRBuilder.and_,
    ElementFunction.BIT_OR: ir.IRBuilder.or_,
    ElementFunction.BIT_XOR: ir.IRBuilder.xor,
    ElementFunction.SHIFT_LEFT: _shift_left,
}
