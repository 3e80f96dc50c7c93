"""Convolution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_operands
from tilewright.compiler.ir.size import AnySize, product
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.primitive.place import padded, spread, window_sizes, windows
from tilewright.numerics import exact_sum


@dataclass(frozen=True)
class Conv(Operator):
    """The convolution of x (N, C, spatial..) with w (O, C / groups, kernel..), not turned.

    Sums of floats are reproducible (`numerics.exact_sum`), integers wrap. Any number of spatial axes.

    Members:
        strides: distance of windows, of each spatial axis.
        pads: zeros before all axes, then behind all axes.
        dilations: distance of a window's elements.
        groups: into which channels are divided.
    """

    name: ClassVar[str] = "conv"
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int = 1

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "w")
        x, w = types
        expect(x.dtype is w.dtype, f"operands must have one element type, not {x}, {w}")
        expect(x.dtype is not DType.BOOL, "operands must be of numbers, not bool")
        expect(x.rank == w.rank and x.rank >= 2, f"x and w must have as many axes, 2 or more, not {x}, {w}")
        expect(self.groups >= 1, f"groups must be 1 or more, not {self.groups}")
        expect(
            x.shape[1] == w.shape[1] * self.groups,
            f"x must have {w.shape[1] * self.groups} channels, not {x}",
        )
        is_even = not isinstance(w.shape[0], int) or w.shape[0] % self.groups == 0
        expect(is_even, f"the channels of {w} must be a multiple of the {self.groups} groups")
        places = window_sizes(x.shape[2:], w.shape[2:], self.strides, self.pads, self.dilations)
        return (x.with_shape((x.shape[0], w.shape[0], *places)),)

    def macs(self, *types: TensorType) -> AnySize:
        (result,) = self.infer(*types)
        return product((*result.shape, *types[1].shape[1:]))

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, w = arrays
        outputs, channels, *kernel = w.shape
        view = windows(padded(x, self.pads, 0), kernel, self.strides, self.dilations)
        batch, places = x.shape[0], view.shape[2 : x.ndim]
        rank = len(kernel)
        grouped = view.reshape(batch, self.groups, channels, *places, *kernel)
        # (groups, batch · places, channels · kernel), as a matrix product wants it.
        order = (1, 0, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank))
        depth = int(np.prod(w.shape[1:], dtype=np.int64))
        pixels = int(np.prod((batch, *places), dtype=np.int64))
        columns = grouped.transpose(order).reshape(self.groups, pixels, depth)
        weights = w.reshape(self.groups, outputs // self.groups, depth).transpose(0, 2, 1)
        sums = exact_sum.matmul(columns, weights).reshape(self.groups, batch, *places, outputs // self.groups)
        return (np.moveaxis(np.moveaxis(sums, -1, 1), 2, 0).reshape(batch, outputs, *places),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        x, w, _ = kept
        (cotangent,) = cotangents
        if cotangent is None:
            return [None, None]
        return [self._of_x(b, x, w, cotangent), self._of_w(b, x, w, cotangent)]

    def _of_x(self, b: Builder, x: Value, w: Value, cotangent: Value) -> Value:
        from tilewright.compiler.ops import emit as e

        outputs, channels, *kernel = w.type.shape
        spatial = x.type.shape[2:]
        wide = spread(b, cotangent, spatial, kernel, self.strides, self.pads, self.dilations)
        grouped = e.reshape(b, w, (self.groups, outputs // self.groups, channels, *kernel))
        turned = e.transpose(b, grouped, (0, 2, 1, *range(3, 3 + len(kernel))))
        turned = e.reshape(b, turned, (x.type.shape[1], outputs // self.groups, *kernel))
        for axis, size in enumerate(kernel):
            turned = e.slice_axis(b, turned, 2 + axis, size - 1, -1, -1)
        return e.conv(b, wide, turned, dilations=self.dilations, groups=self.groups)

    def _of_w(self, b: Builder, x: Value, w: Value, cotangent: Value) -> Value:
        """A convolution over the batch: strides and dilations exchange roles."""
        from tilewright.compiler.ops import emit as e

        outputs, channels, *kernel = w.type.shape
        batch, spatial, rank = x.type.shape[0], x.type.shape[2:], len(kernel)
        grouped = e.reshape(b, x, (batch, self.groups, channels, *spatial))
        images = e.transpose(b, grouped, (2, 1, 0, *range(3, 3 + rank)))
        images = e.reshape(b, images, (channels, batch * self.groups, *spatial))
        others = (1, 0, *range(2, 2 + rank))
        back = Conv(self.dilations, self.pads, self.strides, self.groups)
        found = b.emit(back, images, e.transpose(b, cotangent, others))
        found = e.slice(b, found, (0,) * (2 + rank), (channels, outputs, *kernel))
        return e.transpose(b, found, others)
