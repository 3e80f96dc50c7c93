"""Primitives that compute or move elements, as expressions of one element of their result."""

from collections.abc import Callable, Sequence

from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.dilate import Dilate
from tilewright.compiler.ops.primitive.gather import Gather
from tilewright.compiler.ops.primitive.gather_elements import GatherElements
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.targets.cpu.host.scalar import scalar
from tilewright.compiler.te import both, cast, clamp, constant, select
from tilewright.compiler.tir.expr import Const, Expr

Indices = tuple[Expr, ...]
Element = Callable[[Value, Indices], Expr]
"""An element of a value."""
ZERO = Const(0)


def express(equation: Equation, indices: Indices, element: Element) -> Expr:
    """The element of an equation's result at these indices, in terms of elements of its operands."""
    return _RULES[type(equation.operator)](equation, indices, element)


def is_expressible(operator: Operator) -> bool:
    """Whether each element is an expression of elements of the operands."""
    return type(operator) in _RULES


def _map(equation: Equation, indices: Indices, element: Element) -> Expr:
    assert isinstance(equation.operator, Map)
    return scalar(equation.operator.function, *(element(value, indices) for value in equation.operands))


def _cast(equation: Equation, indices: Indices, element: Element) -> Expr:
    assert isinstance(equation.operator, Cast)
    return cast(element(equation.operands[0], indices), equation.operator.dtype)


def _iota(equation: Equation, indices: Indices, element: Element) -> Expr:
    operator = equation.operator
    assert isinstance(operator, Iota)
    return cast(indices[operator.axis], operator.dtype)


def _assume(equation: Equation, indices: Indices, element: Element) -> Expr:
    return element(equation.operands[0], indices)


def _reshape(equation: Equation, indices: Indices, element: Element) -> Expr:
    """Of axes of one element alone: others are read where they lie."""
    (x,) = equation.operands
    several = [i for i, size in zip(indices, equation.result.type.numbers, strict=True) if size != 1]
    rest = iter(several)
    return element(x, tuple(ZERO if size == 1 else next(rest) for size in x.type.numbers))


def _transpose(equation: Equation, indices: Indices, element: Element) -> Expr:
    operator = equation.operator
    assert isinstance(operator, Transpose)
    source = dict(zip(operator.permutation, indices, strict=True))
    return element(equation.operands[0], tuple(source[axis] for axis in range(len(source))))


def _broadcast(equation: Equation, indices: Indices, element: Element) -> Expr:
    operator, (x,) = equation.operator, equation.operands
    assert isinstance(operator, Broadcast)
    pairs = zip(operator.axes, x.type.numbers, strict=True)
    return element(x, tuple(ZERO if size == 1 else indices[axis] for axis, size in pairs))


def _slice(equation: Equation, indices: Indices, element: Element) -> Expr:
    operator = equation.operator
    assert isinstance(operator, Slice)
    parts = zip(indices, operator.starts, operator.steps, strict=True)
    return element(equation.operands[0], tuple(i * step + _number(start) for i, start, step in parts))


def _dilate(equation: Equation, indices: Indices, element: Element) -> Expr:
    operator, dtype = equation.operator, equation.result.type.dtype
    assert isinstance(operator, Dilate)
    at = list(indices)
    own = at[operator.axis]
    at[operator.axis] = own // operator.by
    inside = (own % operator.by).equal(0)
    return select(inside, element(equation.operands[0], tuple(at)), constant(0, dtype))


def _pad(equation: Equation, indices: Indices, element: Element) -> Expr:
    operator, (x, value) = equation.operator, equation.operands
    assert isinstance(operator, Pad)
    outside = element(value, ())
    if 0 in x.type.numbers:
        return outside
    inside: list[Expr] = []
    at = []
    for i, low, high, size in zip(indices, operator.low, operator.high, x.type.numbers, strict=True):
        moved = i - _number(low) if low else i
        inside += [moved >= 0] if low else []
        inside += [moved < size] if high else []
        at.append(moved)
    own = element(x, tuple(at))
    return select(both(inside), own, outside) if inside else own


def _concat(equation: Equation, indices: Indices, element: Element) -> Expr:
    operator = equation.operator
    assert isinstance(operator, Concat)
    axis, begin = operator.axis, 0
    parts: list[tuple[int, Expr]] = []
    for value in equation.operands:
        size = value.type.numbers[axis]
        if size:
            moved = indices[axis] - begin if begin else indices[axis]
            parts.append((begin + size, element(value, (*indices[:axis], moved, *indices[axis + 1 :]))))
        begin += size
    result = parts[-1][1]
    for end, part in reversed(parts[:-1]):
        result = select(indices[axis] < end, part, result)
    return result


def _gather(equation: Equation, indices: Indices, element: Element) -> Expr:
    operator, (x, taken) = equation.operator, equation.operands
    assert isinstance(operator, Gather)
    axis, rank = operator.axis, taken.type.rank
    row = inside(element(taken, indices[axis : axis + rank]), x.type.numbers[axis])
    return element(x, (*indices[:axis], row, *indices[axis + rank :]))


def _gather_elements(equation: Equation, indices: Indices, element: Element) -> Expr:
    operator, (x, taken) = equation.operator, equation.operands
    assert isinstance(operator, GatherElements)
    axis = operator.axis
    row = inside(element(taken, indices), x.type.numbers[axis])
    return element(x, (*indices[:axis], row, *indices[axis + 1 :]))


def inside(index: Expr, size: int) -> Expr:
    """An index that may count from the end; one that is outside becomes the nearest inside."""
    return clamp(select(index < 0, index + size, index), 0, size - 1)


def _number(size: object) -> int:
    assert isinstance(size, int)
    return size


def is_plain_reshape(source: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether only axes of one element come or go."""
    return [size for size in source if size != 1] == [size for size in shape if size != 1]


_RULES: dict[type[Operator], Callable[[Equation, Indices, Element], Expr]] = {
    Map: _map,
    Cast: _cast,
    Iota: _iota,
    Assume: _assume,
    Reshape: _reshape,
    Transpose: _transpose,
    Broadcast: _broadcast,
    Slice: _slice,
    Dilate: _dilate,
    Pad: _pad,
    Concat: _concat,
    Gather: _gather,
    GatherElements: _gather_elements,
}
