"""Convolutions and poolings, of any number of spatial axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.convolution import convolution, transposed_convolution
from tilewright.compiler.ops.nn.pool import average_pool, max_pool

_MOST = 1 << 20
"""Of a kernel, a stride, a pad or a dilation: more is a mistake."""


@dataclass(frozen=True)
class WindowAttributes:
    """What windows do along the spatial axes.

    Members:
        kernel, strides, dilations: a number each axis.
        low, high: padding that the model asks for.
        extra: padding behind that only rounding up asks for.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    extra: tuple[int, ...]

    @property
    def pads(self) -> tuple[int, ...]:
        """Before each axis, then behind each, with what rounding up asks for."""
        return (*self.low, *(high + extra for high, extra in zip(self.high, self.extra, strict=True)))


def window_of(node: Node, spatial: Sequence[AnySize], kernel: Sequence[int]) -> WindowAttributes:
    """The windows that the attributes of a node describe."""
    rank = len(spatial)
    require(len(kernel) == rank, f"kernel_shape must have {rank} numbers, not {len(kernel)}")
    strides = _numbers(node, "strides", rank)
    dilations = _numbers(node, "dilations", rank)
    require(all(0 < size <= _MOST for size in kernel), f"kernel_shape must be positive, not {list(kernel)}")
    spans = [dilation * (size - 1) + 1 for dilation, size in zip(dilations, kernel, strict=True)]
    low, high = _padding(node, spatial, spans, strides)
    extra = [0] * rank
    if node.integer("ceil_mode", 0):
        for axis, size in enumerate(spatial):
            extra[axis] = _rounded_up(
                _known(size, "ceil_mode"), spans[axis], strides[axis], low[axis], high[axis]
            )
    return WindowAttributes(tuple(kernel), strides, dilations, low, high, tuple(extra))


def _numbers(node: Node, name: str, rank: int) -> tuple[int, ...]:
    values = node.integers(name, (1,) * rank)
    good = len(values) == rank and all(0 < value <= _MOST for value in values)
    require(good, f"{name} must be {rank} positive numbers, not {list(values)}")
    return values


def _known(size: AnySize, what: str) -> int:
    require(isinstance(size, int), f"{what} needs spatial sizes that are known, not {size}")
    assert isinstance(size, int)
    return size


def _padding(
    node: Node, spatial: Sequence[AnySize], spans: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    rank = len(spatial)
    mode = node.choice("auto_pad", "NOTSET", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if mode == "VALID":
        return (0,) * rank, (0,) * rank
    if mode == "NOTSET":
        pads = node.integers("pads", (0,) * (2 * rank))
        good = len(pads) == 2 * rank and all(0 <= pad <= _MOST for pad in pads)
        require(good, f"pads must be {2 * rank} numbers from 0 to {_MOST}, not {list(pads)}")
        return pads[:rank], pads[rank:]
    low, high = [], []
    for size, span, stride in zip(spatial, spans, strides, strict=True):
        number = _known(size, f"auto_pad {mode}") if stride > 1 else 0
        total = max(0, (-(-number // stride) - 1) * stride + span - number) if stride > 1 else span - 1
        small, large = total // 2, total - total // 2
        low.append(small if mode == "SAME_UPPER" else large)
        high.append(large if mode == "SAME_UPPER" else small)
    return tuple(low), tuple(high)


def _rounded_up(size: int, span: int, stride: int, low: int, high: int) -> int:
    """What must be added behind so that a last, partial window is whole."""
    room = size + low + high - span
    count = -(-room // stride) + 1
    # A window that starts behind the input and its padding in front is none.
    if (count - 1) * stride >= size + low:
        count -= 1
    return max(0, (count - 1) * stride - room)


@converter("Conv")
def _conv(node: Node) -> Result:
    x, w = node.x(0), node.x(1)
    return convolved(node, x, w, node.optional(2))


def convolved(node: Node, x: Value, w: Value, bias: Value | None) -> Value:
    """The convolution that the attributes of a node describe."""
    require(x.type.rank >= 3, f"must have an operand of rank 3 or more, not {x.type.rank}")
    require(w.type.rank == x.type.rank, f"weights must be of rank {x.type.rank}, not {w.type.rank}")
    kernel = [_known(size, "a convolution") for size in w.type.shape[2:]]
    given = node.integers("kernel_shape", kernel)
    require(list(given) == kernel, f"kernel_shape must be that of the weights, {kernel}, not {list(given)}")
    if bias is not None:
        require(bias.type.shape == w.type.shape[:1], f"bias must be [{w.type.shape[0]}], not {bias.type}")
    window = window_of(node, x.type.shape[2:], kernel)
    groups = node.integer("group", 1)
    return convolution(node.b, x, w, bias, window.strides, window.pads, window.dilations, groups)


@converter("ConvTranspose")
def _conv_transpose(node: Node) -> Result:
    b, x, w, bias = node.b, node.x(0), node.x(1), node.optional(2)
    rank = x.type.rank - 2
    kernel = [_known(size, "a transposed convolution") for size in w.type.shape[2:]]
    strides, dilations = _numbers(node, "strides", rank), _numbers(node, "dilations", rank)
    added = node.integers("output_padding", (0,) * rank)
    spans = [dilation * (size - 1) + 1 for dilation, size in zip(dilations, kernel, strict=True)]
    mode = node.choice("auto_pad", "NOTSET", ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
    low, high = [0] * rank, [0] * rank
    if mode == "NOTSET" and not node.given("output_shape"):
        pads = node.integers("pads", (0,) * (2 * rank))
        low, high = list(pads[:rank]), list(pads[rank:])
    elif mode != "VALID" or node.given("output_shape"):
        sizes = [_known(size, "output_shape") for size in x.type.shape[2:]]
        wanted = node.integers(
            "output_shape", [size * stride for size, stride in zip(sizes, strides, strict=True)]
        )
        wanted = wanted[-rank:]
        for axis in range(rank):
            total = strides[axis] * (sizes[axis] - 1) + added[axis] + spans[axis] - wanted[axis]
            half, rest = total // 2, total - total // 2
            low[axis], high[axis] = (half, rest) if mode == "SAME_UPPER" else (rest, half)
    groups = node.integer("group", 1)
    pads = (*low, *(pad - more for pad, more in zip(high, added, strict=True)))
    return transposed_convolution(b, x, w, bias, strides, pads, dilations, groups)


@converter("MaxPool")
def _max_pool(node: Node) -> Result:
    x = node.x(0)
    window = window_of(node, x.type.shape[2:], node.integers("kernel_shape"))
    if not node.wants(1):
        return max_pool(node.b, x, window.kernel, window.strides, window.pads, window.dilations)
    return _max_pool_with_indices(node, x, window)


def _patches(sizes: Sequence[int], window: WindowAttributes) -> tuple[Array, tuple[int, ...]]:
    """The flat place that each tap of a window reads ([windows, taps]; −1: padding), and windows an axis."""
    counts, places = [], []
    pads = window.pads
    rank = len(sizes)
    for axis, size in enumerate(sizes):
        span = window.dilations[axis] * (window.kernel[axis] - 1) + 1
        count = (size + pads[axis] + pads[axis + rank] - span) // window.strides[axis] + 1
        starts = np.arange(count) * window.strides[axis] - pads[axis]
        place = starts[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
        counts.append(count)
        places.append(np.where((place < 0) | (place >= size), -1, place))
    flat = np.zeros((1, 1), np.int64)
    for place, size in zip(places, sizes, strict=True):
        outside = (flat[:, None, :, None] < 0) | (place[None, :, None, :] < 0)
        joined = np.where(outside, -1, flat[:, None, :, None] * size + place[None, :, None, :])
        flat = joined.reshape(flat.shape[0] * place.shape[0], -1)
    return flat, tuple(counts)


def _max_pool_with_indices(node: Node, x: Value, window: WindowAttributes) -> tuple[Value, Value]:
    b = node.b
    sizes = [_known(size, "indices of MaxPool") for size in x.type.shape[2:]]
    batch, channels = (_known(size, "indices of MaxPool") for size in x.type.shape[:2])
    places, counts = _patches(sizes, window)
    area = math.prod(sizes)
    flat = e.reshape(b, x, (batch, channels, area))
    taps = e.gather(b, flat, b.constant(np.maximum(places, 0)), 2)
    lowest = -math.inf if x.type.dtype.is_float else int(np.iinfo(x.type.dtype.value).min)
    taps = e.select(b, b.constant(places >= 0), taps, e.full(b, lowest, x.type.dtype, ()))
    best = e.expand_dims(b, e.argmax(b, taps, 3), (3,))
    table = places
    if node.integer("storage_order", 0):
        inner = np.unravel_index(np.maximum(places, 0), sizes)
        table = np.ravel_multi_index(inner[::-1], sizes[::-1])
    shape = (batch, channels, *places.shape)
    index = e.gather_elements(b, e.broadcast_to(b, b.constant(table.astype(np.int64)), shape), best, 3)
    offsets = (np.arange(batch * channels, dtype=np.int64) * area).reshape(batch, channels, 1, 1)
    index = e.add(b, index, b.constant(offsets))
    result = (batch, channels, *counts)
    return e.reshape(b, e.gather_elements(b, taps, best, 3), result), e.reshape(b, index, result)


@converter("MaxUnpool")
def _max_unpool(node: Node) -> Result:
    b, x, indices = node.b, node.x(0), node.x(1)
    kernel = node.integers("kernel_shape")
    rank = len(kernel)
    strides, pads = _numbers(node, "strides", rank), node.integers("pads", (0,) * (2 * rank))
    sizes = [_known(size, "MaxUnpool") for size in x.type.shape]
    inferred = [
        (size - 1) * stride - pads[axis] - pads[axis + rank] + kernel[axis]
        for axis, (size, stride) in enumerate(zip(sizes[2:], strides, strict=True))
    ]
    shape = [*sizes[:2], *inferred]
    wanted = node.numbers(2) if node.has(2) else shape
    count = math.prod(sizes)
    flat = e.full(b, 0, x.type.dtype, (math.prod(shape),))
    filled = e.scatter_elements(b, flat, e.reshape(b, indices, (count,)), e.reshape(b, x, (count,)), 0)
    filled = e.reshape(b, filled, tuple(shape))
    if wanted == shape:
        return filled
    # Indices are places in the smaller shape; the rest stays 0.
    filled = e.full(b, 0, x.type.dtype, (math.prod(wanted),))
    filled = e.scatter_elements(b, filled, e.reshape(b, indices, (count,)), e.reshape(b, x, (count,)), 0)
    return e.reshape(b, filled, tuple(wanted))


@converter("AveragePool")
def _average_pool(node: Node) -> Result:
    x = node.x(0)
    window = window_of(node, x.type.shape[2:], node.integers("kernel_shape"))
    counted = window.low + window.high if node.integer("count_include_pad", 0) else None
    return average_pool(node.b, x, window.kernel, window.strides, window.pads, window.dilations, counted)


@converter("LpPool")
def _lp_pool(node: Node) -> Result:
    b, x = node.b, node.x(0)
    p = node.integer("p", 2)
    window = window_of(node, x.type.shape[2:], node.integers("kernel_shape"))
    powers = e.pow(b, e.abs(b, x), float(p))
    total = e.window(b, powers, "sum", window.kernel, window.strides, window.pads, window.dilations)
    return e.pow(b, total, 1 / p)


@converter("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def _global_pool(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axes = tuple(range(2, x.type.rank))
    if node.operator == "GlobalMaxPool":
        return e.reduce_max(b, x, axes, True)
    if node.operator == "GlobalAveragePool":
        return e.mean(b, x, axes, True)
    p = node.integer("p", 2)
    return e.pow(b, e.reduce_sum(b, e.pow(b, e.abs(b, x), float(p)), axes, True), 1 / p)


@converter("Col2Im")
def _col2im(node: Node) -> Result:
    b, x = node.b, node.x(0)
    sizes, kernel = node.numbers(1), node.numbers(2)
    rank = len(sizes)
    pads = node.integers("pads", (0,) * (2 * rank))
    window = WindowAttributes(
        tuple(kernel), _numbers(node, "strides", rank), _numbers(node, "dilations", rank),
        tuple(pads[:rank]), tuple(pads[rank:]), (0,) * rank,
    )  # fmt: skip
    places, _ = _patches(sizes, window)
    area, taps = math.prod(sizes), math.prod(kernel)
    batch = x.type.shape[0]
    channels = _known(x.type.shape[1], "Col2Im") // taps
    columns = e.reshape(b, x, (batch, channels, taps * places.shape[0]))
    # What falls into the padding goes to one place behind the picture.
    target = np.where(places < 0, area, places).T.reshape(-1)
    picture = e.full(b, 0.0, x.type.dtype, (area + 1, batch, channels))
    summed = e.scatter_add(b, picture, b.constant(target), e.transpose(b, columns, (2, 0, 1)), 0)
    kept = e.transpose(b, e.slice_axis(b, summed, 0, 0, area), (1, 2, 0))
    return e.reshape(b, kept, (batch, channels, *sizes))


@converter("LRN")
def _lrn(node: Node) -> Result:
    b, x = node.b, node.x(0)
    size = node.integer("size")
    alpha, beta, bias = node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    low = (size - 1) // 2
    shape = x.type.shape
    # The sum over neighbouring channels as a window along one axis.
    rest: AnySize = 1
    for extent in shape[2:]:
        rest = rest * extent
    squares = e.reshape(b, e.mul(b, x, x), (shape[0], 1, shape[1], rest))
    total = e.window(b, squares, "sum", (size, 1), (1, 1), (low, 0, size - 1 - low, 0), (1, 1))
    scale = e.add(b, e.mul(b, e.reshape(b, total, shape), alpha / size), bias)
    return e.div(b, x, e.pow(b, scale, beta))
