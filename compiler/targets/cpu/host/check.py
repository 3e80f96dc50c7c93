"""Checks of elements before an operator reads them: indices in range, exponents from 0."""

from collections.abc import Callable

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.function import Equation, Function
from tilewright.compiler.ops.primitive.argsort import ArgSort
from tilewright.compiler.ops.primitive.gather import Gather, ScatterAdd
from tilewright.compiler.ops.primitive.gather_elements import GatherElements, ScatterElements
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.nonzero import NonZero
from tilewright.compiler.targets.cpu.host.template import KernelSpec, Reader, kernel_spec
from tilewright.compiler.te import cast, either, max_of, reduce_axis
from tilewright.compiler.tir.expr import Expr

_INDEXED = (Gather, GatherElements, ScatterAdd, ScatterElements)
_SAFE = (ArgSort, Iota, NonZero)
"""Operators whose results are indices in range of their operand."""


def demand_of(equation: Equation, function: Function) -> str:
    """The condition on elements of the second operand; "" if it always holds."""
    if not _is_demanding(equation) or equation.operands[1].type.elements == 0:
        return ""
    producer = function.producers.get(equation.operands[1])
    if producer is not None and isinstance(producer.operator, _SAFE):
        return ""
    if isinstance(equation.operator, _INDEXED):
        size = equation.operands[0].type.numbers[equation.operator.axis]
        text = f"indices must be from {-size} to {size - 1}"
    else:
        text = "an exponent of integers must be 0 or more: cast to float32 before"
    return f"{equation.label} ({equation.operator.name}): {text}"


def _is_demanding(equation: Equation) -> bool:
    operator = equation.operator
    is_power = isinstance(operator, Map) and operator.function == "pow"
    return isinstance(operator, _INDEXED) or (is_power and equation.result.type.dtype.is_signed)


def is_broken(equation: Equation) -> Callable[[Expr], Expr]:
    """Whether an element of the second operand breaks the condition."""
    if not isinstance(equation.operator, _INDEXED):
        return lambda exponent: exponent < 0
    size = equation.operands[0].type.numbers[equation.operator.axis]
    return lambda index: either([index < -size, index >= size])


def check_kernel(reader: Reader, equation: Equation) -> KernelSpec:
    """An int32: 1 if an element of the second operand breaks the demand, else 0."""
    value, breaks = equation.operands[1], is_broken(equation)
    axes = tuple(reduce_axis(size, f"k{axis}") for axis, size in enumerate(value.type.numbers))

    def flag() -> Expr:
        return max_of(cast(breaks(reader.element(value, axes)), DType.INT32), axes or reduce_axis(1, "k"))

    return kernel_spec(reader.builder, reader.builder.stage("out", (), flag), [])
