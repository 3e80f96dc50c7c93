"""Operators whose operands are places of elements."""

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter, normal_axis
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ops import emit as e


def indices_of(b: Builder, indices: Value, size: AnySize, like: Value, axis: int) -> Value:
    """Indices from 0 in int64: negative ones count from the end."""
    wide = e.cast(b, indices, DType.INT64)
    literal = b.literal(wide) or b.literal(indices)
    if literal is not None:
        array = literal.array.astype(np.int64)
        if (array >= 0).all():
            return b.constant(array)
        if isinstance(size, int):
            return b.constant(np.where(array < 0, array + size, array))
    extent: Value | int = size if isinstance(size, int) else e.extent(b, like, axis)
    return e.select(b, e.less(b, wide, 0), e.add(b, wide, extent), wide)


@converter("Gather")
def _gather(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axis = node.axis("axis", x.type.rank, 0)
    return e.gather(b, x, indices_of(b, node.x(1), x.type.shape[axis], x, axis), axis)


@converter("GatherElements")
def _gather_elements(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axis = node.axis("axis", x.type.rank, 0)
    return e.gather_elements(b, x, indices_of(b, node.x(1), x.type.shape[axis], x, axis), axis)


@converter("ScatterElements", "Scatter")
def _scatter_elements(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axis = node.axis("axis", x.type.rank, 0)
    indices = indices_of(b, node.x(1), x.type.shape[axis], x, axis)
    reduction = node.choice("reduction", "none", ["none", "add", "mul", "min", "max"])
    return e.scatter_elements(b, x, indices, node.x(2), axis, reduction)


def flat_index(b: Builder, x: Value, indices: Value, skip: int) -> tuple[Value, tuple[AnySize, ...]]:
    """Tuples of indices into axes `skip` … as one index into these axes flattened, and their sizes."""
    depth = indices.type.shape[-1]
    require(isinstance(depth, int), f"the last axis of indices must have a known size, not {depth}")
    assert isinstance(depth, int)
    require(skip + depth <= x.type.rank, f"tuples of {depth} indices must not exceed rank {x.type.rank}")
    sizes = x.type.shape[skip : skip + depth]
    total: Value | None = None
    for place, size in enumerate(sizes):
        one = e.gather(b, indices, b.constant(np.array(place, np.int64)), indices.type.rank - 1)
        one = indices_of(b, one, size, x, skip + place)
        if total is None:
            total = one
        else:
            extent: Value | int = size if isinstance(size, int) else e.extent(b, x, skip + place)
            total = e.add(b, e.mul(b, total, extent), one)
    assert total is not None
    return total, sizes


def _product(sizes: tuple[AnySize, ...]) -> AnySize:
    total: AnySize = 1
    for size in sizes:
        total = total * size
    return total


@converter("GatherND")
def _gather_nd(node: Node) -> Result:
    b, x, indices = node.b, node.x(0), node.x(1)
    batch = node.integer("batch_dims", 0)
    require(
        0 <= batch < min(x.type.rank, indices.type.rank), f"batch_dims must be below the ranks, not {batch}"
    )
    flat, sizes = flat_index(b, x, indices, batch)
    rest = x.type.shape[batch + len(sizes) :]
    if not batch:
        return e.gather(b, e.reshape(b, x, (_product(sizes), *rest)), flat, 0)
    lead = x.type.shape[:batch]
    # The batch becomes part of the flat index.
    count = _product(lead)
    inner = _product(flat.type.shape[batch:])
    flat = e.reshape(b, flat, (count, inner))
    rows = e.iota(b, DType.INT64, (count, inner), 0)
    width = _product(sizes)
    require(isinstance(width, int), "batch_dims needs axes of known sizes")
    place = e.add(b, e.mul(b, rows, int(width) if isinstance(width, int) else 0), flat)
    taken = e.gather(b, e.reshape(b, x, (count * width, *rest)), place, 0)
    return e.reshape(b, taken, (*indices.type.shape[:-1], *rest))


@converter("ScatterND")
def _scatter_nd(node: Node) -> Result:
    b, x, indices, updates = node.b, node.x(0), node.x(1), node.x(2)
    reduction = node.choice("reduction", "none", ["none", "add", "mul", "min", "max"])
    flat, sizes = flat_index(b, x, indices, 0)
    rest = x.type.shape[len(sizes) :]
    width = _product(rest)
    count = _product(flat.type.shape)
    rows = e.reshape(b, x, (_product(sizes), width))
    places = e.broadcast_to(b, e.reshape(b, flat, (count, 1)), (count, width))
    changed = e.scatter_elements(b, rows, places, e.reshape(b, updates, (count, width)), 0, reduction)
    return e.reshape(b, changed, x.type.shape)


@converter("NonZero")
def _non_zero(node: Node) -> Result:
    from tilewright.compiler.ops.primitive.nonzero import NonZero

    return node.b.emit(NonZero(node.b.size_name("nonzero")), node.x(0))


@converter("Compress")
def _compress(node: Node) -> Result:
    from tilewright.compiler.ops.primitive.nonzero import NonZero

    b, x = node.b, node.x(0)
    if not node.given("axis"):
        x = e.reshape(b, x, (_product(x.type.shape),))
    axis = normal_axis(node.integer("axis", 0), x.type.rank)
    places = b.emit(NonZero(b.size_name("kept")), node.x(1))
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
    flat = e.reshape(node.b, node.x(1), (_product(node.type(1).shape),))
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
