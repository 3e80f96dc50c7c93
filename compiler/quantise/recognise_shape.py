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
from tilewright.compiler.quantise.arrangement import Arrangement
from tilewright.compiler.quantise.constant import parameters_of
from tilewright.compiler.quantise.error import GroupError, require
from tilewright.compiler.quantise.recognise_move import gather_channels
from tilewright.compiler.quantise.recognition import Recognition, feature_map, rule


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
    moving = r.view(x)
    found = r.arrangements.get(moving) or Arrangement.of(x, (1,), moving)
    text = f"its channels and its pixels must stay apart, but {x.type}, {found}, becomes {list(shape)}"
    if len(shape) == 2 or r.is_given(moving):
        # A dense layer reads whole feature maps.
        require(found.is_in_order, text)
        return r.reshape(moving, shape[1:])
    reshaped = found.reshaped(shape)
    if found.is_natural and (reshaped is None or reshaped.is_natural):
        return r.reshape(moving, shape[1:])
    require(reshaped is not None, text)
    assert reshaped is not None
    if reshaped.is_natural and found.feature_map is not None:
        return r.reshape(found.feature_map, shape[1:])
    return r.rearranged(reshaped)


@rule(Transpose)
def _transpose(r: Recognition, equation: Equation) -> Value:
    operator, (x,) = equation.operator, equation.operands
    assert isinstance(operator, Transpose)
    order, shape = operator.permutation, x.type.numbers
    require(order[:1] == (0,), f"the batch must stay the first axis, not become {order} of {x.type}")
    moving = r.view(x)
    moved = [axis for axis in order if shape[axis] > 1]
    found = r.arrangements.get(moving)
    if found is None and moved == sorted(moved) and r.is_given(moving):
        return r.reshape(moving, tuple(shape[axis] for axis in order[1:]))
    if found is not None and _is_shuffle(found, order):
        return _shuffle(r, found)
    require(not r.is_input(moving), f"the host must hand over {x.type} in the order {order}")
    if found is None and r.is_given(moving):
        return r.emit(operator, moving)
    return r.rearranged((found or Arrangement.of(x, (1,), moving)).transposed(order))


def _is_shuffle(found: Arrangement, order: tuple[int, ...]) -> bool:
    """Whether groups of channels, the first two axes, become channels of groups."""
    if not found.is_in_order or order[:3] != (0, 2, 1) or order[3:] != tuple(range(3, len(order))):
        return False
    groups, each = found.shape[1:3]
    return found.feature_map is not None and min(groups, each) > 1 and found.count == groups * each


def _shuffle(r: Recognition, found: Arrangement) -> Value:
    """Groups of channels, whose first ones come first, then their second ones: (batch, groups, each, …)."""
    groups, each, *size = found.shape[1:]
    assert found.feature_map is not None, "there is something to view"
    indices = np.arange(groups * each).reshape(groups, each).T.reshape(-1)
    maps = gather_channels(r, r.image(found.feature_map), indices)
    shape = (1, each, groups, *size)
    parts = tuple(part for part in shape if part > 1)
    channels = tuple(range(sum(part > 1 for part in (each, groups))))
    pixels = tuple(range(len(channels), len(parts)))
    return r.rearranged(Arrangement(shape, parts, channels, pixels, maps))


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
    return r.passed(Quantise(*_parameters(r, scale, zero)), x)


@rule(DequantiseAffine)
def _dequantise(r: Recognition, equation: Equation) -> Value:
    x, scale, zero = equation.operands
    return r.passed(Dequantise(*_parameters(r, scale, zero)), x)


@rule(Quantise, Dequantise)
def _given(r: Recognition, equation: Equation) -> Value:
    assert isinstance(equation.operator, Quantise | Dequantise)
    return r.passed(equation.operator, equation.operands[0])


def _parameters(r: Recognition, scale: Value, zero: Value) -> tuple[float, int]:
    for what, value in (("scale", scale), ("zero point", zero)):
        if r.is_moving(value):
            raise GroupError(f"its {what} must be a constant")
    return parameters_of(np.asarray(r.constants.array(scale)), np.asarray(r.constants.array(zero)))
