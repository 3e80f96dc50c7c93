"""Recognises convolutions, dense layers, and factors and offsets of channels, which become part of them."""

from dataclasses import dataclass, replace

import numpy as np

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.ops.nn.norm import BatchNorm
from tilewright.compiler.ops.nn.product import GroupedProduct
from tilewright.compiler.ops.nn.quantise import DequantiseAffine
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.quantise.constant import QuantisedConstant
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.recognise_move import number
from tilewright.compiler.quantise.recognise_product import product
from tilewright.compiler.quantise.recognise_shape import image_pads
from tilewright.compiler.quantise.recognition import Recognition, feature_map, rule, sample_of

_POINT = Convolution((1, 1), (0, 0, 0, 0), (1, 1), 1)
"""A product with the same matrix for each pixel."""


@dataclass(frozen=True)
class Linear:
    """A convolution or dense layer with constant weights, before it is emitted.

    Members:
        operator, x, labels: of its equation.
        weight: float32 (O, …), or as the model has it in integers.
        bias: float32 (O,), or in integers.
    """

    operator: Operator
    x: Value
    labels: tuple[str, ...]
    weight: Array | QuantisedConstant
    bias: Array | QuantisedConstant

    @property
    def is_point(self) -> bool:
        """Whether it is a product with the same matrix for each pixel."""
        return self.operator == _POINT

    def emit(self, r: Recognition) -> Value:
        """Its equation; remembered, so that what follows can become a part of it."""
        weight, bias = (_emit_constant(r, each) for each in (self.weight, self.bias))
        result = r.emit(self.operator, self.x, weight, bias, labels=self.labels)
        r.linears[result] = self
        return result


@rule(Convolution)
def _convolution(r: Recognition, equation: Equation) -> Value:
    operator = equation.operator
    assert isinstance(operator, Convolution)
    x, w, *bias = equation.operands
    read = r.activation(x)
    weight, outputs = _constant(r, w), w.type.numbers[0]
    moving = r.image(read)
    feature_map(moving)
    if read.type.rank == 3:
        weight, operator = _of_images(weight, operator)
    moving, operator = _padded(r, moving, operator)
    given = _constant(r, bias[0]) if bias else np.zeros(outputs, np.float32)
    return r.of_image(Linear(operator, moving, equation.labels, weight, given).emit(r), read)


def _of_images(
    weight: Array | QuantisedConstant, operator: Convolution
) -> tuple[Array | QuantisedConstant, Convolution]:
    """A convolution of sequences as one of feature maps of height 1."""
    array = weight.value if isinstance(weight, QuantisedConstant) else weight
    high: Array = array[:, :, None]
    strides, dilations = (1, *operator.strides), (1, *operator.dilations)
    found = replace(operator, strides=strides, dilations=dilations, pads=image_pads(operator.pads))
    return (replace(weight, value=high) if isinstance(weight, QuantisedConstant) else high), found


def _padded(r: Recognition, x: Value, operator: Convolution) -> tuple[Value, Convolution]:
    """A border of zeros before a convolution is a part of its own."""
    before = r.equations.get(x)
    if before is None or not isinstance(before.operator, Pad):
        return x, operator
    inner, value = before.operands
    literal = r.b.literal(value)
    assert literal is not None, "recognised: borders are constants"
    low, high = (tuple(map(number, each)) for each in (before.operator.low, before.operator.high))
    if literal.array.any() or low[1] or high[1]:
        return x, operator
    pads = tuple(pad + border for pad, border in zip(operator.pads, (*low[2:], *high[2:]), strict=True))
    return inner, replace(operator, pads=pads)


@rule(Dot)
def _dense(r: Recognition, equation: Equation) -> Value:
    operator = equation.operator
    assert isinstance(operator, Dot)
    x, w = equation.operands
    if r.is_moving(x) and r.is_moving(w):
        return product(r, equation)
    last = x.type.rank - 1
    require(last > 0 and w.type.rank == 2, f"its weights must be a matrix, not {w.type} for {x.type}")
    is_plain = operator.contract_a == (last,) and not operator.batch_a
    require(is_plain, "its sums must be over the last axis, the features")
    weight = _constant(r, w)
    if operator.contract_b == (0,):
        weight = weight.transposed() if isinstance(weight, QuantisedConstant) else weight.T
    bias = np.zeros(w.type.numbers[1 - operator.contract_b[0]], np.float32)
    if last == 1:
        return Linear(Dense(), r.activation(x), equation.labels, weight, bias).emit(r)
    moving = r.feature_map(x, (last,), moves=True)
    layer = Linear(_POINT, moving, equation.labels, _kernels(weight), bias).emit(r)
    return r.unarranged(layer, equation.result, (last,))


def _kernels(weight: Array | QuantisedConstant) -> Array | QuantisedConstant:
    """A matrix (O, I) as the weights (O, I, 1, 1) of a convolution of single pixels."""
    if isinstance(weight, QuantisedConstant):
        return QuantisedConstant(weight.value[..., None, None], weight.scale, weight.axis)
    return weight[..., None, None]


@rule(Dense)
def _given_dense(r: Recognition, equation: Equation) -> Value:
    x, w, bias = equation.operands
    constants = _constant(r, w), _constant(r, bias)
    return Linear(Dense(), r.activation(x), equation.labels, *constants).emit(r)


@rule(BatchNorm)
def _batch_norm(r: Recognition, equation: Equation) -> Value:
    operator = equation.operator
    assert isinstance(operator, BatchNorm)
    x, *numbers = equation.operands
    gamma, beta, mean, variance = (r.constants.array(each).astype(np.float64) for each in numbers)
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + operator.epsilon)
        return affine(r, equation, x, scale, beta - mean * scale)


def affine(
    r: Recognition, equation: Equation, x: Value, scale: Array, shift: Array | QuantisedConstant
) -> Value:
    """x · scale + shift for each channel: as a part of what makes x, or as a depthwise convolution.

    Args:
        r: where it goes.
        equation: of the source.
        x: of the source.
        scale, shift: (C,), a number each channel.
    """
    order = r.order_of(x)
    moving = r.inner(x, order)
    scale = _finite(scale)
    made = None if order is None or order.feature_map is None else r.equations.get(order.feature_map)
    is_product = made is not None and isinstance(made.operator, GroupedProduct)
    if is_product and r.is_read_once(x) and (scale == scale[0]).all() and not _real(shift).any():
        assert made is not None
        return r.outer(_scaled_product(r, made, float(scale[0])), order, x)
    before = r.linears.get(moving)
    if before is not None and r.is_read_once(x):
        return r.outer(_joined(before, scale, shift).emit(r), order, x)
    is_free = order is not None and r.is_given(moving)
    require(not is_free, "factors and offsets of features must follow a product with weights")
    offset = _finite(_real(shift))
    sample, channels = sample_of(moving), len(scale)
    is_map = moving.type.rank == 4
    given = moving if is_map else r.reshape(moving, (channels, 1, int(np.prod(sample[1:]))))
    operator = Convolution((1, 1), (0, 0, 0, 0), (1, 1), channels)
    result = Linear(operator, given, equation.labels, scale.reshape(-1, 1, 1, 1), offset).emit(r)
    return r.outer(result if is_map else r.reshape(result, sample), order, x)


def _real(constant: Array | QuantisedConstant) -> Array:
    return constant.real() if isinstance(constant, QuantisedConstant) else constant


def _scaled_product(r: Recognition, made: Equation, scale: float) -> Value:
    """A product of two activations whose factor is another one."""
    assert isinstance(made.operator, GroupedProduct)
    return r.emit(GroupedProduct(made.operator.factor * scale), *made.operands)


def _joined(before: Linear, scale: Array, shift: Array | QuantisedConstant) -> Linear:
    weight, bias = before.weight, before.bias
    is_scaled = not (scale == 1).all()
    if is_scaled:
        weight = _scaled(weight, scale)
    is_free = not is_scaled and isinstance(bias, np.ndarray) and not bias.any()
    if isinstance(shift, QuantisedConstant) and is_free:
        return Linear(before.operator, before.x, before.labels, weight, shift)
    if not is_scaled and isinstance(shift, np.ndarray) and not shift.any():
        return Linear(before.operator, before.x, before.labels, weight, bias)
    real, offset = (each.real() if isinstance(each, QuantisedConstant) else each for each in (bias, shift))
    return Linear(before.operator, before.x, before.labels, weight, real * scale + _finite(offset))


def _scaled(weight: Array | QuantisedConstant, scale: Array) -> Array | QuantisedConstant:
    if isinstance(weight, QuantisedConstant):
        # Without weights, or with −128 to be negated, integers of another scale say it as well.
        is_real = bool((scale == 0).any()) or bool((scale < 0).any() and (weight.value == -128).any())
        if not is_real and (weight.axis == 0 or weight.scale.size == 1):
            sign = (
                np.where(scale < 0, -1, 1).astype(np.int8).reshape(-1, *(1 for _ in weight.value.shape[1:]))
            )
            factors = (weight.channels("its weights") * np.abs(scale)).astype(np.float32)
            return QuantisedConstant(weight.value * sign, factors, 0)
        weight = weight.real()
    return weight * scale.reshape(-1, *(1 for _ in weight.shape[1:]))


def _finite(values: Array) -> Array:
    require(bool(np.isfinite(values).all()), "weights must be finite, but hold NaN or infinity")
    return values.astype(np.float32)


def _constant(r: Recognition, value: Value) -> Array | QuantisedConstant:
    """Weights or a bias, in integers if the model has them so.

    Raises:
        GroupError: if they depend on the input.
    """
    found = r.constants.quantised(value) if value in r.constants else None
    return r.constants.array(value) if found is None else found


def _emit_constant(r: Recognition, constant: Array | QuantisedConstant) -> Value:
    if not isinstance(constant, QuantisedConstant):
        return r.weights(constant)
    scale = constant.channels("its weights").reshape(-1, *(1 for _ in constant.value.shape[1:]))
    value, factors, zero = (
        r.b.constant(Literal(np.ascontiguousarray(each)))
        for each in (constant.value, scale, np.zeros((), constant.value.dtype))
    )
    return r.emit(DequantiseAffine(), value, factors, zero)
