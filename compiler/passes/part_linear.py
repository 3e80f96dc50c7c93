"""Linear layers of which only parts are read, as one layer for each part."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.inline import emit
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.rewrite import rewritten
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.passes.linear import Linear, linear_of
from tilewright.compiler.passes.run import each_function


@dataclass(frozen=True)
class PartLinear:
    """Slices of x · W + b along features become x · W[:, part] + b[part], where nothing else reads it.

    So queries, keys and values of one matrix are layers of their own, each of which may be written as its
    reader wants it.
    """

    name: ClassVar[str] = "part_linear"

    def apply(self, module: Module) -> Module:
        """The module with linear layers in parts."""
        return each_function(module, _parted)


def _parted(function: Function) -> Function:
    linears = {each.results[0]: found for each in function.equations if (found := linear_of(function, each))}
    whole = {value: linear for value, linear in linears.items() if _is_read_in_parts(function, value)}

    def each(
        b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        linear = whole.get(equation.operands[0]) if isinstance(operator, Slice) else None
        if linear is None:
            return emit(b, equation, operator, operands)
        assert isinstance(operator, Slice)
        with b.label(*linear.labels, *equation.labels):
            return [_part(b, linear, operator, operands[0])]

    return rewritten(function, each) if whole else function


def _part(b: Builder, linear: Linear, part: Slice, whole: Value) -> Value:
    """The layer of a part; `whole` is that of all of them, in the builder."""
    first, last = part.starts[-1], part.stops[-1]
    made = b.producer(whole)
    if made is not None and not isinstance(made.operator, Dot):
        made = next(
            each for each in map(b.producer, made.operands) if each and isinstance(each.operator, Dot)
        )
    assert made is not None
    assert isinstance(first, int)
    assert isinstance(last, int)
    weight = linear.weight.take(range(first, last), linear.axis)
    with b.label(*linear.product.labels):
        y = b.emit(made.operator, made.operands[0], b.constant(Literal(weight)))
    return y if linear.bias is None else e.add(b, y, b.constant(Literal(linear.bias[first:last].copy())))


def _is_read_in_parts(function: Function, value: Value) -> bool:
    """Whether all that reads a value are slices of features that have no feature in common."""
    readers = function.consumers.get(value, ())
    if value in function.results or len(readers) < 2:
        return False
    spans = [span for each in readers if (span := _span(each.operator, value)) is not None]
    apart = all(one[1] <= other[0] for one, other in pairwise(sorted(spans)))
    return len(spans) == len(readers) and apart


def _span(operator: Operator, value: Value) -> tuple[int, int] | None:
    """The features of a slice that takes some neighbouring ones of a value, and all else; None of others."""
    if not isinstance(operator, Slice) or set(operator.steps) != {1}:
        return None
    is_of_features = not any(operator.starts[:-1]) and operator.stops[:-1] == value.type.shape[:-1]
    first, last = operator.starts[-1], operator.stops[-1]
    if not is_of_features or not isinstance(first, int) or not isinstance(last, int):
        return None
    return first, last
