"""Convolutions with a bias, of any number of spatial axes, and their transposes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ops import emit as e


@dataclass(frozen=True)
class Convolution(Composite):
    """x (N, C, spatial…) with w (O, C / groups, spatial…), and a bias (O) if it is given.

    Members:
        strides, dilations: a number each spatial axis.
        pads: before each spatial axis, then behind each.
        groups: of channels that do not see each other.
    """

    name: ClassVar[str] = "convolution"
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int = 1

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        x, w, *bias = operands
        y = e.conv(b, x, w, self.strides, self.pads, self.dilations, self.groups)
        return (add_channels(b, y, bias[0]) if bias else y,)


def add_channels(b: Builder, x: Value, bias: Value) -> Value:
    """x (N, C, …) and a number for each channel."""
    return e.add(b, x, per_channel(b, bias, x.type.rank))


def per_channel(b: Builder, values: Value, rank: int) -> Value:
    """Values (C) as (C, 1, …), so that they broadcast over a tensor (N, C, …) of that rank."""
    return e.reshape(b, values, (values.type.shape[0], *[1] * (rank - 2)))


def convolution(
    b: Builder,
    x: Value,
    w: Value,
    bias: Value | None,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int = 1,
) -> Value:
    """A convolution; arguments as for `Convolution`."""
    operator = Convolution(tuple(strides), tuple(pads), tuple(dilations), groups)
    return b.emit(operator, x, w, *([] if bias is None else [bias]))


def transposed_convolution(
    b: Builder,
    x: Value,
    w: Value,
    bias: Value | None,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int = 1,
) -> Value:
    """The gradient of a convolution by its input: x (N, C, …), w (C, O / groups, …), result (N, O, …).

    Pads take away from the result; negative ones add zeros behind.
    """
    rank = x.type.rank - 2
    for axis, stride in enumerate(strides):
        x = e.dilate(b, x, axis + 2, stride) if stride > 1 else x
    kernel = [size for size in w.type.shape[2:] if isinstance(size, int)]
    expect(len(kernel) == rank, f"weights must have {rank} known spatial sizes, not {w.type}")
    spans = [dilation * (size - 1) for dilation, size in zip(dilations, kernel, strict=True)]
    low = [span - pad for span, pad in zip(spans, pads[:rank], strict=True)]
    high = [span - pad for span, pad in zip(spans, pads[rank:], strict=True)]
    x = _cropped(b, x, low, high)
    padding = [max(0, pad) for pad in (*low, *high)]
    y = e.conv(b, x, _turned(b, w, groups), (1,) * rank, tuple(padding), tuple(dilations), groups)
    return y if bias is None else add_channels(b, y, bias)


def _cropped(b: Builder, x: Value, low: Sequence[int], high: Sequence[int]) -> Value:
    """Without what negative padding takes away."""
    for axis, (before, after) in enumerate(zip(low, high, strict=True)):
        if before < 0 or after < 0:
            stop = x.type.shape[axis + 2] + min(0, after)
            x = e.slice_axis(b, x, axis + 2, max(0, -before), stop)
    return x


def _turned(b: Builder, w: Value, groups: int) -> Value:
    """Weights (C, O / groups, …) as (O, C / groups, …), turned round along spatial axes."""
    channels, outputs, *kernel = w.type.shape
    expect(
        isinstance(channels, int) and channels % groups == 0, f"{channels} channels must be {groups} groups"
    )
    inner: AnySize = channels // groups
    parts = e.reshape(b, w, (groups, inner, outputs, *kernel))
    swapped = e.transpose(b, parts, (0, 2, 1, *range(3, 3 + len(kernel))))
    w = e.reshape(b, swapped, (outputs * groups, inner, *kernel))
    for axis, size in enumerate(kernel):
        if isinstance(size, int) and size > 1:
            w = e.gather(b, w, b.constant(list(range(size - 1, -1, -1))), axis + 2)
    return w
