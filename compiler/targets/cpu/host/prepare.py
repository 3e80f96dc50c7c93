"""Functions as the host compiles them: composites written out, constants computed, products in one form."""

from collections.abc import Sequence
from math import prod

from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.extent import Extent
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose

FOLDED_BYTES = 1 << 16
"""A constant may become larger than what it is made of up to this."""


def prepared(function: Function) -> Function:
    """The same function of primitives alone: smaller where constants tell, dots as batches of matrices.

    Sizes that equations show first may stay symbolic, and what depends on them.
    """
    b = Builder(function.name)
    parameters = [b.parameter(value.name, value.type) for value in function.parameters]
    results = inline(b, function, parameters, _each)
    return without_dead(b.function(*results))


def without_dead(function: Function) -> Function:
    """The function without equations whose results nobody reads."""
    live, kept = set(function.results), []
    for equation in reversed(function.equations):
        is_checked = isinstance(equation.operator, Assume) or bool(equation.operator.bound_names)
        if is_checked or not live.isdisjoint(equation.results):
            kept.append(equation)
            live.update(equation.operands)
    return Function(function.name, function.parameters, tuple(reversed(kept)), function.results)


def _each(b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]) -> Sequence[Value]:
    with b.label(*equation.labels):
        return _added(b, operator, operands)


def _added(b: Builder, operator: Operator, operands: tuple[Value, ...]) -> Sequence[Value]:
    folded = _folded(b, operator, operands)
    if folded is not None:
        return folded
    if isinstance(operator, Composite):
        return inline(b, operator.expanded(*(value.type for value in operands)), operands, _each)
    if isinstance(operator, Dot) and all(value.type.is_known for value in operands):
        return [_dot(b, operator, *operands)]
    return b.apply(operator, *operands)


def _folded(b: Builder, operator: Operator, operands: tuple[Value, ...]) -> list[Value] | None:
    """Constants, where operands are; None where they are not, or would become large."""
    if isinstance(operator, Extent):
        size = operands[0].type.shape[operator.axis]
        return (
            [b.constant(Literal.of(size, operator.infer(operands[0].type)[0].dtype))]
            if isinstance(size, int)
            else None
        )
    if operator.regions or operator.bound_names or isinstance(operator, Constant | Iota):
        return None
    literals = [b.literal(value) for value in operands]
    known = [literal for literal in literals if literal is not None]
    if not operands or len(known) < len(operands):
        return None
    types = operator.infer(*(literal.type for literal in known))
    if not all(each.is_known for each in types):
        return None
    given = sum(literal.array.nbytes for literal in known)
    if sum(each.size_bytes for each in types) > max(given, FOLDED_BYTES):
        return None
    try:
        return [b.constant(Literal(array)) for array in operator.run(*(each.array for each in known))]
    except EvaluationError:
        return None


def _dot(b: Builder, operator: Dot, x: Value, y: Value) -> Value:
    """As the product of (batch, rows, depth) and (batch, depth, columns), all axes of a kind as one."""
    rest_x, rest_y = operator.rest(x.type.rank, y.type.rank)
    xs, ys = x.type.numbers, y.type.numbers
    batch, depth = prod(xs[i] for i in operator.batch_a), prod(xs[i] for i in operator.contract_a)
    rows, columns = prod(xs[i] for i in rest_x), prod(ys[i] for i in rest_y)
    left = _matrix(b, x, (*operator.batch_a, *rest_x, *operator.contract_a), (batch, rows, depth))
    right = _matrix(b, y, (*operator.batch_b, *operator.contract_b, *rest_y), (batch, depth, columns))
    result = b.emit(Dot((2,), (1,), (0,), (0,)), left, right)
    return _reshaped(b, result, operator.infer(x.type, y.type)[0].numbers)


def _matrix(b: Builder, value: Value, order: tuple[int, ...], shape: tuple[int, ...]) -> Value:
    if order != tuple(range(len(order))):
        (value,) = _added(b, Transpose(order), (value,))
    return _reshaped(b, value, shape)


def _reshaped(b: Builder, value: Value, shape: tuple[int, ...]) -> Value:
    if value.type.shape == shape:
        return value
    (result,) = _added(b, Reshape(shape), (value,))
    return result
