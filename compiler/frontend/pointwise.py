"""Operators on single elements: activation functions, sums, factors of channels."""

import math
from collections.abc import Callable

import numpy as np

from tilewright.compiler.frontend.draft import Draft
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.node import OnnxNode
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.add import Add
from tilewright.compiler.ops.batch_norm import BatchNorm
from tilewright.compiler.ops.clip import Clip
from tilewright.compiler.ops.operator import Array
from tilewright.compiler.ops.relu import Relu

Affine = Callable[[Array], tuple[Array, Array]]
"""From the constant of a channel to its factor and offset."""


def convert_relu(node: OnnxNode, draft: Draft) -> None:
    """Relu."""
    draft.emit(node, Relu(), node.inputs)


def convert_clip(node: OnnxNode, draft: Draft) -> None:
    """Clip, with its bounds as attributes (in old models) or inputs."""
    lo = _bound(node, draft, 1, node.number("min", -math.inf))
    hi = _bound(node, draft, 2, node.number("max", math.inf))
    draft.emit(node, Clip(lo, hi), node.inputs[:1])


def convert_add(node: OnnxNode, draft: Draft) -> None:
    """Add: of two activations of one shape, or of a constant for each channel."""
    if any(draft.is_constant(name) for name in node.inputs):
        _emit_affine(node, draft, lambda constant: (np.ones_like(constant), constant))
        return
    draft.emit(node, Add(), node.inputs)


def convert_sub(node: OnnxNode, draft: Draft) -> None:
    """Sub of a constant for each channel."""
    _expect_constant_second(node, draft)
    _emit_affine(node, draft, lambda constant: (np.ones_like(constant), -constant))


def convert_mul(node: OnnxNode, draft: Draft) -> None:
    """Mul with a constant for each channel."""
    _emit_affine(node, draft, lambda constant: (constant, np.zeros_like(constant)))


def convert_div(node: OnnxNode, draft: Draft) -> None:
    """Div by a constant for each channel."""
    _expect_constant_second(node, draft)
    _emit_affine(node, draft, lambda constant: (1 / constant, np.zeros_like(constant)))


def convert_batch_norm(node: OnnxNode, draft: Draft) -> None:
    """BatchNormalization with the statistics of training."""
    node.expect_integer("training_mode", 0, 0)
    require(not any(node.outputs[1:]), "only its first result is supported")
    gamma, beta, mean, variance = (draft.constant(name).astype(np.float64) for name in node.inputs[1:5])
    scale = gamma / np.sqrt(variance + node.number("epsilon", 1e-5))
    _emit_batch_norm(node, draft, node.input(0), scale, beta - mean * scale)


def _bound(node: OnnxNode, draft: Draft, index: int, default: float) -> float:
    name = node.input(index)
    return float(draft.constant(name).reshape(())) if name else default


def _expect_constant_second(node: OnnxNode, draft: Draft) -> None:
    require(
        draft.is_constant(node.input(1)), "its second input must be a constant, not computed from the input"
    )


def _emit_affine(node: OnnxNode, draft: Draft, affine: Affine) -> None:
    constants = [name for name in node.inputs if draft.is_constant(name)]
    require(len(constants) == 1, "one of its inputs must be a constant, not both computed from the input")
    (x,) = (name for name in node.inputs if name != constants[0])
    values = _of_channels(draft.constant(constants[0]), draft.activation(x))
    _emit_batch_norm(node, draft, x, *affine(values))


def _of_channels(constant: Array, x: TensorType) -> Array:
    """A constant that is broadcast against x, as one number for each channel: float64 (C,)."""
    message = f"its constant must be one number, or one for each channel of {x}, not shape {constant.shape}"
    require(len(x.shape) > 1 and constant.ndim <= len(x.shape), message)
    shape = (1,) * (len(x.shape) - constant.ndim) + constant.shape
    others = shape[:1] + shape[2:]
    require(max(others) == 1 and shape[1] in (1, x.shape[1]), message)
    return np.broadcast_to(constant.astype(np.float64).reshape(-1), (x.shape[1],))


def _emit_batch_norm(node: OnnxNode, draft: Draft, x: str, scale: Array, shift: Array) -> None:
    inputs = (
        x,
        draft.add_constant(f"{node.name}.scale", scale),
        draft.add_constant(f"{node.name}.shift", shift),
    )
    draft.emit(node, BatchNorm(), inputs)


CONVERTERS = {
    "Relu": convert_relu,
    "Clip": convert_clip,
    "Add": convert_add,
    "Sub": convert_sub,
    "Mul": convert_mul,
    "Div": convert_div,
    "BatchNormalization": convert_batch_norm,
}
