"""Activations that a network quantises in one part and reads in another one: quantised anew where read.

A network with scales of its own says once how a value becomes integers. Where its readers are in another
program, the value comes there as floats, which are these integers times the scale: the same integers again.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.kernel import Kernel
from tilewright.compiler.network.target import ACCELERATOR
from tilewright.compiler.ops.nn.quantise import DequantiseAffine, QuantiseAffine
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose

_VIEWS = (Reshape, Transpose)
_BYTES = (DType.INT8, DType.UINT8)


def quantised_at_borders(split: Function, source: Function) -> Function:
    """The function of kernels in which parts on the accelerator quantise what others have dequantised.

    Args:
        split: of kernels.
        source: what was partitioned.
    """
    equations = []
    for equation in split.equations:
        operator = equation.operator
        if isinstance(operator, Kernel) and operator.target == ACCELERATOR:
            equation = replace(equation, operator=replace(operator, body=_body(operator.body, source)))
        equations.append(equation)
    return replace(split, equations=tuple(equations))


def _body(body: Function, source: Function) -> Function:
    """The body with a pair of equations behind each parameter that was dequantised elsewhere."""
    names = (f"border_{number}" for number in count())
    taken = {value.name for each in body.equations for value in each.results}
    taken.update(value.name for value in body.parameters)
    free = (name for name in names if name not in taken)
    again, added = dict[Value, Value](), list[Equation]()
    for value in body.parameters:
        scales = _scales(source, value)
        if scales is not None and not _is_quantised(body, value):
            pair = _pair(value, scales, free)
            added += pair
            again[value] = pair[-1].result
    if not added:
        return body
    equations = (
        replace(each, operands=tuple(again.get(value, value) for value in each.operands))
        for each in body.equations
    )
    return replace(body, equations=(*added, *equations))


def _scales(source: Function, value: Value) -> tuple[Equation, Equation] | None:
    """The constants of scale and zero point that a value was dequantised with, if it has one scale."""
    made = source.producers.get(value)
    while made is not None and isinstance(made.operator, _VIEWS):
        made = source.producers.get(made.operands[0])
    if made is None or not isinstance(made.operator, DequantiseAffine):
        return None
    before = source.producers.get(made.operands[0])
    if before is None or not isinstance(before.operator, QuantiseAffine):
        return None
    constants = [source.producers.get(each) for each in made.operands[1:]]
    scale, zero = constants
    if scale is None or zero is None or made.operands[2].type.dtype not in _BYTES:
        return None
    if not all(
        isinstance(each.operator, Constant) and each.result.type.elements == 1 for each in (scale, zero)
    ):
        return None
    return scale, zero


def _is_quantised(body: Function, value: Value) -> bool:
    """Whether all readers of a parameter quantise it themselves."""
    return all(isinstance(each.operator, QuantiseAffine) for each in body.consumers.get(value, ()))


def _pair(value: Value, scales: tuple[Equation, Equation], free: Iterator[str]) -> list[Equation]:
    """Constants, quantise and dequantise."""
    constants = [replace(each, results=(Value(next(free), each.result.type),)) for each in scales]
    operands = tuple(each.result for each in constants)
    integer = Value(next(free), value.type.with_dtype(operands[1].type.dtype))
    return [
        *constants,
        Equation((integer,), QuantiseAffine(), (value, *operands)),
        Equation((Value(next(free), value.type),), DequantiseAffine(), (integer, *operands)),
    ]
