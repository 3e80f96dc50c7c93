"""Convolutions of pictures [height, width, channels]: floats, or int8 with exact sums in int32."""

from collections.abc import Callable
from dataclasses import dataclass

from tilewright.compiler import schedule
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import ComputeAt, Fuse, Parallel, Primitive, Reorder, Split, Vectorise
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.picture import SIGN, Frame, framed
from tilewright.compiler.targets.cpu.operator.tiling import Tiling, choose
from tilewright.compiler.targets.cpu.product import DOT, FMA, GROUP
from tilewright.compiler.targets.cpu.tensorise import Tensorise
from tilewright.compiler.te import Tensor, cast, compute, lower, placeholder, reduce_axis, sum_of
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.compiler.tir.stmt import Function

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """Sizes of a convolution over all channels.

    Members:
        height, width, channels: of the input.
        outputs: channels of the result.
        kernel, strides, dilations: down, right.
        pads: rows above, columns left, rows below, columns right.
        is_float: float32, or int8.
        zero_point: what pads an input of int8.
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
    zero_point: int = 0

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
    def group(self) -> int:
        """Elements of the input that a step of the fold reads together."""
        return 1 if self.is_float else GROUP

    @property
    def taps(self) -> tuple[int, int, int]:
        """The fold over a window: rows, columns, steps in a column; columns next to each other are one."""
        height, width = self.kernel
        if self.dilations[1] == 1:
            return height, 1, -(-width * self.channels // self.group)
        return height, width, -(-self.channels // self.group)

    @property
    def depth(self) -> int:
        """Products of a sum, with those that fill groups."""
        rows, columns, steps = self.taps
        return rows * columns * steps * self.group

    @property
    def frame(self) -> Frame:
        """The framed picture: where groups reach beyond a row, it is longer."""
        (rows, columns), (down, right) = self.result, self.strides
        height = (rows - 1) * down + (self.kernel[0] - 1) * self.dilations[0] + 1
        width = (columns - 1) * right + (self.kernel[1] - 1) * self.dilations[1] + 1
        top, left = self.pads[:2]
        needed = width * self.channels + self.group
        whole = (self.width + left) * self.channels
        return Frame(
            height=self.height,
            row=self.width * self.channels,
            top=top,
            left=left * self.channels,
            rows=max(height, self.height + top),
            columns=max(needed, whole),
            fill=0 if self.is_float else self.zero_point + SIGN,
        )


Finish = Callable[[Expr, Expr, Expr, Expr], Expr]
"""The result of a sum at a place: total, row, column, channel."""


def convolution(
    name: str, sizes: Convolution, inputs: list[Tensor], finish: Finish, features: Features
) -> Function:
    """The scheduled loops: x [height, width · channels], weight, (start,) and what `finish` reads.

    The weight is that of `layout.weight_panels`; `start`, of int8 alone, is what the sums of each channel
    start from, [panels, lanes], which takes the 128 of the uint8 out again.

    Args:
        name: of the function.
        sizes: of the convolution.
        inputs: further parameters, which `finish` reads.
        finish: what becomes of a sum.
        features: of the machine.
    """
    tiling = choose(sizes.result, sizes.outputs, sizes.depth, sizes.is_float, features)
    source = Buffer("x", (Const(sizes.height), Const(sizes.frame.row)), _INPUT[sizes.is_float])
    return framed(_unframed(name, sizes, tiling, inputs, finish), "picture", source, sizes.frame)


_INPUT = {True: DType.FLOAT32, False: DType.INT8}


def _unframed(
    name: str, sizes: Convolution, tiling: Tiling, inputs: list[Tensor], finish: Finish
) -> Function:
    frame, panels = sizes.frame, -(-sizes.outputs // tiling.lanes)
    picture = placeholder(
        (frame.rows, frame.columns), DType.FLOAT32 if sizes.is_float else DType.UINT8, "picture"
    )
    group = () if sizes.is_float else (GROUP,)
    weight = placeholder((panels, *sizes.taps, tiling.lanes, *group), _INPUT[sizes.is_float], "weight")
    starts = [] if sizes.is_float else [placeholder((panels, tiling.lanes), DType.INT32, "start")]
    total = _sums(sizes, tiling, picture, weight, starts)
    result = compute(
        (*sizes.result, sizes.outputs),
        lambda y, x, c: finish(total[c // tiling.lanes, y, x, c % tiling.lanes], y, x, c),
        "result",
    )
    function = lower(name, [picture, weight, *starts, *inputs], [result])
    return schedule.apply(function, steps(sizes, tiling))


def _sums(
    sizes: Convolution, tiling: Tiling, picture: Tensor, weight: Tensor, starts: list[Tensor]
) -> Tensor:
    (down, right), (step_y, step_x) = sizes.strides, sizes.dilations
    names = zip(sizes.taps, ("ky", "kx", "k"), strict=True)
    ky, kx, k = (reduce_axis(extent, axis) for extent, axis in names)
    q = reduce_axis(sizes.group, "q")

    def total(o: Expr, y: Expr, x: Expr, n: Expr) -> Expr:
        row = y * down + ky * step_y
        column = (x * right + kx * step_x) * sizes.channels
        if sizes.is_float:
            return sum_of(picture[row, column + k] * weight[o, ky, kx, k, n], (ky, kx, k))
        a, b = picture[row, column + k * GROUP + q], weight[o, ky, kx, k, n, q]
        product = cast(a, DType.INT32) * cast(b, DType.INT32)
        return sum_of(product, (ky, kx, k, q), init=starts[0][o, n])

    return compute((weight.shape[0], *sizes.result, tiling.lanes), total, "sums")


def steps(sizes: Convolution, tiling: Tiling) -> list[Primitive]:
    """Panels of weights outside, tiles of pixels inside; their sums in registers, finished while near."""
    folds = ["sums_ky", "sums_kx", "sums_k"]
    last = ["sums_n"] if sizes.is_float else ["sums_n", "sums_q"]
    return [
        Split("result_c", tiling.lanes, "panel", "lane"),
        Split("result_y", tiling.rows, "down", "y"),
        Split("result_x", tiling.columns, "right", "x"),
        Reorder(("panel", "down", "right", "y", "x", "lane")),
        ComputeAt("sums", "right"),
        Reorder(("sums_y", "sums_x", *folds, *last)),
        Tensorise("sums_y", FMA if sizes.is_float else DOT),
        Vectorise("lane"),
        Fuse("panel", "down", "part"),
        Parallel("part"),
    ]
