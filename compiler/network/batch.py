"""Whether samples of a batch stay apart: then they can be run one by one."""

from collections.abc import Callable, Mapping
from typing import Any

from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ops.primitive.argsort import ArgSort
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.cumulative import CumulativeSum
from tilewright.compiler.ops.primitive.dilate import Dilate
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.extent import Extent
from tilewright.compiler.ops.primitive.gather import Gather
from tilewright.compiler.ops.primitive.gather_elements import GatherElements, ScatterElements
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reduce import Reduce
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.primitive.window import ReduceWindow

Batched = list[bool]
"""For each operand, whether its first axis is the batch."""
Rule = Callable[[Any, Batched], bool]
"""Whether an operator keeps samples apart, if its results have the batch in front."""


def mixing(function: Function, batch: str) -> tuple[str, ...]:
    """Labels of equations that may mix the samples of a batch, or put it elsewhere than in front.

    Args:
        function: any.
        batch: the name of the size.
    """
    found = [each for each in function.equations if not _keeps_apart(each, batch)]
    odd = {value for value in function.results if not _is_batched(value, batch)}
    found += [each for each in function.equations if odd.intersection(each.results)]
    # One that has no node of the model is told by its value, where nothing else is.
    labels = [label for each in found for label in each.labels] or [each.label for each in found]
    labels += [str(value) for value in function.parameters if value in odd]
    return tuple(dict.fromkeys(labels))


def _keeps_apart(equation: Equation, batch: str) -> bool:
    values = (*equation.operands, *equation.results)
    if not any(batch in value.type.names for value in values):
        return batch not in equation.operator.size_names
    if any(batch in value.type.names and not _is_batched(value, batch) for value in values):
        return False
    operator = equation.operator
    operands = [_is_batched(value, batch) for value in equation.operands]
    if isinstance(operator, Extent):
        return operator.axis != 0
    if any(operands) and not all(_is_batched(value, batch) for value in equation.results):
        return False
    if isinstance(operator, Composite):
        body = operator.expanded(*(value.type for value in equation.operands))
        return all(_keeps_apart(each, batch) for each in body.equations)
    if isinstance(operator, ReduceWindow):
        return len(operator.kernel) < equation.operands[0].type.rank
    rule = _RULES.get(type(operator))
    return rule is not None and bool(rule(operator, operands))


def _is_batched(value: Value, batch: str) -> bool:
    """Whether the batch is the whole first axis, and in no other."""
    first, *others = value.type.shape or (1,)
    alone = not isinstance(first, int) and first.name == batch
    return alone and all(isinstance(size, int) or batch not in size.names for size in others)


def _dot(dot: Any, batched: Batched) -> bool:
    if all(batched):
        return bool(dot.batch_a[:1] == dot.batch_b[:1] == (0,))
    return bool(batched[0] and 0 not in dot.contract_a)


def _gather(gather: Any, batched: Batched) -> bool:
    x, indices = batched
    is_first = bool(gather.axis == 0)
    return not is_first and not indices if x else is_first


# That the batch is whole and in front of the results, their types say.
_RULES: Mapping[type[Operator], Rule] = {
    **dict.fromkeys((Map, Cast, Assume, Reshape), lambda operator, batched: True),
    **dict.fromkeys(
        (Iota, Concat, Dilate, ArgSort, CumulativeSum, GatherElements, ScatterElements),
        lambda operator, batched: operator.axis != 0,
    ),
    Slice: lambda each, batched: each.steps[0] == 1,
    Conv: lambda each, batched: not batched[1],
    Dot: _dot,
    Gather: _gather,
    Pad: lambda each, batched: each.low[0] == 0 and each.high[0] == 0,
    Broadcast: lambda each, batched: each.axes[:1] == (0,) or not batched[0],
    Reduce: lambda each, batched: 0 not in each.axes,
    Transpose: lambda each, batched: each.permutation[0] == 0,
}
