"""QuantizeLinear and DequantizeLinear: of activations, and of constants."""

from typing import Any

import numpy as np
import onnx

from tilewright.compiler.frontend.draft import Draft, Quantised
from tilewright.compiler.frontend.error import UnsupportedError, require
from tilewright.compiler.frontend.node import OnnxNode
from tilewright.compiler.ops.dequantise import Dequantise
from tilewright.compiler.ops.operator import Array
from tilewright.compiler.ops.quantise import Quantise

_UINT8_OFFSET = 128
"""From uint8 to int8: values and zero points move by as much."""


def convert_quantise(node: OnnxNode, draft: Draft) -> None:
    """QuantizeLinear of an activation."""
    scale, zero_point, dtype = _activation_parameters(node, draft, _result_type(node))
    if dtype == np.uint8:
        draft.unsigned.add(node.outputs[0])
    draft.emit(node, Quantise(scale, zero_point), node.inputs[:1])


def convert_dequantise(node: OnnxNode, draft: Draft) -> None:
    """DequantizeLinear of an activation, or of a constant."""
    if draft.is_constant(node.input(0)):
        draft.quantised[node.outputs[0]] = _constant(node, draft)
        return
    given = np.dtype(np.uint8 if node.input(0) in draft.unsigned else np.int8)
    scale, zero_point, _ = _activation_parameters(node, draft, given)
    draft.emit(node, Dequantise(scale, zero_point), node.inputs[:1])


def _result_type(node: OnnxNode) -> np.dtype[Any]:
    """The type of a result without a zero point: `output_dtype` (opset 21), else uint8."""
    code = node.integer("output_dtype", 0) or onnx.TensorProto.UINT8
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))


def _activation_parameters(
    node: OnnxNode, draft: Draft, dtype: np.dtype[Any]
) -> tuple[float, int, np.dtype[Any]]:
    """Scale, zero point as int8, and the type in the model: the zero point's, or `dtype` without one."""
    scale, zero_point = _parameters(node, draft, dtype)
    require(scale.size == 1, f"the scale of an activation must be one number, not {scale.size}")
    if zero_point.dtype not in (np.int8, np.uint8):
        raise UnsupportedError(f"activations must be int8 or uint8, not {zero_point.dtype}")
    offset = _UINT8_OFFSET if zero_point.dtype == np.uint8 else 0
    return float(scale.reshape(())), int(zero_point.reshape(())) - offset, zero_point.dtype


def _parameters(node: OnnxNode, draft: Draft, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    node.expect_integer("block_size", 0, 0)
    scale = draft.constant(node.input(1))
    require(scale.dtype == np.float32, f"scales must be float32, not {scale.dtype}")
    good = np.isfinite(scale).all() and (scale > 0).all()
    require(bool(good), f"scales must be positive numbers, but {node.input(1)!r} holds others")
    if node.input(2):
        return scale, draft.constant(node.input(2))
    return scale, np.zeros(scale.shape, dtype)


def _constant(node: OnnxNode, draft: Draft) -> Quantised:
    value = draft.constant(node.input(0))
    scale, zero_point = _parameters(node, draft, value.dtype)
    axis = node.integer("axis", 1) % max(1, value.ndim)
    require(
        scale.size == 1 or scale.shape == value.shape[axis : axis + 1], "scales must be one for each channel"
    )
    if value.dtype == np.uint8:
        value = (value.astype(np.int16) - _UINT8_OFFSET).astype(np.int8)
        zero_point = zero_point.astype(np.int16) - _UINT8_OFFSET
    if value.dtype not in (np.int8, np.int32):
        raise UnsupportedError(f"quantised constants must be int8, uint8 or int32, not {value.dtype}")
    require(
        not zero_point.any(),
        "zero points of weights must be 0 (or 128 of uint8): quantise them symmetrically",
    )
    return Quantised(value, scale, axis)


CONVERTERS = {"QuantizeLinear": convert_quantise, "DequantizeLinear": convert_dequantise}
