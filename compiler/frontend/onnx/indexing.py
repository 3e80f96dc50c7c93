"""Operators whose operands are places of elements."""

import math

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter, normal_axis
from tilewright.compiler.ir.size import product
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.irregular import BitCast, non_max_suppression, unique


@converter("Gather")
def _gather(node: Node) -> Result:
    x = node.x(0)
    return e.gather(node.b, x, node.x(1), node.axis("axis", x.type.rank, 0))


@converter("GatherElements")
def _gather_elements(node: Node) -> Result:
    x = node.x(0)
    return e.gather_elements(node.b, x, node.x(1), node.axis("axis", x.type.rank, 0))


@converter("ScatterElements", "Scatter")
def _scatter_elements(node: Node) -> Result:
    x = node.x(0)
    axis = node.axis("axis", x.type.rank, 0)
    return e.scatter_elements(node.b, x, node.x(1), node.x(2), axis, _reduction(node))


@converter("GatherND")
def _gather_nd(node: Node) -> Result:
    x, indices, batch = node.x(0), node.x(1), node.integer("batch_dims", 0)
    most = min(x.type.rank, indices.type.rank)
    require(0 <= batch < most, f"batch_dims must be from 0 to {most - 1}, not {batch}")
    return e.gather_nd(node.b, x, indices, batch)


@converter("ScatterND")
def _scatter_nd(node: Node) -> Result:
    return e.scatter_nd(node.b, node.x(0), node.x(1), node.x(2), _reduction(node))


def _reduction(node: Node) -> str:
    return node.choice("reduction", "none", ["none", "add", "mul", "min", "max"])


@converter("NonZero")
def _non_zero(node: Node) -> Result:
    return e.nonzero(node.b, node.x(0))


@converter("Compress")
def _compress(node: Node) -> Result:
    b, x = node.b, node.x(0)
    if not node.given("axis"):
        x = e.reshape(b, x, (product(x.type.shape),))
    axis = normal_axis(node.integer("axis", 0), x.type.rank)
    places = e.nonzero(b, node.x(1), "kept")
    return e.gather(b, x, e.squeeze(b, places, (0,)), axis)


@converter("ReverseSequence")
def _reverse_sequence(node: Node) -> Result:
    b, x, lengths = node.b, node.x(0), node.x(1)
    time, batch = node.integer("time_axis", 0), node.integer("batch_axis", 1)
    require({time, batch} == {0, 1}, "time_axis and batch_axis must be 0 and 1")
    shape = x.type.shape
    places = e.iota(b, DType.INT64, shape, time)
    per_row = e.reshape(b, lengths, tuple(shape[batch] if axis == batch else 1 for axis in range(len(shape))))
    length = e.broadcast_to(b, per_row, shape)
    turned = e.sub(b, e.sub(b, length, 1), places)
    return e.gather_elements(b, x, e.select(b, e.less(b, places, length), turned, places), time)


@converter("ai.onnx.ml.ArrayFeatureExtractor")
def _array_feature(node: Node) -> Result:
    x = node.x(0)
    flat = e.reshape(node.b, node.x(1), (product(node.type(1).shape),))
    taken = e.gather(node.b, x, flat, x.type.rank - 1)
    return e.reshape(node.b, taken, (1, *taken.type.shape)) if x.type.rank == 1 else taken


@converter("TensorScatter")
def _tensor_scatter(node: Node) -> Result:
    """Writes a piece of a cache at a place of each row of the batch."""
    b, cache, update = node.b, node.x(0), node.x(1)
    axis = node.axis("axis", cache.type.rank, -2)
    circular = node.choice("mode", "linear", ["linear", "circular"]) == "circular"
    places = e.iota(b, DType.INT64, update.type.shape, axis)
    if node.has(2):
        start = e.reshape(b, node.x(2), (cache.type.shape[0], *[1] * (cache.type.rank - 1)))
        places = e.add(b, places, start)
    if circular:
        size = cache.type.shape[axis]
        places = e.mod(b, places, size if isinstance(size, int) else e.extent(b, cache, axis))
    return e.scatter_elements(b, cache, places, update, axis)


@converter("NonMaxSuppression")
def _non_max_suppression(node: Node) -> Result:
    b = node.b
    # Without a number no box is kept.
    most = e.cast(b, e.reshape(b, node.x(2), ()), DType.INT64) if node.has(2) else b.constant(0, DType.INT64)
    overlap = e.reshape(b, node.x(3), ()) if node.has(3) else b.constant(0.0, DType.FLOAT32)
    # Without a bound every score is enough, but for NaN.
    least = e.reshape(b, node.x(4), ()) if node.has(4) else b.constant(-math.inf, DType.FLOAT32)
    is_centred = bool(node.integer("center_point_box", 0))
    return non_max_suppression(b, node.x(0), node.x(1), most, overlap, least, is_centred)


@converter("Unique")
def _unique(node: Node) -> Result:
    x = node.x(0)
    axis = node.axis("axis", x.type.rank) if node.given("axis") else None
    return unique(node.b, x, axis, bool(node.integer("sorted", 1)))


@converter("BitCast")
def _bit_cast(node: Node) -> Result:
    return node.b.emit(BitCast(node.dtype("to")), node.x(0))
