"""Recognises poolings, views, and what converts between floats and integers."""

import numpy as np

from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ops.nn.pool import AveragePool, MaxPool
from tilewright.compiler.ops.nn.quantise import DequantiseAffine, QuantiseAffine
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reduce import Reduce
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Pads, Pair, Window
from tilewright.compiler.quantise.constant import parameters_of
from tilewright.compiler.quantise.error import GroupError, require
from tilewright.compiler.quantise.recognise_move import gather_channels
from tilewright.compiler.quantise.recognition import Recognition, feature_map, rule, sample_of


def window_of(operator: MaxPool | AveragePool) -> Window:
    """The window of a pooling over feature maps.

    Raises:
        GroupError: if it has other axes, or dilations.
        OperatorError: if its padding hides a whole window.
    """
    require(len(operator.kernel) == 2, f"its window must have height and width, not {operator.kernel}")
    dilated = any(step != 1 for step in operator.dilations)
    require(not dilated, f"dilations of a pooling must be 1, not {list(operator.dilations)}")
    kernel: Pair = (operator.kernel[0], operator.kernel[1])
    strides: Pair = (operator.strides[0], operator.strides[1])
    top, left, bottom, right = operator.pads
    pads: Pads = (top, left, bottom, right)
    return Window(kernel, strides, pads)


@rule(MaxPool, AveragePool)
def _pool(r: Recognition, equation: Equation) -> Value:
    operator = equation.operator
    assert isinstance(operator, MaxPool | AveragePool)
    given = r.activation(equation.operands[0])
    x = r.image(given)
    feature_map(x)
    if given.type.rank == 3:
        operator = _of_images(operator)
    window_of(operator)
    if isinstance(operator, AveragePool) and operator.counted is not None:
        counts = any(operator.counted)
        complete = operator.counted == operator.pads
        require(
            complete or not counts, "count_include_pad must be 0 where ceil_mode adds an incomplete window"
        )
        if not counts:
            operator = AveragePool(operator.kernel, operator.strides, operator.pads, operator.dilations)
    return r.of_image(r.emit(operator, x), given)


def _of_images(operator: MaxPool | AveragePool) -> MaxPool | AveragePool:
    """A pooling over sequences as one over feature maps of height 1."""
    kernel, strides, dilations = (
        (1, *each) for each in (operator.kernel, operator.strides, operator.dilations)
    )
    pads = image_pads(operator.pads)
    if isinstance(operator, MaxPool):
        return MaxPool(kernel, strides, pads, dilations)
    counted = None if operator.counted is None else image_pads(operator.counted)
    return AveragePool(kernel, strides, pads, dilations, counted)


def image_pads(pads: tuple[int, ...]) -> Pads:
    """Padding of a sequence, before and behind, as that of its image."""
    before, behind = pads
    return 0, before, 0, behind


def whole_mean(r: Recognition, x: Value) -> Value:
    """The mean of each channel of feature maps: an average pooling as large as the map."""
    _, height, width = feature_map(x)
    return r.emit(AveragePool((height, width), (1, 1), (0, 0, 0, 0), (1, 1)), x)


@rule(Reduce)
def _reduce(r: Recognition, equation: Equation) -> Value | None:
    operator, (x,) = equation.operator, equation.operands
    assert isinstance(operator, Reduce)
    moving = r.image(r.activation(x))
    is_map = operator.axes == {4: (2, 3), 3: (2,)}.get(x.type.rank)
    require(
        is_map,
        "axes must be height and width, 2 and 3, of feature maps, or the length of sequences,"
        f" not {operator.axes} of {x.type}",
    )
    channels, height, width = feature_map(moving)
    if operator.function == "sum" and height * width == 1:
        return r.reshape(whole_mean(r, moving), (channels,))
    if operator.function == "sum":
        r.sums[equation.result] = moving, height * width
        return None
    require(operator.function == "max", f"there is no {operator.function} over feature maps in integers")
    largest = r.emit(MaxPool((height, width), (1, 1), (0, 0, 0, 0), (1, 1)), moving)
    return r.reshape(largest, (channels,))


@rule(Reshape)
def _reshape(r: Recognition, equation: Equation) -> Value | None:
    (x,), shape = equation.operands, equation.result.type.numbers
    if x in r.sums:
        r.sums[equation.result] = r.sums[x]
        return None
    stays = shape[:1] == (1,) == x.type.shape[:1]
    require(stays, f"the batch must stay the first axis, from {x.type} to {list(shape)}")
    return r.reshape(r.activation(x), shape[1:])


@rule(Transpose)
def _transpose(r: Recognition, equation: Equation) -> Value:
    operator, (x,) = equation.operator, equation.operands
    assert isinstance(operator, Transpose)
    order, shape = operator.permutation, x.type.numbers
    if order[:3] == (0, 2, 1) and order[3:] == tuple(range(3, x.type.rank)) and x.type.rank in (4, 5):
        return _shuffle(r, x)
    moved = [axis for axis in order if shape[axis] > 1]
    stays = order[:1] == (0,) and moved == sorted(moved)
    require(stays, f"axes must keep their order, but for those of size 1, not become {order} of {x.type}")
    return r.reshape(r.activation(x), tuple(shape[axis] for axis in order[1:]))


def _shuffle(r: Recognition, x: Value) -> Value:
    """Groups of channels, whose first ones come first, then their second ones: (batch, groups, each, …)."""
    groups, each, *size = x.type.numbers[1:]
    moving = r.activation(x)
    below = sample_of(r.under(moving))
    # What lies behind the channels is height and width, as one axis too, or a length.
    is_map = len(below) == 3 and below[0] == groups * each
    sample = below if is_map else (groups * each, *([1] * (2 - len(size))), *size)
    places = np.arange(groups * each).reshape(groups, each).T.reshape(-1)
    maps = r.reshape(moving, sample)
    return r.reshape(gather_channels(r, maps, places), (each, groups, *size))


@rule(Broadcast, Assume)
def _repeat(r: Recognition, equation: Equation) -> Value | None:
    (x,) = equation.operands
    if _is_of_channels(equation) and _is_factor(r, equation.result):
        r.repeated[equation.result] = r.activation(x)
        return None
    same = equation.result.type == x.type
    require(same, f"an activation must not be repeated from {x.type} to {equation.result.type}")
    return r.activation(x)


def _is_of_channels(equation: Equation) -> bool:
    """Whether one pixel of feature maps is repeated to all of them."""
    operator, x, y = equation.operator, equation.operands[0].type, equation.result.type
    if not isinstance(operator, Broadcast) or operator.axes != (0, 1, 2, 3):
        return False
    return x.shape != y.shape and x.shape == (*y.shape[:2], 1, 1)


def _is_factor(r: Recognition, value: Value) -> bool:
    """Whether all who read a value multiply by it."""
    readers = [each.operator for each in r.source.consumers.get(value, ())]
    are_products = all(isinstance(each, Map) and each.function == "mul" for each in readers)
    return are_products and value not in r.source.results


@rule(QuantiseAffine)
def _quantise(r: Recognition, equation: Equation) -> Value:
    x, scale, zero = equation.operands
    return r.emit_elements(Quantise(*_parameters(r, scale, zero)), r.activation(x))


@rule(DequantiseAffine)
def _dequantise(r: Recognition, equation: Equation) -> Value:
    x, scale, zero = equation.operands
    return r.emit_elements(Dequantise(*_parameters(r, scale, zero)), r.activation(x))


@rule(Quantise, Dequantise)
def _given(r: Recognition, equation: Equation) -> Value:
    return r.emit_elements(equation.operator, r.activation(equation.operands[0]))


def _parameters(r: Recognition, scale: Value, zero: Value) -> tuple[float, int]:
    for what, value in (("scale", scale), ("zero point", zero)):
        if r.is_moving(value):
            raise GroupError(f"its {what} must be a constant")
    return parameters_of(np.asarray(r.constants.array(scale)), np.asarray(r.constants.array(zero)))
