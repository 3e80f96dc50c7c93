"""Operators that move elements without computing on them."""

import math
from collections.abc import Sequence

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import UnsupportedError, require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter, normal_axes, normal_axis
from tilewright.compiler.frontend.onnx.shape_value import quotient, reshaped
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.size import AnySize, Size
from tilewright.compiler.ops import emit as e

_LARGEST = (1 << 31) - 1
"""Stops beyond mean "to the end"."""


@converter("Reshape")
def _reshape(node: Node) -> Result:
    x = node.x(0)
    shape = reshaped(x.type.shape, node.sizes(1), bool(node.integer("allowzero", 0)))
    return e.reshape(node.b, x, shape)


@converter("Flatten")
def _flatten(node: Node) -> Result:
    x = node.x(0)
    axis = node.integer("axis", 1)
    require(
        -x.type.rank <= axis <= x.type.rank, f"axis must be from {-x.type.rank} to {x.type.rank}, not {axis}"
    )
    axis += x.type.rank if axis < 0 else 0
    return e.reshape(node.b, x, (_product(x.type.shape[:axis]), _product(x.type.shape[axis:])))


def _product(sizes: Sequence[AnySize]) -> AnySize:
    total: AnySize = 1
    for size in sizes:
        total = total * size
    return total


@converter("Transpose")
def _transpose(node: Node) -> Result:
    rank = node.rank(0)
    permutation = node.integers("perm", tuple(reversed(range(rank))))
    return e.transpose(node.b, node.x(0), tuple(normal_axis(axis, rank, "perm") for axis in permutation))


@converter("Squeeze")
def _squeeze(node: Node) -> Result:
    x = node.x(0)
    if node.has(1):
        axes: Sequence[int] = node.numbers(1)
    else:
        axes = node.integers("axes", [axis for axis, size in enumerate(x.type.shape) if size == 1])
    return e.squeeze(node.b, x, normal_axes(axes, x.type.rank))


@converter("Unsqueeze")
def _unsqueeze(node: Node) -> Result:
    x = node.x(0)
    axes = node.numbers(1) if node.has(1) else node.integers("axes")
    return e.expand_dims(node.b, x, normal_axes(axes, x.type.rank + len(axes)))


@converter("Expand")
def _expand(node: Node) -> Result:
    x = node.x(0)
    wanted, shape = node.sizes(1), list(x.type.shape)
    rank = max(len(wanted), len(shape))
    old: list[AnySize] = [*[1] * (rank - len(shape)), *shape]
    new: list[AnySize] = [*[1] * (rank - len(wanted)), *wanted]
    return e.broadcast_to(node.b, x, tuple(b if a == 1 else a for a, b in zip(old, new, strict=True)))


@converter("Concat")
def _concat(node: Node) -> Result:
    return e.concat(node.b, node.all(), node.axis("axis", node.rank(0)))


@converter("Split")
def _split(node: Node) -> Result:
    x = node.x(0)
    axis = node.axis("axis", x.type.rank, 0)
    size = x.type.shape[axis]
    if node.has(1):
        parts: list[AnySize] = node.sizes(1)
    elif node.given("split"):
        parts = list(node.integers("split"))
    else:
        count = node.integer("num_outputs", node.outputs)
        require(isinstance(size, int), f"split must be given, since axis {axis} has size {size}")
        assert isinstance(size, int)
        each = -(-size // count)
        parts = [min(each, max(0, size - each * place)) for place in range(count)]
    return e.split(node.b, x, parts, axis)


@converter("Slice")
def _slice_by_attributes(node: Node) -> Result:
    starts, stops = node.integers("starts"), node.integers("ends")
    return _sliced(
        node, list(starts), list(stops), node.integers("axes", range(len(starts))), [1] * len(starts)
    )


@converter("Slice", since=10)
def _slice(node: Node) -> Result:
    starts, stops = node.sizes(1), node.sizes(2)
    axes = node.numbers(3) if node.has(3) else list(range(len(starts)))
    steps = node.numbers(4) if node.has(4) else [1] * len(starts)
    return _sliced(node, starts, stops, axes, steps)


def _sliced(
    node: Node, starts: list[AnySize], stops: list[AnySize], axes: Sequence[int], steps: Sequence[int]
) -> Value:
    x = node.x(0)
    require(
        len(starts) == len(stops) == len(axes) == len(steps),
        "starts, ends, axes and steps must be of one length",
    )
    require(all(steps), "steps must not be 0")
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        place = normal_axis(axis, x.type.rank, "axes")
        bounds = _bounds(x.type.shape[place], start, stop, step)
        x = _slice_one(node, x, place, bounds, step)
    return x


def _slice_one(node: Node, x: Value, axis: int, bounds: tuple[AnySize, AnySize], step: int) -> Value:
    start, stop = bounds
    size = x.type.shape[axis]
    if step > 0:
        return e.slice_axis(node.b, x, axis, start, stop, step)
    # A negative step: what is read, forwards, then turned round.
    require(
        isinstance(start, int) and isinstance(stop, int), f"a slice backwards needs a known size, not {size}"
    )
    assert isinstance(start, int)
    assert isinstance(stop, int)
    indices = np.arange(start, stop, step, dtype=np.int64)
    return e.gather(node.b, x, node.b.constant(indices), axis)


def _bounds(size: AnySize, start: AnySize, stop: AnySize, step: int) -> tuple[AnySize, AnySize]:
    """Start and stop from 0, clamped as Python's slices are; a stop of −1 is before the first."""
    if isinstance(size, int) and isinstance(start, int) and isinstance(stop, int):
        first, last, _ = slice(start, stop if step > 0 or stop >= -size else None, step).indices(size)
        return first, max(first, last) if step > 0 else last
    low, high = (_clamped(bound, size) for bound in (start, stop))
    require(step > 0, f"a slice backwards needs a known size, not {size}")
    return low, high


def _clamped(bound: AnySize, size: AnySize) -> AnySize:
    if not isinstance(bound, int):
        return bound
    if bound >= _LARGEST:
        return size
    return bound + size if bound < 0 else bound


@converter("Tile", since=6)
def _tile(node: Node) -> Result:
    x, repeats = node.x(0), node.sizes(1)
    require(len(repeats) == x.type.rank, f"repeats must have {x.type.rank} numbers, not {len(repeats)}")
    mixed: list[AnySize] = []
    for size, count in zip(x.type.shape, repeats, strict=True):
        mixed += [count, size]
    spread = e.expand_dims(node.b, x, tuple(range(0, 2 * x.type.rank, 2)))
    wide = e.broadcast_to(node.b, spread, tuple(mixed))
    shape = tuple(size * count for size, count in zip(x.type.shape, repeats, strict=True))
    return e.reshape(node.b, wide, shape)


@converter("Pad")
def _pad_by_attributes(node: Node) -> Result:
    return _padded(node, node.integers("pads"), list(range(node.rank(0))), node.number("value", 0.0))


@converter("Pad", since=11)
def _pad(node: Node) -> Result:
    axes = node.numbers(3) if node.has(3) else list(range(node.rank(0)))
    value: Value | int = 0
    if node.has(2):
        value = node.x(2)
    return _padded(node, node.numbers(1), axes, value)


def _padded(node: Node, pads: Sequence[int], axes: Sequence[int], value: Value | float) -> Value:
    b, x = node.b, node.x(0)
    mode = node.choice("mode", "constant", ["constant", "reflect", "edge", "wrap"])
    require(len(pads) == 2 * len(axes), f"pads must have {2 * len(axes)} numbers, not {len(pads)}")
    low = [0] * x.type.rank
    high = [0] * x.type.rank
    for place, axis in enumerate(axes):
        low[normal_axis(axis, x.type.rank, "axes")] = pads[place]
        high[normal_axis(axis, x.type.rank, "axes")] = pads[place + len(axes)]
    for axis in range(x.type.rank):
        before, after = max(0, -low[axis]), max(0, -high[axis])
        if before or after:
            x = e.slice_axis(b, x, axis, before, x.type.shape[axis] + -after)
    low, high = [max(0, pad) for pad in low], [max(0, pad) for pad in high]
    if mode == "constant":
        scalar = e.reshape(b, value, ()) if isinstance(value, Value) else value
        return e.pad(b, x, low, high, scalar)
    for axis, (before, after) in enumerate(zip(low, high, strict=True)):
        size = x.type.shape[axis]
        if before or after:
            require(isinstance(size, int), f"mode {mode} needs a known size of axis {axis}, not {size}")
            assert isinstance(size, int)
            places = np.pad(np.arange(size), (before, after), mode)  # type: ignore[call-overload]
            x = e.gather(b, x, b.constant(places.astype(np.int64)), axis)
    return x


@converter("ConstantOfShape")
def _constant_of_shape(node: Node) -> Result:
    value = node.tensor("value") if node.given("value") else np.zeros(1, np.float32)
    require(value.size == 1, f"value must have one element, not {value.size}")
    return e.full(node.b, value.reshape(())[()].item(), DType.of(value.dtype), tuple(node.sizes(0)))


@converter("Constant")
def _constant(node: Node) -> Result:
    if node.given("value"):
        return node.tensor("value")
    if node.given("sparse_value"):
        return node.sparse("sparse_value")
    if node.given("value_int"):
        return np.array(node.integer("value_int"), np.int64)
    if node.given("value_ints"):
        return np.array(node.integers("value_ints"), np.int64)
    if node.given("value_float"):
        return np.array(node.number("value_float"), np.float32)
    if node.given("value_floats"):
        return np.array(node.floats("value_floats"), np.float32)
    raise UnsupportedError("must have a value that is a tensor, integers or floats")


@converter("Shape", "Size")
def _shape(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axes = range(x.type.rank)
    if node.operator == "Size":
        total = b.constant(np.array(1, np.int64))
        for axis in axes:
            total = e.mul(b, total, e.extent(b, x, axis))
        return total
    part = axes[node.integer("start", 0) : node.integer("end", x.type.rank)]
    extents = [e.expand_dims(b, e.extent(b, x, axis), (0,)) for axis in part]
    return e.concat(b, extents, 0) if extents else np.zeros(0, np.int64)


@converter("EyeLike")
def _eye_like(node: Node) -> Result:
    b, kind = node.b, node.type(0)
    dtype = node.dtype("dtype", kind.dtype)
    rows, columns = (e.iota(b, DType.INT64, kind.shape, axis) for axis in (0, 1))
    return e.cast(b, e.equal(b, e.add(b, rows, node.integer("k", 0)), columns), dtype)


@converter("Trilu")
def _trilu(node: Node) -> Result:
    b, x = node.b, node.x(0)
    k = node.numbers(1)[0] if node.has(1) else 0
    rows, columns = (e.iota(b, DType.INT64, x.type.shape[-2:], axis) for axis in (0, 1))
    shifted = e.add(b, rows, k)
    upper = bool(node.integer("upper", 1))
    kept = e.greater_equal(b, columns, shifted) if upper else e.less_equal(b, columns, shifted)
    return e.select(b, kept, x, e.zeros_like(b, x))


@converter("Range")
def _range(node: Node) -> Result:
    items = [node.item(index) for index in range(3)]
    b = node.b
    if all(item.known is not None for item in items) and node.type(0).dtype.is_integer:
        (start,), (stop,), (step,) = (node.sizes(index) for index in range(3))
        if start == 0 and step == 1 and isinstance(stop, Size):
            return e.cast(b, e.iota(b, DType.INT64, (stop,), 0), node.type(0).dtype)
    first, last, step_array = (node.array(index).reshape(()) for index in range(3))
    count = max(0, math.ceil((last - first) / step_array))
    places = e.cast(b, e.iota(b, DType.INT64, (count,), 0), node.type(0).dtype)
    return e.add(b, e.mul(b, places, e.reshape(b, node.x(2), ())), e.reshape(b, node.x(0), ()))


@converter("DepthToSpace")
def _depth_to_space(node: Node) -> Result:
    b, x, size = node.b, node.x(0), node.integer("blocksize")
    batch, channels, height, width = _four(x)
    depth = quotient([channels], [size * size])
    if node.choice("mode", "DCR", ["DCR", "CRD"]) == "DCR":
        parts = e.reshape(b, x, (batch, size, size, depth, height, width))
        moved = e.transpose(b, parts, (0, 3, 4, 1, 5, 2))
    else:
        parts = e.reshape(b, x, (batch, depth, size, size, height, width))
        moved = e.transpose(b, parts, (0, 1, 4, 2, 5, 3))
    return e.reshape(b, moved, (batch, depth, height * size, width * size))


@converter("SpaceToDepth")
def _space_to_depth(node: Node) -> Result:
    b, x, size = node.b, node.x(0), node.integer("blocksize")
    batch, channels, height, width = _four(x)
    rows, columns = quotient([height], [size]), quotient([width], [size])
    parts = e.reshape(b, x, (batch, channels, rows, size, columns, size))
    moved = e.transpose(b, parts, (0, 3, 5, 1, 2, 4))
    return e.reshape(b, moved, (batch, channels * (size * size), rows, columns))


def _four(x: Value) -> tuple[AnySize, AnySize, AnySize, AnySize]:
    require(x.type.rank == 4, f"must have an operand of rank 4, not {x.type.rank}")
    batch, channels, height, width = x.type.shape
    return batch, channels, height, width
