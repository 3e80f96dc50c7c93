"""Poolings, of any number of spatial axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e


@dataclass(frozen=True)
class MaxPool(Composite):
    """The largest element of each window of x (N, C, spatial…); padding is below all.

    Members:
        kernel, strides, dilations: a number each spatial axis.
        pads: before each spatial axis, then behind each.
    """

    name: ClassVar[str] = "max_pool"
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        (x,) = operands
        return (e.window(b, x, "max", self.kernel, self.strides, self.pads, self.dilations),)


@dataclass(frozen=True)
class AveragePool(Composite):
    """The mean of each window of x (N, C, spatial…).

    Members:
        kernel, strides, dilations: a number each spatial axis.
        pads: before each spatial axis, then behind each.
        counted: of the pads those that count as elements of 0; None if none does.
    """

    name: ClassVar[str] = "average_pool"
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    counted: tuple[int, ...] | None = None

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        (x,) = operands
        total = self._summed(b, x, self.pads)
        if not any(self.pads):
            count = 1
            for size in self.kernel:
                count *= size
            return (e.div(b, total, float(count)),)
        ones = e.full(b, 1.0, x.type.dtype, (1, 1, *x.type.shape[2:]))
        rest = self.pads
        if self.counted is not None:
            rank = len(self.kernel)
            low, high = (0, 0, *self.counted[:rank]), (0, 0, *self.counted[rank:])
            ones = e.pad(b, ones, low, high, 1.0)
            rest = tuple(pad - one for pad, one in zip(self.pads, self.counted, strict=True))
        return (e.div(b, total, self._summed(b, ones, rest)),)

    def _summed(self, b: Builder, x: Value, pads: tuple[int, ...]) -> Value:
        return e.window(b, x, "sum", self.kernel, self.strides, pads, self.dilations)


def max_pool(
    b: Builder,
    x: Value,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> Value:
    """The largest element of each window; arguments as for `MaxPool`."""
    return b.emit(MaxPool(tuple(kernel), tuple(strides), tuple(pads), tuple(dilations)), x)


def average_pool(
    b: Builder,
    x: Value,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    counted: Sequence[int] | None = None,
) -> Value:
    """The mean of each window; arguments as for `AveragePool`."""
    pads_counted = None if counted is None else tuple(counted)
    return b.emit(AveragePool(tuple(kernel), tuple(strides), tuple(pads), tuple(dilations), pads_counted), x)
