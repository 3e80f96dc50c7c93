"""Convolutions and dense layers between quantised values, as integers."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.quantise import DequantiseAffine
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.quantise.constant import literal_of
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.group import FusionGroup
from tilewright.compiler.quantise.integer import (
    IntegerBuilder,
    LoweredLayer,
    QuantisedValue,
    feature_map_of,
)
from tilewright.compiler.quantise.parameter import (
    QuantParams,
    Real,
    quantise_weights,
    requantisation,
    residual_factors,
    weight_scales,
)
from tilewright.compiler.quantise.recognition import Sample, sample_of

_INT32_MAXIMUM = 2**31 - 1
_LARGEST_INPUT = 128
_POINT = Convolution((1, 1), (0, 0, 0, 0), (1, 1), 1)
"""What a dense layer is behind its kernel, which is the whole feature map."""


@dataclass(frozen=True)
class Weights:
    """The integers of a layer.

    Members:
        weight: int8 (O, …).
        scale: float64 (O,), of the weights.
        bias: float64 (O,), as real numbers.
    """

    weight: NDArray[np.int8]
    scale: Real
    bias: Real


def lower_linear(
    b: IntegerBuilder,
    equation: Equation,
    group: FusionGroup,
    parameters: QuantParams,
    residual: QuantisedValue | None = None,
) -> QuantisedValue:
    """Adds the integer convolution that does a convolution or dense layer and what follows it.

    Args:
        b: where it goes.
        equation: the convolution or dense layer.
        group: it, and what is behind.
        parameters: of the result.
        residual: an activation that is added.

    Raises:
        GroupError: if it does not fit the accelerator's arithmetic.
    """
    x = b.operand(equation.operands[0])
    sample = feature_map_of(x, sample_of(equation.operands[0]))
    weights = read_weights(b.source, equation, x.parameters, parameters, residual)
    b.layers[equation] = LoweredLayer(weights.scale, x.parameters)
    kernels = _kernels(equation, weights.weight, sample)
    unit = weights.scale * x.parameters.scale
    bias = _bias(weights, unit, x.parameters.zero_point)
    factor = None
    further: list[Value] = []
    if residual is not None:
        factor = residual_factors(residual.parameters, unit)
        bias -= residual.parameters.zero_point * factor.astype(np.float64)
        shape = feature_map_of(residual, sample_of(equation.result))
        further = [b.feature_map(residual, shape), b.constant(factor)]
    _check_sums(kernels, factor, bias)
    end = requantisation(bias, unit / parameters.scale, parameters)
    operator = _operator(equation, group, x.parameters, residual is not None, parameters, end.zero_point)
    own = [b.constant(each) for each in (kernels, end.bias.astype(np.int32), end.words)]
    given = b.feature_map(x, sample, moves=True)
    result = b.emit(operator, (given, *own, *further), equation.labels)
    return QuantisedValue(result, sample_of(result), parameters)


def read_weights(
    source: Function, equation: Equation, x: QuantParams, y: QuantParams, residual: QuantisedValue | None
) -> Weights:
    """The integer weights of a layer: those of the model, or made of its real ones."""
    _, weight, bias = equation.operands
    real_bias = _real(source, bias)
    integers = _integers(source, weight)
    if integers is not None:
        value, scale = integers
        return Weights(value, scale, real_bias)
    array = literal_of(source, weight)
    assert array is not None, "recognised: weights are constants"
    scales = weight_scales(array, real_bias, x, y, residual.parameters.scale if residual else 0.0)
    return Weights(quantise_weights(array, scales), scales, real_bias)


def _integers(source: Function, value: Value) -> tuple[Array, Real] | None:
    """Integers and the scale of each channel, if a constant is dequantised from such."""
    producer = source.producers.get(value)
    if producer is None or not isinstance(producer.operator, DequantiseAffine):
        return None
    integers, scale = (literal_of(source, each) for each in producer.operands[:2])
    assert integers is not None
    assert scale is not None
    return integers, scale.reshape(-1).astype(np.float64)


def _real(source: Function, value: Value) -> Real:
    integers = _integers(source, value)
    if integers is not None:
        return integers[0].astype(np.float64) * integers[1]
    array = literal_of(source, value)
    assert array is not None, "recognised: biases are constants"
    return array.astype(np.float64)


def _kernels(equation: Equation, weight: NDArray[np.int8], sample: Sample) -> NDArray[np.int8]:
    """Weights of a convolution over feature maps of that shape; a dense layer's kernel is the whole map."""
    if isinstance(equation.operator, Convolution):
        return weight
    return weight.reshape(len(weight), *sample)


def _bias(weights: Weights, unit: Real, zero_point: int) -> Real:
    sums = weights.weight.reshape(len(weights.weight), -1).sum(axis=1, dtype=np.int64)
    return np.asarray(np.rint(weights.bias / unit) - zero_point * sums, np.float64)


def _check_sums(weight: NDArray[np.int8], factor: Array | None, bias: Real) -> None:
    largest = np.abs(weight.reshape(len(weight), -1).astype(np.int64)).sum(axis=1) * _LARGEST_INPUT
    if factor is not None:
        largest = largest + np.abs(factor.astype(np.int64)) * _LARGEST_INPUT
    terms = math.prod(weight.shape[1:])
    require(
        int(largest.max()) <= _INT32_MAXIMUM,
        f"its sums of {terms} products must fit int32, but reach {largest.max()}: split the layer",
    )
    require(
        float(np.abs(bias).max()) <= _INT32_MAXIMUM,
        f"its bias must fit int32 in units of the sums, not be {np.abs(bias).max():g}: "
        "raise the weights' scales",
    )


def _operator(
    equation: Equation, group: FusionGroup, x: QuantParams, residual: bool, y: QuantParams, zero_point: int
) -> QConv2d:
    windows = equation.operator if isinstance(equation.operator, Convolution) else _POINT
    top, left, bottom, right = windows.pads
    lo, hi = group.limits(y)
    return QConv2d(
        strides=(windows.strides[0], windows.strides[1]),
        pads=(top, left, bottom, right),
        dilations=(windows.dilations[0], windows.dilations[1]),
        groups=windows.groups,
        input_zero_point=x.zero_point,
        zero_point=zero_point,
        lo=lo,
        hi=hi,
        residual=residual,
        pool=group.pool,
    )
