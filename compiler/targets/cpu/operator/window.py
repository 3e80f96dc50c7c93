"""Windows over pictures, channel by channel: depthwise convolutions and poolings."""

from collections.abc import Callable
from dataclasses import dataclass

from tilewright.compiler import schedule
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import ComputeAt, Parallel, Primitive, Reorder, Split, Unroll, Vectorise
from tilewright.compiler.targets.cpu.operator.convolution import NO_TAIL, Convolution, Finish, Tail
from tilewright.compiler.targets.cpu.operator.picture import framed
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
"""Of the sums that stay in registers over a window."""
Fold = Callable[[Expr, tuple[ReduceAxis, ReduceAxis], Expr], Expr]
"""What becomes of the elements of a window: element, rows and columns of the window, channel."""


@dataclass(frozen=True)
class Windows:
    """A fold in each window of each channel.

    Members:
        sizes: of the windows; as many outputs as channels.
        fold: of elements.
        inputs: further parameters, which `fold` and `finish` read.
        finish: what becomes of a fold, or of what the tail makes of folds.
        tail: what comes between.
    """

    sizes: Convolution
    fold: Fold
    inputs: tuple[Tensor, ...]
    finish: Finish
    tail: Tail = NO_TAIL

    def function(self, name: str) -> PrimFunc:
        """The scheduled loops: x [height, width · channels], the inputs -> result."""
        sizes, frame = self.sizes, self.sizes.frame
        picture = placeholder((frame.rows, frame.columns), sizes.source.dtype, "picture")
        shape = (*sizes.result, sizes.outputs)
        folded = compute(shape, lambda y, x, c: self._window(picture, y, x, c), "folded")
        total, shape = self.tail.total(lambda y, x, c: folded[y, x, c], shape)
        result = compute(shape, lambda y, x, c: self.finish(total(y, x, c), y, x, c), "result")
        function = lower(name, [picture, *self.inputs], [result])
        function = schedule.apply(function, self._steps(SUMS_BYTES // folded.dtype.size_bytes))
        return framed(function, "picture", sizes.source, frame)

    def _steps(self, lanes: int) -> list[Primitive]:
        """Panels of channels, whose weights stay in registers, outside; windows written out."""
        near: list[Primitive] = [ComputeAt("folded", "result_x")]
        if self.tail.pool is not None:
            near = [ComputeAt("pooled", "result_x"), Reorder(("pooled_py", "pooled_px", "pooled_c"))]
            near += [Vectorise("pooled_c")]
        return [
            Split("result_c", lanes, "panel", "lane"),
            Reorder(("panel", "result_x", "lane")),
            *near,
            Reorder(("folded_ky", "folded_kx", "folded_c")),
            Unroll("folded_ky"),
            Unroll("folded_kx"),
            Vectorise("folded_c"),
            Vectorise("lane"),
            Parallel("result_y"),
        ]

    def _window(self, picture: Tensor, y: Expr, x: Expr, c: Expr) -> Expr:
        sizes = self.sizes
        ky, kx = (reduce_axis(taps, axis) for taps, axis in zip(sizes.kernel, ("ky", "kx"), strict=True))
        row = y * sizes.window_strides[0] + ky * sizes.dilations[0]
        column = x * sizes.window_strides[1] + kx * sizes.dilations[1]
        return self.fold(picture[row, column * sizes.channels + c], (ky, kx), c)


def depthwise(weight: Tensor) -> Fold:
    """Products with weight int8 [rows, columns, channels], added."""

    def fold(element: Expr, taps: tuple[ReduceAxis, ReduceAxis], c: Expr) -> Expr:
        product = cast(element, DType.INT32) * cast(weight[(*taps, c)], DType.INT32)
        return sum_of(product, taps)

    return fold


def total(element: Expr, taps: tuple[ReduceAxis, ReduceAxis], c: Expr) -> Expr:
    """The sum."""
    return sum_of(cast(element, DType.INT32), taps)


def largest(element: Expr, taps: tuple[ReduceAxis, ReduceAxis], c: Expr) -> Expr:
    """The maximum."""
    return max_of(element, taps)
