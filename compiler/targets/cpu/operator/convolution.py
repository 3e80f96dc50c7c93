"""Convolutions of feature maps [height, width, channels]: floats, or int8 with exact sums in int32."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.schedule import apply
from tilewright.compiler.targets.cpu.contraction import GROUP
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.convolution_rule import check_schedule
from tilewright.compiler.targets.cpu.operator.convolution_schedule import ConvolutionSchedule, Copy
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.padded_feature_map import with_padded_copy, without_copy
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
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.stmt import PrimFunc

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


def convolution(
    name: str,
    sizes: ConvolutionSizes,
    inputs: Sequence[Tensor],
    finish: Finish,
    features: Features,
    tail: Tail = NO_TAIL,
    schedule: ConvolutionSchedule | None = None,
) -> PrimFunc:
    """The scheduled loops: x [height, width · channels], weight, (start,) and what `finish` reads -> result.

    The weight is that of `layout.weight_panels` with the lanes of the schedule; `start`, of int8 alone, is
    what the sums of each channel start from, [panels, lanes], which takes the 128 of the uint8 out again.

    Args:
        name: of the function.
        sizes: of the convolution.
        inputs: further parameters, which `finish` reads.
        finish: makes a result of a sum, or of the tail's total.
        features: of the machine.
        tail: the stages between sums and `finish`.
        schedule: the order of the loops; None for `ConvolutionSchedule.default`. Of a convolution with a
            pooling only its tile and its unrolling count.

    Raises:
        CpuError: if the sizes or the machine do not allow the schedule.
    """
    if schedule is None:
        schedule = ConvolutionSchedule.default(sizes, features)
    else:
        check_schedule(schedule, sizes, features)
    is_copied = schedule.copy is not Copy.NONE or tail.pool is not None
    padded, panels = _padded(sizes, is_copied, features), -(-sizes.outputs // schedule.lanes)
    group = () if sizes.is_float else (GROUP,)
    weight = placeholder((panels, *sizes.taps, schedule.lanes, *group), sizes.dtype, "weight")
    starts = [] if sizes.is_float else [placeholder((panels, schedule.lanes), DType.INT32, "start")]
    strides = sizes.window_strides if is_copied else sizes.strides
    sums = _sums(sizes, strides, padded, weight, starts)
    result = _result(sizes, schedule.lanes, sums, finish, tail)
    function = lower(name, [padded, weight, *starts, *inputs], [result])
    steps = schedule.steps(sizes) if tail.pool is None else schedule.pooled_steps(sizes)
    function = apply(function, steps)
    if not is_copied:
        return without_copy(function, "padded", sizes.source)
    row_slice = schedule.row_slice(sizes) if tail.pool is None else None
    return with_padded_copy(function, "padded", sizes.source, sizes.padded_map, row_slice)


def _padded(sizes: ConvolutionSizes, is_copied: bool, features: Features) -> Tensor:
    """What the sums read: the padded feature map, or the input itself."""
    if not is_copied:
        return placeholder((sizes.height, sizes.width * sizes.channels), sizes.dtype, "padded")
    padded_map = sizes.padded_map
    return placeholder((padded_map.rows, padded_map.columns), sizes.padded_dtype(features), "padded")


def _result(sizes: ConvolutionSizes, lanes: int, sums: Tensor, finish: Finish, tail: Tail) -> Tensor:
    def element(y: Expr, x: Expr, c: Expr) -> Expr:
        return sums[c // lanes, y, x, c % lanes]

    total, shape = tail.total(element, (*sizes.result, sizes.outputs))
    return compute(shape, lambda y, x, c: finish(total(y, x, c), y, x, c), "result")


def _sums(
    sizes: ConvolutionSizes, strides: tuple[int, int], padded: Tensor, weight: Tensor, starts: list[Tensor]
) -> Tensor:
    (down, right), (step_y, step_x) = strides, sizes.dilations
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

    return compute((weight.shape[0], *sizes.result, weight.shape[4]), total, "sums")
