"""Quantisation, and operators on quantised tensors."""

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.onnx.element import inner_dtype
from tilewright.compiler.frontend.onnx.node import Node, Result, converter, normal_axis
from tilewright.compiler.frontend.onnx.window import convolved
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.convolution import per_channel
from tilewright.compiler.ops.nn.quantise import dequantise, quantise


def _aligned(node: Node, x: Value, values: Value, axis: int, block: int) -> Value:
    """A scale or zero point as broadcasts over x: of the tensor, an axis, or blocks along it."""
    b, rank = node.b, x.type.rank
    if values.type.rank == 0 or values.type.shape == (1,):
        return e.reshape(b, values, ())
    axis = normal_axis(axis, rank)
    if not block:
        require(values.type.rank == 1, f"scale must be of rank 0 or 1 without blocks, not {values.type}")
        same = values.type.shape[0] == x.type.shape[axis]
        require(
            same,
            f"scale must have {x.type.shape[axis]} numbers, one each place of axis {axis}, not {values.type}",
        )
        return e.reshape(
            b, values, tuple(values.type.shape[0] if each == axis else 1 for each in range(rank))
        )
    require(values.type.rank == rank, f"scale must be of rank {rank} with blocks, not {values.type}")
    shape = list(values.type.shape)
    spread = e.expand_dims(b, values, (axis + 1,))
    wide = e.broadcast_to(b, spread, (*shape[: axis + 1], block, *shape[axis + 1 :]))
    shape[axis] = shape[axis] * block
    whole = e.reshape(b, wide, tuple(shape))
    return e.slice_axis(b, whole, axis, 0, x.type.shape[axis])


@converter("QuantizeLinear")
def _quantise(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    scale = e.cast(b, _aligned(node, x, node.x(1), axis, block), DType.FLOAT32)
    dtype = node.type(2).dtype if node.has(2) else DType.UINT8
    wanted = node.integer("output_dtype", 0)
    if wanted:
        stated = inner_dtype(wanted, "output_dtype")
        require(
            not node.has(2) or stated is dtype,
            f"output_dtype must be that of the zero point, {dtype}, not {stated}",
        )
        dtype = stated
    zero = _aligned(node, x, node.x(2), axis, block) if node.has(2) else b.constant(0, dtype)
    return quantise(b, e.cast(b, x, DType.FLOAT32), scale, zero)


@converter("DequantizeLinear")
def _dequantise(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    scale = e.cast(b, _aligned(node, x, node.x(1), axis, block), DType.FLOAT32)
    if node.has(2):
        same = node.type(2).dtype is x.type.dtype
        require(same, f"the zero point must be of {x.type.dtype}, not {node.type(2).dtype}")
    zero = _aligned(node, x, node.x(2), axis, block) if node.has(2) else b.constant(0, x.type.dtype)
    return dequantise(b, x, scale, zero)


@converter("DynamicQuantizeLinear")
def _dynamic(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axes = tuple(range(x.type.rank))
    low = e.minimum(b, e.reduce_min(b, x, axes), 0.0)
    high = e.maximum(b, e.reduce_max(b, x, axes), 0.0)
    scale = e.div(b, e.sub(b, high, low), 255.0)
    scale = e.select(b, e.equal(b, scale, 0.0), e.full(b, 1.0, DType.FLOAT32, ()), scale)
    place = e.round(b, e.maximum(b, e.minimum(b, e.neg(b, e.div(b, low, scale)), 255.0), 0.0))
    zero = e.cast(b, place, DType.UINT8)
    return quantise(b, x, scale, zero), scale, zero


def _centred(b: Builder, x: Value, zero: Value | None) -> Value:
    """x without its zero point, in int32."""
    wide = e.cast(b, x, DType.INT32)
    return wide if zero is None else e.sub(b, wide, e.cast(b, zero, DType.INT32))


def _rows(b: Builder, values: Value, rank: int) -> Value:
    """Zero points or scales a row of a matrix: as a column."""
    if values.type.rank != 1:
        return values
    if values.type.shape == (1,):
        return e.reshape(b, values, ())
    return e.reshape(b, values, (values.type.shape[0], 1)) if rank >= 2 else values


@converter("MatMulInteger")
def _matmul_integer(node: Node) -> Result:
    b = node.b
    x, y = node.x(0), node.x(1)
    zero_x = _rows(b, node.x(2), x.type.rank) if node.has(2) else None
    return e.matmul(b, _centred(b, x, zero_x), _centred(b, y, node.optional(3)))


@converter("ConvInteger")
def _conv_integer(node: Node) -> Result:
    b, x, w = node.b, node.x(0), node.x(1)
    zero_x = e.reshape(b, node.x(2), ()) if node.has(2) else None
    return convolved(
        node, _centred(b, x, zero_x), _centred(b, w, _output_channels(b, node, 3, w.type.rank)), None
    )


def _output_channels(b: Builder, node: Node, index: int, rank: int) -> Value | None:
    """A number each output channel (or one for all) as broadcasts over weights (O, C, …)."""
    if not node.has(index):
        return None
    values = node.x(index)
    if values.type.rank == 0 or values.type.shape == (1,):
        return e.reshape(b, values, ())
    return e.reshape(b, values, (values.type.shape[0], *[1] * (rank - 1)))


@converter("QLinearMatMul")
def _qlinear_matmul(node: Node) -> Result:
    b = node.b
    x, sx, zx, y, sy, zy, sr, zr = (node.x(index) for index in range(8))
    rank = x.type.rank
    total = e.matmul(b, _centred(b, x, _rows(b, zx, rank)), _centred(b, y, zy))
    scale = e.div(b, e.mul(b, e.cast(b, _rows(b, sx, rank), DType.FLOAT32), e.cast(b, sy, DType.FLOAT32)),
                  e.cast(b, _rows(b, sr, rank), DType.FLOAT32))  # fmt: skip
    return _requantised(b, total, scale, _rows(b, zr, rank))


def _requantised(b: Builder, total: Value, scale: Value, zero: Value) -> Value:
    """Sums times a factor, rounded half to even, plus a zero point, saturated."""
    dtype = zero.type.dtype
    limits = np.iinfo(dtype.value)
    places = e.round(b, e.mul(b, e.cast(b, total, DType.FLOAT32), scale))
    places = e.add(b, places, e.cast(b, zero, DType.FLOAT32))
    bounded = e.maximum(b, e.minimum(b, places, float(limits.max)), float(limits.min))
    return e.cast(b, bounded, dtype)


@converter("QLinearConv")
def _qlinear_conv(node: Node) -> Result:
    b = node.b
    x, sx, zx, w = (node.x(index) for index in range(4))
    rank = x.type.rank
    scale_w, zero_w = _output_channels(b, node, 4, rank), _output_channels(b, node, 5, rank)
    assert scale_w is not None
    bias = e.cast(b, node.x(8), DType.INT32) if node.has(8) else None
    total = convolved(node, _centred(b, x, e.reshape(b, zx, ())), _centred(b, w, zero_w), bias)
    channels = (
        per_channel(b, e.reshape(b, scale_w, (w.type.shape[0],)), rank) if scale_w.type.rank else scale_w
    )
    scale = e.div(b, e.mul(b, e.reshape(b, sx, ()), channels), e.reshape(b, node.x(6), ()))
    return _requantised(b, total, scale, e.reshape(b, node.x(7), ()))
