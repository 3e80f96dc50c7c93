"""Windows over feature maps, channel by channel: depthwise convolutions and poolings."""

from collections.abc import Callable
from dataclasses import dataclass

from tilewright.compiler import schedule
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import ComputeAt, Parallel, Primitive, Reorder, Split, Unroll, Vectorise
from tilewright.compiler.targets.cpu.operator.convolution import NO_TAIL, Finish, Tail
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.padded_feature_map import (
    PaddedFeatureMap,
    RowSlice,
    with_padded_copy,
)
from tilewright.compiler.te import (
    ReduceAxis,
    Tensor,
    cast,
    compute,
    lower,
    max_of,
    placeholder,
    reduce_axis,
    sum_of,
)
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.stmt import PrimFunc

SUMS_BYTES = 64
"""Size of the accumulators that stay in registers over a window."""
ROWS, NEAR_BYTES = 4, 1 << 18
"""Rows of results for which a slice of a feature map is copied that is larger than so many bytes."""
ReduceElements = Callable[[Expr, tuple[ReduceAxis, ReduceAxis], Expr], Expr]
"""Reduces the elements of a window: takes element, rows and columns of the window, channel."""


@dataclass(frozen=True)
class WindowReduction:
    """A reduction in each window of each channel.

    Members:
        sizes: of the windows; as many outputs as channels.
        reduce: of the elements of a window.
        inputs: further parameters, which `reduce` and `finish` read.
        finish: makes the result of a reduction, or of what the tail makes of reductions.
        tail: the stages between reduction and `finish`.
        zero_point: the padding of the input, where it is an element of a further parameter.
    """

    sizes: ConvolutionSizes
    reduce: ReduceElements
    inputs: tuple[Tensor, ...]
    finish: Finish
    tail: Tail = NO_TAIL
    zero_point: Expr | None = None

    def function(self, name: str) -> PrimFunc:
        """The scheduled loops: x [height, width · channels], the inputs -> result."""
        sizes, padded_map = self.sizes, self.sizes.padded_map_of(self.zero_point)
        padded = placeholder((padded_map.rows, padded_map.columns), sizes.source.dtype, "padded")
        shape = (*sizes.result, sizes.outputs)
        reduced = compute(shape, lambda y, x, c: self._window(padded, y, x, c), "reduced")
        total, shape = self.tail.total(lambda y, x, c: reduced[y, x, c], shape)
        result = compute(shape, lambda y, x, c: self.finish(total(y, x, c), y, x, c), "result")
        function = lower(name, [padded, *self.inputs], [result])
        row_slice = self._row_slice(padded_map)
        steps = self._steps(SUMS_BYTES // reduced.dtype.size_bytes, is_sliced=row_slice is not None)
        function = schedule.apply(function, steps)
        return with_padded_copy(function, "padded", sizes.source, padded_map, row_slice)

    def _row_slice(self, padded_map: PaddedFeatureMap) -> RowSlice | None:
        """What some rows of results read of a large feature map, copied for them; None to copy all before."""
        size_bytes = padded_map.rows * padded_map.columns * self.sizes.dtype.size_bytes
        if self.tail.pool is not None or size_bytes <= NEAR_BYTES:
            return None
        stride, reach = self.sizes.window_strides[0], (self.sizes.kernel[0] - 1) * self.sizes.dilations[0] + 1
        return RowSlice(loop="down", step=ROWS * stride, rows=(ROWS - 1) * stride + reach)

    def _steps(self, lanes: int, *, is_sliced: bool) -> list[Primitive]:
        """Panels of channels, whose weights stay in registers, outside; windows written out."""
        near: list[Primitive] = [ComputeAt("reduced", "result_x")]
        if self.tail.pool is not None:
            near = [ComputeAt("pooled", "result_x"), Reorder(("pooled_py", "pooled_px", "pooled_c"))]
            near += [Vectorise("pooled_c")]
        rows: list[Primitive] = [Parallel("result_y")]
        if is_sliced:
            rows = [Split("result_y", ROWS, "down", "y"), Parallel("down")]
        return [
            Split("result_c", lanes, "panel", "lane"),
            Reorder(("panel", "result_x", "lane")),
            *near,
            Reorder(("reduced_ky", "reduced_kx", "reduced_c")),
            Unroll("reduced_ky"),
            Unroll("reduced_kx"),
            Vectorise("reduced_c"),
            Vectorise("lane"),
            *rows,
        ]

    def _window(self, padded: Tensor, y: Expr, x: Expr, c: Expr) -> Expr:
        sizes = self.sizes
        ky, kx = (reduce_axis(taps, axis) for taps, axis in zip(sizes.kernel, ("ky", "kx"), strict=True))
        row = y * sizes.window_strides[0] + ky * sizes.dilations[0]
        column = x * sizes.window_strides[1] + kx * sizes.dilations[1]
        return self.reduce(padded[row, column * sizes.channels + c], (ky, kx), c)


def depthwise(weight: Tensor) -> ReduceElements:
    """Products with weight int8 [rows, columns, channels], added."""

    def reduce(element: Expr, taps: tuple[ReduceAxis, ReduceAxis], c: Expr) -> Expr:
        product = cast(element, DType.INT32) * cast(weight[(*taps, c)], DType.INT32)
        return sum_of(product, taps)

    return reduce


def total(element: Expr, taps: tuple[ReduceAxis, ReduceAxis], c: Expr) -> Expr:
    """The sum."""
    return sum_of(cast(element, DType.INT32), taps)


def largest(element: Expr, taps: tuple[ReduceAxis, ReduceAxis], c: Expr) -> Expr:
    """The maximum."""
    return max_of(element, taps)
