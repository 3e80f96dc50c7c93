"""Operators on LLVM values, scalars or vectors alike, with the meaning that numpy gives them.

Integers wrap; a division by 0 gives 0, and the lowest number by −1 is itself: nothing traps.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.half import float_of_half, half_of_float
from tilewright.compiler.targets.cpu.intrinsic import call_intrinsic
from tilewright.compiler.targets.cpu.type import element_of, lanes_of, like, register_type, with_lanes
from tilewright.compiler.tir.expr import BinaryOp

_NARROW = (DType.INT8, DType.UINT8, DType.INT16, DType.UINT16, DType.INT32)
"""Integers that all are int32."""
Operation = Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]


def operate(builder: ir.IRBuilder, op: BinaryOp, dtype: DType, a: ir.Value, b: ir.Value) -> ir.Value:
    """One operator on operands of an element type.

    Raises:
        CpuError: for one that truth values do not have.
    """
    if dtype is DType.FLOAT16:
        raise CpuError(f"{op} must not be applied to {dtype} on the host: cast the operands to float32")
    if dtype.is_float:
        table = _FLOAT
    elif dtype is DType.BOOL:
        table = _BOOL
    else:
        table = _SIGNED if dtype.is_signed else _UNSIGNED
    if op not in table:
        raise CpuError(f"{op} must not be applied to {dtype}: cast the operands")
    return table[op](builder, a, b)


def fused(builder: ir.IRBuilder, op: BinaryOp, a: ir.Value, b: ir.Value) -> ir.Value | None:
    """A float operator that may become one with its neighbours (multiply and add, rounded once)."""
    method = {BinaryOp.ADD: builder.fadd, BinaryOp.SUB: builder.fsub, BinaryOp.MUL: builder.fmul}.get(op)
    return None if method is None else method(a, b, flags=("contract",))


def convert(builder: ir.IRBuilder, value: ir.Value, old: DType, new: DType) -> ir.Value:
    """The value in another type; a float out of the range of an integer type gives its nearest, NaN 0."""
    if old is new:
        return value
    if old is DType.FLOAT16:
        return convert(builder, float_of_half(builder, value), DType.FLOAT32, new)
    if new is DType.FLOAT16:
        exact = old if old.is_float else DType.FLOAT64
        return half_of_float(builder, convert(builder, value, old, exact))
    to = register_type(new, lanes_of(value))
    if new is DType.BOOL:
        zero = like(value, 0)
        return (
            builder.fcmp_unordered("!=", value, zero)
            if old.is_float
            else builder.icmp_signed("!=", value, zero)
        )
    if old.is_float:
        return _from_float(builder, value, new, to)
    unsigned = not old.is_signed
    if new.is_float:
        return builder.uitofp(value, to) if unsigned else builder.sitofp(value, to)
    if new.size_bytes < old.size_bytes:
        return builder.trunc(value, to)
    if element_of(value) == register_type(new):
        return value
    return builder.zext(value, to) if unsigned else builder.sext(value, to)


def smaller(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """Of two signed integers."""
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def larger(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """Of two signed integers."""
    return builder.select(builder.icmp_signed(">", a, b), a, b)


def _from_float(builder: ir.IRBuilder, value: ir.Value, new: DType, to: ir.Type) -> ir.Value:
    if new is DType.FLOAT64:
        return builder.fpext(value, to)
    if new is DType.FLOAT32:
        return builder.fptrunc(value, to)
    if new in _NARROW:
        return _saturated(builder, value, new, to)
    return call_intrinsic(builder, "fptosi.sat" if new.is_signed else "fptoui.sat", [value], to)


def _saturated(builder: ir.IRBuilder, value: ir.Value, new: DType, to: ir.Type) -> ir.Value:
    """To an integer of at most 32 bits, through int32: LLVM does saturating conversions lane by lane."""
    limits = np.iinfo(new.value)
    lowest, highest = (float(number) for number in (limits.min, limits.max))
    # The nearest float32 to the largest int32 is no int32: it is put in behind.
    is_rounded = element_of(value) == ir.FloatType() and int(np.float32(highest)) != limits.max
    inside = float(np.nextafter(np.float32(highest), np.float32(0))) if is_rounded else highest
    near = builder.select(builder.fcmp_ordered("<", value, like(value, lowest)), like(value, lowest), value)
    near = builder.select(builder.fcmp_ordered(">", near, like(near, inside)), like(near, inside), near)
    near = builder.select(builder.fcmp_unordered("uno", value, value), like(value, 0.0), near)
    whole = builder.fptosi(near, with_lanes(ir.IntType(32), lanes_of(value)))
    if is_rounded:
        beyond = builder.fcmp_ordered(">", value, like(value, inside))
        whole = builder.select(beyond, like(whole, limits.max), whole)
    return whole if whole.type == to else builder.trunc(whole, to)


def _signed_parts(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Quotient and remainder towards 0 with divisors 0 and −1 taken as 1, and whether to go one below."""
    zero = like(b, 0)
    special = builder.or_(builder.icmp_signed("==", b, zero), builder.icmp_signed("==", b, like(b, -1)))
    safe = builder.select(special, like(b, 1), b)
    quotient, remainder = builder.sdiv(a, safe), builder.srem(a, safe)
    crossed = builder.icmp_signed("<", builder.xor(remainder, safe), zero)
    return quotient, remainder, builder.and_(crossed, builder.icmp_signed("!=", remainder, zero))


def _signed_quotient(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    power = _power_of_two(b)
    if power is not None:
        return builder.ashr(a, like(a, power))
    quotient, _, below = _signed_parts(builder, a, b)
    quotient = builder.add(quotient, builder.sext(below, quotient.type))
    quotient = builder.select(builder.icmp_signed("==", b, like(b, -1)), builder.neg(a), quotient)
    return builder.select(builder.icmp_signed("==", b, like(b, 0)), like(b, 0), quotient)


def _signed_remainder(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    power = _power_of_two(b)
    if power is not None:
        return builder.and_(a, like(a, (1 << power) - 1))
    _, remainder, below = _signed_parts(builder, a, b)
    remainder = builder.add(remainder, builder.select(below, b, like(b, 0)))
    return builder.select(builder.icmp_signed("==", b, like(b, 0)), like(b, 0), remainder)


def _power_of_two(value: ir.Value) -> int | None:
    """The exponent of a positive constant power of two."""
    if not isinstance(value, ir.Constant):
        return None
    number = value.constant[0] if isinstance(value.type, ir.VectorType) else value.constant
    if not isinstance(number, int) or number <= 0 or number & (number - 1):
        return None
    same = not isinstance(value.type, ir.VectorType) or all(lane == number for lane in value.constant)
    return number.bit_length() - 1 if same else None


def _unsigned(method: str) -> Operation:
    """A division, of which one by 0 gives 0."""

    def divide(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        by_zero = builder.icmp_unsigned("==", b, like(b, 0))
        result = getattr(builder, method)(a, builder.select(by_zero, like(b, 1), b))
        return builder.select(by_zero, like(b, 0), result)

    return divide


def _float_parts(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The result of fmod, the remainder with the sign of b, and whether the two differ."""
    remainder, zero = builder.frem(a, b), like(a, 0.0)
    crossed = builder.xor(builder.fcmp_ordered("<", b, zero), builder.fcmp_ordered("<", remainder, zero))
    crossed = builder.and_(crossed, builder.fcmp_unordered("!=", remainder, zero))
    moved = builder.select(crossed, builder.fadd(remainder, b), remainder)
    nothing = call_intrinsic(builder, "copysign", [zero, b])
    return remainder, builder.select(builder.fcmp_ordered("==", remainder, zero), nothing, moved), crossed


def _float_quotient(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    """As Python and numpy: from the remainder, then to the nearest integer, which rounding missed."""
    zero, one = like(a, 0.0), like(a, 1.0)
    remainder, _, crossed = _float_parts(builder, a, b)
    plain = builder.fdiv(a, b)
    quotient = builder.fdiv(builder.fsub(a, remainder), b)
    quotient = builder.select(crossed, builder.fsub(quotient, one), quotient)
    whole = call_intrinsic(builder, "floor", [quotient])
    missed = builder.fcmp_ordered(">", builder.fsub(quotient, whole), like(a, 0.5))
    whole = builder.select(missed, builder.fadd(whole, one), whole)
    nothing = call_intrinsic(builder, "copysign", [zero, plain])
    result = builder.select(builder.fcmp_ordered("==", quotient, zero), nothing, whole)
    return builder.select(builder.fcmp_ordered("==", b, zero), plain, result)


def _float_remainder(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    remainder, signed, _ = _float_parts(builder, a, b)
    return builder.select(builder.fcmp_ordered("==", b, like(a, 0.0)), remainder, signed)


def _integer(sign: str, symbol: str) -> Operation:
    return lambda builder, a, b: getattr(builder, f"icmp_{sign}")(symbol, a, b)


def _integer_choice(sign: str, symbol: str) -> Operation:
    compare = _integer(sign, symbol)
    return lambda builder, a, b: builder.select(compare(builder, a, b), a, b)


def _float(symbol: str) -> Operation:
    compare = "fcmp_unordered" if symbol == "!=" else "fcmp_ordered"
    return lambda builder, a, b: getattr(builder, compare)(symbol, a, b)


def _float_choice(symbol: str) -> Operation:
    """The smaller or larger one; a NaN wins, the first of two; of equals the second."""

    def choose(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        first = builder.or_(builder.fcmp_ordered(symbol, a, b), builder.fcmp_unordered("uno", a, a))
        return builder.select(first, a, b)

    return choose


def _comparisons(make: Callable[[str], Operation]) -> dict[BinaryOp, Operation]:
    return {op: make(op.value) for op in BinaryOp if op.is_comparison}


_WRAPPING: dict[BinaryOp, Operation] = {
    BinaryOp.ADD: ir.IRBuilder.add,
    BinaryOp.SUB: ir.IRBuilder.sub,
    BinaryOp.MUL: ir.IRBuilder.mul,
}
_SIGNED: dict[BinaryOp, Operation] = {
    **_WRAPPING,
    BinaryOp.FLOORDIV: _signed_quotient,
    BinaryOp.MOD: _signed_remainder,
    BinaryOp.MIN: _integer_choice("signed", "<"),
    BinaryOp.MAX: _integer_choice("signed", ">"),
    **_comparisons(lambda symbol: _integer("signed", symbol)),
}
_UNSIGNED: dict[BinaryOp, Operation] = {
    **_WRAPPING,
    BinaryOp.FLOORDIV: _unsigned("udiv"),
    BinaryOp.MOD: _unsigned("urem"),
    BinaryOp.MIN: _integer_choice("unsigned", "<"),
    BinaryOp.MAX: _integer_choice("unsigned", ">"),
    **_comparisons(lambda symbol: _integer("unsigned", symbol)),
}
_BOOL: dict[BinaryOp, Operation] = {
    **dict.fromkeys((BinaryOp.AND, BinaryOp.MUL, BinaryOp.MIN), ir.IRBuilder.and_),
    **dict.fromkeys((BinaryOp.OR, BinaryOp.ADD, BinaryOp.MAX), ir.IRBuilder.or_),
    **_comparisons(lambda symbol: _integer("unsigned", symbol)),
}
_FLOAT: dict[BinaryOp, Operation] = {
    BinaryOp.ADD: ir.IRBuilder.fadd,
    BinaryOp.SUB: ir.IRBuilder.fsub,
    BinaryOp.MUL: ir.IRBuilder.fmul,
    BinaryOp.FLOORDIV: _float_quotient,
    BinaryOp.MOD: _float_remainder,
    BinaryOp.MIN: _float_choice("<"),
    BinaryOp.MAX: _float_choice(">"),
    **_comparisons(_float),
}
