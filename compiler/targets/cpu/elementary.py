"""The algorithms of `numerics.elementary` as LLVM values, operation by operation."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.cpu.arithmetic import convert
from tilewright.compiler.targets.cpu.intrinsic import call_intrinsic
from tilewright.compiler.targets.cpu.type import lanes_of, like, with_lanes
from tilewright.numerics.elementary import Arithmetic, number_bits

_MANTISSA, _HALF = 0x007FFFFF, 0x3F000000


class LlvmArithmetic:
    """Float32 values of one number of lanes; members as in `Arithmetic`.

    Args:
        builder: where the operations are written. None of them may be contracted.
        example: a value with the lanes of all others.
    """

    def __init__(self, builder: ir.IRBuilder, example: ir.Value) -> None:
        self._builder, self._example = builder, example
        self._integers = with_lanes(ir.IntType(32), lanes_of(example))

    def number(self, value: float) -> ir.Value:
        return self._builder.bitcast(self._integer(number_bits(value)), self._example.type)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self._builder.fadd(a, b)

    def mul(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self._builder.fmul(a, b)

    def div(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self._builder.fdiv(a, b)

    def round(self, a: ir.Value) -> ir.Value:
        return call_intrinsic(self._builder, "roundeven", [a])

    def less(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self._builder.fcmp_ordered("<", a, b)

    def equal(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self._builder.fcmp_ordered("==", a, b)

    def select(self, condition: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        return self._builder.select(condition, a, b)

    def power_of_two(self, n: ir.Value) -> ir.Value:
        # Saturating, since NaN and what is selected away come here as well.
        whole = convert(self._builder, n, DType.FLOAT32, DType.INT32)
        biased = self._builder.add(whole, self._integer(127))
        return self._builder.bitcast(self._builder.shl(biased, self._integer(23)), self._example.type)

    def split(self, a: ir.Value) -> tuple[ir.Value, ir.Value]:
        builder, floats = self._builder, self._example.type
        bits = builder.bitcast(a, self._integers)
        exponent = builder.sub(builder.ashr(bits, self._integer(23)), self._integer(126))
        mantissa = builder.or_(builder.and_(bits, self._integer(_MANTISSA)), self._integer(_HALF))
        return builder.bitcast(mantissa, floats), builder.sitofp(exponent, floats)

    def _integer(self, value: int) -> ir.Constant:
        return like(ir.Constant(self._integers, None), value)


def emit_elementary(
    function: Callable[[Arithmetic[Any], Any], Any],
) -> Callable[[ir.IRBuilder, ir.Value], ir.Value]:
    """Writes a function of `numerics.elementary` on float32 values."""
    return lambda builder, x: function(LlvmArithmetic(builder, x), x)
