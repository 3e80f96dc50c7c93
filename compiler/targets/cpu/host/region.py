"""Constants that regions capture, moved into them: weights of recurrent layers are packed once then."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ops.primitive.control import If, Scan, While

Literals = Callable[[Value], "Literal | None"]


def with_constants(
    operator: Operator, operands: tuple[Value, ...], literal: Literals
) -> tuple[Operator, tuple[Value, ...]]:
    """An operator whose regions have constants of their own in place of captured ones, and its operands."""
    if isinstance(operator, Scan | While):
        first = isinstance(operator, While)
        captured = operands[first : first + operator.captured]
        body, kept = _filled(operator.body, captured, literal)
        others = operands[first + operator.captured :]
        return replace(operator, captured=len(kept), body=body), (*operands[:first], *kept, *others)
    if isinstance(operator, If):
        count = 1 + len(operator.then.parameters)
        then, of_then = _filled(operator.then, operands[1:count], literal)
        orelse, of_orelse = _filled(operator.orelse, operands[count:], literal)
        return replace(operator, then=then, orelse=orelse), (operands[0], *of_then, *of_orelse)
    return operator, operands


def _filled(
    function: Function, given: Sequence[Value], literal: Literals
) -> tuple[Function, tuple[Value, ...]]:
    """A region whose first parameters are given these values: without those that are constants."""
    constants, parameters, kept = [], [], []
    for parameter, value in zip(function.parameters, given, strict=False):
        found = literal(value)
        if found is None:
            parameters.append(parameter)
            kept.append(value)
        else:
            constants.append(Equation((parameter,), Constant(found), ()))
    parameters += function.parameters[len(given) :]
    equations = (*constants, *function.equations)
    return Function(function.name, tuple(parameters), equations, function.results), tuple(kept)
