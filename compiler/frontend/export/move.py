"""Constants, and what moves elements without changing them, as ONNX nodes."""

import numpy as np

from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.export.graph import GraphWriter, writes
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.extent import Extent
from tilewright.compiler.ops.primitive.gather import Gather
from tilewright.compiler.ops.primitive.gather_elements import GatherElements
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.ops.primitive.transpose import Transpose

_FARTHEST = 2**63 - 1
"""Behind every end of an axis."""


@writes(Constant)
def _constant(writer: GraphWriter, equation: Equation) -> str:
    assert isinstance(equation.operator, Constant)
    return writer.constant(equation.operator.value)


@writes(Iota)
def _iota(writer: GraphWriter, equation: Equation) -> str:
    require(equation.result.type.is_known, f"its sizes must be numbers, not {equation.result.type}")
    return writer.constant(equation.operator.run()[0])


@writes(Assume)
def _assume(writer: GraphWriter, equation: Equation) -> str:
    return writer.names[equation.operands[0]]


@writes(Extent)
def _extent(writer: GraphWriter, equation: Equation) -> str:
    assert isinstance(equation.operator, Extent)
    axis = equation.operator.axis
    size = writer.node("Shape", writer.inputs(equation), equation.labels, start=axis, end=axis + 1)
    return writer.node("Squeeze", [size])


@writes(Reshape)
def _reshape(writer: GraphWriter, equation: Equation) -> str:
    assert isinstance(equation.operator, Reshape)
    return _reshaped(writer, writer.names[equation.operands[0]], equation.operator.shape, equation.labels)


def _reshaped(writer: GraphWriter, x: str, shape: tuple[AnySize, ...], labels: tuple[str, ...] = ()) -> str:
    unknown = [size for size in shape if not isinstance(size, int)]
    if len(unknown) == 1 and 0 not in shape:
        # The one that is left over.
        sizes = np.asarray([size if isinstance(size, int) else -1 for size in shape], np.int64)
        return writer.node("Reshape", [x, writer.constant(sizes)], labels)
    return writer.node("Reshape", [x, writer.shape(shape)], labels, allowzero=int(0 in shape))


@writes(Broadcast)
def _broadcast(writer: GraphWriter, equation: Equation) -> str:
    operator, (x,) = equation.operator, equation.operands
    assert isinstance(operator, Broadcast)
    own: list[AnySize] = [1] * len(operator.shape)
    for axis, size in zip(operator.axes, x.type.shape, strict=True):
        own[axis] = size
    # Leading axes of 1 need not be said.
    is_aligned = own[len(own) - x.type.rank :] == list(x.type.shape)
    name = writer.names[x] if is_aligned else _reshaped(writer, writer.names[x], tuple(own))
    if _is_implied(writer, equation):
        return name
    return writer.node("Expand", [name, writer.shape(operator.shape)], equation.labels)


def _is_implied(writer: GraphWriter, equation: Equation) -> bool:
    """Whether all who read it repeat it by themselves, since another operand has the whole shape."""
    readers = writer.function.consumers.get(equation.result, ())
    if equation.result in writer.function.results:
        return False
    made = writer.function.producers
    return all(
        isinstance(each.operator, Map)
        and any(
            value not in made or not isinstance(made[value].operator, Broadcast) for value in each.operands
        )
        for each in readers
    )


@writes(Transpose)
def _transpose(writer: GraphWriter, equation: Equation) -> str:
    assert isinstance(equation.operator, Transpose)
    order = list(equation.operator.permutation)
    return writer.node("Transpose", writer.inputs(equation), equation.labels, perm=order)


@writes(Concat)
def _concat(writer: GraphWriter, equation: Equation) -> str:
    assert isinstance(equation.operator, Concat)
    return writer.node("Concat", writer.inputs(equation), equation.labels, axis=equation.operator.axis)


@writes(Gather, GatherElements)
def _gather(writer: GraphWriter, equation: Equation) -> str:
    operator = equation.operator
    assert isinstance(operator, Gather | GatherElements)
    kind = "Gather" if isinstance(operator, Gather) else "GatherElements"
    return writer.node(kind, writer.inputs(equation), equation.labels, axis=operator.axis)


@writes(Pad)
def _pad(writer: GraphWriter, equation: Equation) -> str:
    assert isinstance(equation.operator, Pad)
    pads = (*equation.operator.low, *equation.operator.high)
    x, value = writer.inputs(equation)
    return writer.node("Pad", [x, writer.shape(pads), value], equation.labels)


@writes(Slice)
def _slice(writer: GraphWriter, equation: Equation) -> str:
    operator, (x,) = equation.operator, equation.operands
    assert isinstance(operator, Slice)
    ends = list(zip(operator.starts, operator.stops, operator.steps, x.type.shape, strict=True))
    axes = [
        axis for axis, (start, stop, step, size) in enumerate(ends) if (start, stop, step) != (0, size, 1)
    ]
    bounds = [_bounds(*ends[axis]) for axis in axes]
    starts, stops, steps = (np.asarray(column, np.int64) for column in zip(*bounds, strict=True))
    given = map(writer.constant, (starts, stops, np.asarray(axes, np.int64), steps))
    return writer.node("Slice", [writer.names[x], *given], equation.labels)


def _bounds(start: AnySize, stop: AnySize, step: int, size: AnySize) -> tuple[int, int, int]:
    """Start, stop and step as ONNX counts them."""
    if stop == size:
        stop = _FARTHEST
    elif stop == -1:
        stop = -_FARTHEST
    is_known = isinstance(start, int) and isinstance(stop, int)
    require(is_known, f"it must begin and end at numbers, not {start} and {stop}")
    assert isinstance(start, int)
    assert isinstance(stop, int)
    return start, stop, step
