"""Sums, averages and lone clamps or poolings between quantised values, as integers."""

import math

from tilewright.compiler.graph.graph import Node
from tilewright.compiler.ops.average_pool2d import AveragePool2d
from tilewright.compiler.ops.conv2d import Conv2d
from tilewright.compiler.ops.dense import Dense
from tilewright.compiler.ops.qadd import QAdd
from tilewright.compiler.ops.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.window import Window
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.island import Island, trace_view
from tilewright.compiler.quantise.lower_linear import lower_linear
from tilewright.compiler.quantise.parameter import Parameters, add_factors, scale_words
from tilewright.compiler.quantise.value import Draft, Integer, pictures_of

_POINT = Window((1, 1))


def lower_add(draft: Draft, node: Node, island: Island, parameters: Parameters, output: str) -> Integer:
    """Adds the integer sum, or the convolution with a residual, that does an addition."""
    linear = [name for name in node.inputs if _linear(draft, name) is not None]
    require(len(linear) < 2, "one of its inputs must be quantised, not both the sums of convolutions")
    if linear:
        (other,) = (name for name in node.inputs if name != linear[0])
        convolution = _linear(draft, linear[0])
        assert convolution is not None
        return lower_linear(draft, convolution, island, parameters, output, draft.operand(other))
    require(island.pool is None, "its result must be quantised before it is pooled")
    a, b = sorted((draft.operand(name) for name in node.inputs), key=lambda each: each.parameters.scale)
    shape = pictures_of(a, draft.source.types[node.output].shape)
    names = (draft.picture(a, shape), draft.picture(b, shape))
    draft.emit(node.name, _sum(a.parameters, b.parameters, parameters, island), names, output)
    return Integer(output, shape, parameters)


def lower_average(draft: Draft, node: Node, island: Island, parameters: Parameters, output: str) -> Integer:
    """Adds the integer pooling that does an average."""
    require(island.pool is None, "its result must be quantised before it is pooled")
    x = draft.operand(node.inputs[0])
    shape = draft.source.types[node.inputs[0]].shape
    operator, window = node.operator, Window((shape[2], shape[3]))
    counted = isinstance(operator, AveragePool2d) and operator.count_include_pad
    if isinstance(operator, AveragePool2d):
        window = operator.window
    average = _average(window, counted, shape, x.parameters, parameters, island.limits(parameters))
    draft.emit(node.name, average, (draft.picture(x, shape),), output)
    return Integer(output, draft.types[output].shape, parameters)


def lower_passed(draft: Draft, x: Integer, island: Island, parameters: Parameters, end: Node) -> Integer:
    """Adds what clamps and pools an activation, and gives it another scale, as far as that is needed.

    Args:
        x: the activation.
        end: the quantise node behind.
    """
    producer = draft.source.producers.get(end.inputs[0])
    name, output = producer.name if producer else end.name, end.output
    shape = pictures_of(x, draft.source.types[island.core].shape)
    limits = island.limits(parameters)
    rescaled = x.parameters != parameters
    if island.pool is None and limits == (-128, 127) and not rescaled:
        return x
    value = draft.picture(x, shape)
    if island.pool is not None or not rescaled:
        lo, hi = (-128, 127) if rescaled else limits
        result = f"{output}.pooled" if rescaled else output
        value = draft.emit(name, QMaxPool2d(island.pool or _POINT, lo, hi), (value,), result)
    if rescaled:
        shape = draft.types[value].shape
        operator = _average(_POINT, False, shape, x.parameters, parameters, limits)
        value = draft.emit(output, operator, (value,), output)
    return Integer(value, draft.types[value].shape, parameters)


def _linear(draft: Draft, name: str) -> Node | None:
    node = draft.source.producers.get(trace_view(draft.source, name))
    return node if node is not None and isinstance(node.operator, Conv2d | Dense) else None


def _sum(a: Parameters, b: Parameters, y: Parameters, island: Island) -> QAdd:
    ka, kb, unit = add_factors(a.scale, b.scale)
    bias = -(a.zero_point * ka + b.zero_point * kb)
    lo, hi = island.limits(y)
    return QAdd(ka, kb, bias, int(scale_words(unit / y.scale, y.reach)), y.zero_point, lo, hi)


def _average(
    window: Window,
    counted: bool,
    shape: tuple[int, ...],
    x: Parameters,
    y: Parameters,
    limits: tuple[int, int],
) -> QAveragePool2d:
    """The average in windows over pictures of that shape; `counted` says whether padding counts as zeros."""
    size = math.prod(window.kernel)
    pixels = sorted({int(count) for count in window.counts(shape[2], shape[3]).flat})
    ratio = x.scale / y.scale
    scales = tuple(
        (count, int(scale_words(ratio / (size if counted else count), y.reach))) for count in pixels
    )
    return QAveragePool2d(window, x.zero_point, -size * x.zero_point, scales, y.zero_point, *limits)
