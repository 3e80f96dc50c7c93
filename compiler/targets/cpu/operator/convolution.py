"""Convolutions of feature maps [height, width, channels]: floats, or int8 with exact sums in int32."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from tilewright.compiler import schedule
from tilewright.compiler.dtype import DType
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.schedule import ComputeAt, Fuse, Parallel, Primitive, Reorder, Split, Vectorise
from tilewright.compiler.targets.cpu.contraction import DOT, FMA, GROUP
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.padded_feature_map import (
    SIGN,
    PaddedFeatureMap,
    RowSlice,
    with_padded_copy,
)
from tilewright.compiler.targets.cpu.operator.register_tile import RegisterTile, choose
from tilewright.compiler.targets.cpu.tensorise import Tensorise
from tilewright.compiler.te import (
    Tensor,
    both,
    cast,
    compute,
    lower,
    max_of,
    placeholder,
    reduce_axis,
    sum_of,
)
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.compiler.tir.stmt import PrimFunc

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ConvolutionSizes:
    """Sizes of a convolution over all channels.

    Members:
        height, width, channels: of the input.
        outputs: channels of the result.
        kernel, strides, dilations: down, right.
        pads: rows above, columns left, rows below, columns right.
        is_float: float32, or int8.
        zero_point: the padding of the input.
        is_signed: whether int8 elements stay int8 in the padded feature map; else they become uint8.
    """

    height: int
    width: int
    channels: int
    outputs: int
    kernel: Pair
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    is_float: bool = False
    zero_point: int | float = 0
    is_signed: bool = False

    @property
    def result(self) -> Pair:
        """Height and width of the result."""
        top, left, bottom, right = self.pads
        sizes = (self.height + top + bottom, self.width + left + right)
        rows, columns = (
            (size - step * (taps - 1) - 1) // stride + 1
            for size, taps, stride, step in zip(sizes, self.kernel, self.strides, self.dilations, strict=True)
        )
        return rows, columns

    @property
    def source(self) -> Buffer:
        """The input, [height, width · channels]."""
        return Buffer("x", (Const(self.height), Const(self.width * self.channels)), _INPUT[self.is_float])

    @property
    def is_sampled(self) -> bool:
        """Whether the padded feature map has only the pixels that windows of one pixel read."""
        return self.kernel == (1, 1) and self.strides != (1, 1) and not any(self.pads)

    @property
    def window_strides(self) -> Pair:
        """From window to window in the padded feature map."""
        return (1, 1) if self.is_sampled else self.strides

    @property
    def group(self) -> int:
        """Elements of the input that a step of the reduction reads together."""
        return 1 if self.is_float else GROUP

    @property
    def taps(self) -> tuple[int, int, int]:
        """Extents of the reduction: rows, columns, steps in a column; adjacent columns count as one."""
        height, width = self.kernel
        if self.dilations[1] == 1:
            return height, 1, -(-width * self.channels // self.group)
        return height, width, -(-self.channels // self.group)

    @property
    def padded_map(self) -> PaddedFeatureMap:
        """The padded feature map: where groups reach beyond a row, it is longer."""
        (rows, columns), (down, right) = self.result, self.window_strides
        height = (rows - 1) * down + (self.kernel[0] - 1) * self.dilations[0] + 1
        width = (columns - 1) * right + (self.kernel[1] - 1) * self.dilations[1] + 1
        top, left = self.pads[:2]
        taps = self.kernel[1] if self.dilations[1] == 1 else 1
        beyond = -taps * self.channels % self.group
        pixels = self.result if self.is_sampled else (self.height, self.width)
        return PaddedFeatureMap(
            pixels=pixels,
            channels=self.channels,
            steps=self.strides if self.is_sampled else (1, 1),
            top=top,
            left=left * self.channels,
            rows=max(height, pixels[0] + top),
            columns=max(width * self.channels + beyond, (pixels[1] + left) * self.channels),
            fill=self.zero_point + (0 if self.is_float or self.is_signed else SIGN),
        )


Finish = Callable[[Expr, Expr, Expr, Expr], Expr]
"""The result of a sum at a place: total, row, column, channel."""
Element = Callable[[Expr, Expr, Expr], Expr]
"""A number at a row, a column and a channel."""


@dataclass(frozen=True)
class Tail:
    """The stages between the sums and `finish`.

    Members:
        add: a sum with what is added to it, an activation for instance.
        pool: windows of which the maximum is taken, padding apart.
    """

    add: Finish | None = None
    pool: Window | None = None

    def total(self, element: Element, shape: tuple[int, int, int]) -> tuple[Element, tuple[int, int, int]]:
        """The total that `finish` takes, and its shape; with a pooling it is a stage `pooled`."""

        def added(y: Expr, x: Expr, c: Expr) -> Expr:
            value = element(y, x, c)
            return value if self.add is None else self.add(value, y, x, c)

        if self.pool is None:
            return added, shape
        pooled = _maximum(added, shape, self.pool)
        return lambda y, x, c: pooled[y, x, c], (*self.pool.extent(*shape[:2]), shape[2])


def _maximum(total: Element, shape: tuple[int, int, int], pool: Window) -> Tensor:
    """The stage `pooled`."""
    py, px = (reduce_axis(taps, axis) for taps, axis in zip(pool.kernel, ("py", "px"), strict=True))

    def largest(y: Expr, x: Expr, c: Expr) -> Expr:
        row = y * pool.strides[0] + (py - pool.pads[0])
        column = x * pool.strides[1] + (px - pool.pads[1])
        if not any(pool.pads):
            return max_of(total(row, column, c), (py, px))
        inside = both([row >= 0, row < shape[0], column >= 0, column < shape[1]])
        return max_of(total(row, column, c), (py, px), where=inside)

    return compute((*pool.extent(*shape[:2]), shape[2]), largest, "pooled")


NO_TAIL = Tail()
NEAR_BYTES = {True: 1 << 20, False: 1 << 15}
"""Size of weights that stay in a cache: floats in the second; int8, multiplied faster, in the first."""
LEAST_PARTS = 4
"""Rows of tiles, for threads to share."""
_INPUT = {True: DType.FLOAT32, False: DType.INT8}
_PADDED = {True: DType.FLOAT32, False: DType.UINT8}


def convolution(
    name: str,
    sizes: ConvolutionSizes,
    inputs: Sequence[Tensor],
    finish: Finish,
    features: Features,
    tail: Tail = NO_TAIL,
) -> PrimFunc:
    """The scheduled loops: x [height, width · channels], weight, (start,) and what `finish` reads -> result.

    The weight is that of `layout.weight_panels`; `start`, of int8 alone, is what the sums of each channel
    start from, [panels, lanes], which takes the 128 of the uint8 out again.

    Args:
        name: of the function.
        sizes: of the convolution.
        inputs: further parameters, which `finish` reads.
        finish: makes a result of a sum, or of the tail's total.
        features: of the machine.
        tail: the stages between sums and `finish`.
    """
    tile = choose(sizes.result, sizes.outputs, sizes.is_float, features)
    padded_map, panels = sizes.padded_map, -(-sizes.outputs // tile.lanes)
    padded = placeholder((padded_map.rows, padded_map.columns), _PADDED[sizes.is_float], "padded")
    group = () if sizes.is_float else (GROUP,)
    weight = placeholder((panels, *sizes.taps, tile.lanes, *group), _INPUT[sizes.is_float], "weight")
    starts = [] if sizes.is_float else [placeholder((panels, tile.lanes), DType.INT32, "start")]
    sums = _sums(sizes, tile, padded, weight, starts)
    result = _result(sizes, tile, sums, finish, tail)
    function = lower(name, [padded, weight, *starts, *inputs], [result])
    if tail.pool is not None:
        return with_padded_copy(
            schedule.apply(function, _pooled(sizes, tile)), "padded", sizes.source, padded_map
        )
    is_near = _is_near(sizes, tile)
    function = schedule.apply(function, _steps(sizes, tile, is_near))
    return with_padded_copy(
        function, "padded", sizes.source, padded_map, _row_slice(sizes, tile) if is_near else None
    )


def _result(sizes: ConvolutionSizes, tile: RegisterTile, sums: Tensor, finish: Finish, tail: Tail) -> Tensor:
    def element(y: Expr, x: Expr, c: Expr) -> Expr:
        return sums[c // tile.lanes, y, x, c % tile.lanes]

    total, shape = tail.total(element, (*sizes.result, sizes.outputs))
    return compute(shape, lambda y, x, c: finish(total(y, x, c), y, x, c), "result")


def _sums(
    sizes: ConvolutionSizes, tile: RegisterTile, padded: Tensor, weight: Tensor, starts: list[Tensor]
) -> Tensor:
    (down, right), (step_y, step_x) = sizes.window_strides, sizes.dilations
    names = zip(sizes.taps, ("ky", "kx", "k"), strict=True)
    ky, kx, k = (reduce_axis(extent, axis) for extent, axis in names)
    q = reduce_axis(sizes.group, "q")

    def total(o: Expr, y: Expr, x: Expr, n: Expr) -> Expr:
        row = y * down + ky * step_y
        column = (x * right + kx * step_x) * sizes.channels
        if sizes.is_float:
            return sum_of(padded[row, column + k] * weight[o, ky, kx, k, n], (ky, kx, k))
        a, b = padded[row, column + k * GROUP + q], weight[o, ky, kx, k, n, q]
        product = cast(a, DType.INT32) * cast(b, DType.INT32)
        return sum_of(product, (ky, kx, k, q), init=starts[0][o, n])

    return compute((weight.shape[0], *sizes.result, tile.lanes), total, "sums")


def _is_near(sizes: ConvolutionSizes, tile: RegisterTile) -> bool:
    """Whether each row of tiles passes all weights: these stay in a cache, and threads have enough rows."""
    weight_bytes = prod(sizes.kernel) * sizes.channels * sizes.outputs * _INPUT[sizes.is_float].size_bytes
    return weight_bytes <= NEAR_BYTES[sizes.is_float] and -(-sizes.result[0] // tile.rows) >= LEAST_PARTS


def _row_slice(sizes: ConvolutionSizes, tile: RegisterTile) -> RowSlice:
    """The rows of the padded feature map that a row of tiles reads."""
    stride, reach = sizes.window_strides[0], (sizes.kernel[0] - 1) * sizes.dilations[0] + 1
    return RowSlice(loop="down", step=tile.rows * stride, rows=(tile.rows - 1) * stride + reach)


def _steps(sizes: ConvolutionSizes, tile: RegisterTile, is_near: bool) -> list[Primitive]:
    """Tiles of pixels pass panels of weights; their sums in registers, finished while near.

    Rows of tiles are outside where weights are near, so that each is read once and written by one thread.
    Else panels are outside, each of which is read once.
    """
    near: list[Primitive] = [Reorder(("down", "panel")), Parallel("down")]
    far: list[Primitive] = [Reorder(("panel", "down")), Fuse("panel", "down", "part"), Parallel("part")]
    return [
        Split("result_c", tile.lanes, "panel", "lane"),
        Split("result_y", tile.rows, "down", "y"),
        Split("result_x", tile.columns, "right", "x"),
        Reorder(("panel", "down", "right", "y", "x", "lane")),
        ComputeAt("sums", "right"),
        *_tile(sizes, "sums_y", ("sums_y", "sums_x")),
        Vectorise("lane"),
        *(near if is_near else far),
    ]


def _pooled(sizes: ConvolutionSizes, tile: RegisterTile) -> list[Primitive]:
    """All sums, then the maxima of windows of them."""
    return [
        Split("sums_y", tile.rows, "down", "y"),
        Split("sums_x", tile.columns, "right", "x"),
        *_tile(sizes, "y", ("sums_o", "down", "right", "y", "x")),
        Parallel("sums_o"),
        Split("result_c", tile.lanes, "panel", "lane"),
        ComputeAt("pooled", "panel"),
        Reorder(("pooled_py", "pooled_px", "pooled_c")),
        Vectorise("pooled_c"),
        Vectorise("lane"),
        Parallel("result_y"),
    ]


def _tile(sizes: ConvolutionSizes, loop: str, outer: tuple[str, ...]) -> list[Primitive]:
    """The loop nest of a loop as a micro-kernel, its reductions inside of these loops."""
    last = ("sums_n",) if sizes.is_float else ("sums_n", "sums_q")
    order = (*outer, "sums_ky", "sums_kx", "sums_k", *last)
    return [Reorder(order), Tensorise(loop, FMA if sizes.is_float else DOT)]
