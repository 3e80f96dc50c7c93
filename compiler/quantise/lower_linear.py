"""Convolutions and dense layers between quantised values, as integers."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.graph.graph import Node
from tilewright.compiler.ops.conv2d import Conv2d
from tilewright.compiler.ops.dequantise_channels import DequantiseChannels
from tilewright.compiler.ops.operator import Array
from tilewright.compiler.ops.qconv2d import QConv2d
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.island import Island
from tilewright.compiler.quantise.parameter import (
    Parameters,
    Real,
    quantise_weights,
    residual_factors,
    scale_words,
    weight_scales,
)
from tilewright.compiler.quantise.value import Draft, Integer, pictures_of

_INT32_MAXIMUM = 2**31 - 1
_LARGEST_INPUT = 128


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
    draft: Draft,
    node: Node,
    island: Island,
    parameters: Parameters,
    output: str,
    residual: Integer | None = None,
) -> Integer:
    """Adds the integer convolution that does a convolution or dense layer and what follows it.

    Args:
        node: the convolution or dense layer.
        island: it, and what is behind.
        parameters: of the result.
        output: the name of the result.
        residual: an activation that is added.

    Raises:
        IslandError: if it does not fit the accelerator's arithmetic.
    """
    x = draft.operand(node.inputs[0])
    shape = pictures_of(x, draft.source.types[node.inputs[0]].shape)
    weights = read_weights(draft, node, x.parameters, parameters, residual)
    kernels = _kernels(node, weights.weight, shape)
    unit = weights.scale * x.parameters.scale
    bias = _bias(weights, unit, x.parameters.zero_point)
    inputs: dict[str, Array] = {
        "weight": kernels,
        "scale": scale_words(unit / parameters.scale, parameters.reach),
    }
    operands = []
    if residual is not None:
        factor = residual_factors(residual.parameters, unit)
        bias -= residual.parameters.zero_point * factor.astype(np.float64)
        inputs["factor"] = factor
        operands = [draft.picture(residual, residual.shape)]
    _check_sums(kernels, inputs.get("factor"), bias)
    inputs["bias"] = bias.astype(np.int32)
    names = {key: f"{output}.{key}" for key in inputs}
    draft.constants.update({names[key]: value for key, value in inputs.items()})
    operator = _operator(node, island, x.parameters, parameters, residual is not None)
    order = (draft.picture(x, shape), names["weight"], names["bias"], names["scale"])
    draft.emit(node.name, operator, (*order, *operands, *([names["factor"]] if operands else [])), output)
    return Integer(output, draft.types[output].shape, parameters)


def read_weights(draft: Draft, node: Node, x: Parameters, y: Parameters, residual: Integer | None) -> Weights:
    """The integer weights of a layer: those of the model, or made of its real ones."""
    graph = draft.source
    bias = _real(draft, node.inputs[2])
    producer = graph.producers.get(node.inputs[1])
    if producer is not None and isinstance(producer.operator, DequantiseChannels):
        value, scale = (graph.constants[name] for name in producer.inputs)
        return Weights(value, scale.astype(np.float64), bias)
    require(node.inputs[1] in graph.constants, f"its weights {node.inputs[1]!r} must be constants")
    weight = graph.constants[node.inputs[1]]
    scale = weight_scales(weight, bias, x, y, residual.parameters.scale if residual else 0.0)
    return Weights(quantise_weights(weight, scale), scale, bias)


def _real(draft: Draft, name: str) -> Real:
    producer = draft.source.producers.get(name)
    if producer is not None and isinstance(producer.operator, DequantiseChannels):
        value, scale = (draft.source.constants[each] for each in producer.inputs)
        return value.astype(np.float64) * scale.astype(np.float64)
    require(name in draft.source.constants, f"its bias {name!r} must be a constant")
    return draft.source.constants[name].astype(np.float64)


def _kernels(node: Node, weight: NDArray[np.int8], shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Weights of a convolution over pictures of that shape; a dense layer's kernel is the whole picture."""
    if isinstance(node.operator, Conv2d):
        return weight
    return weight.reshape(len(weight), *shape[1:])


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


def _operator(node: Node, island: Island, x: Parameters, y: Parameters, residual: bool) -> QConv2d:
    geometry = node.operator if isinstance(node.operator, Conv2d) else Conv2d()
    lo, hi = island.limits(y)
    return QConv2d(
        geometry.strides,
        geometry.pads,
        geometry.dilations,
        geometry.groups,
        x.zero_point,
        y.zero_point,
        lo,
        hi,
        residual,
        island.pool,
    )
