"""Borders around feature maps of integers, and parts of them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect, expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import (
    QuantisedOperator,
    expect_dtype,
    expect_range,
    expect_sizes,
    sample_of,
)
from tilewright.compiler.ops.quantised.window import Pads, Pair


@dataclass(frozen=True)
class QPad2d(QuantisedOperator):
    """A border of `fill` around feature maps; where it is negative, rows and columns are taken away.

    x int8 (batch, C, H, W) → int8 (batch, C, OH, OW).

    Members:
        pads: rows above, columns left, rows below, columns right.
        strides: of what that makes: every so many rows and columns, from the first on.
        fill: an int8.
    """

    name: ClassVar[str] = "qpad2d"
    pads: Pads
    strides: Pair = (1, 1)
    fill: int = 0

    def __post_init__(self) -> None:
        good = (
            isinstance(self.pads, tuple)
            and len(self.pads) == 4
            and all(isinstance(n, int) for n in self.pads)
        )
        expect(good, f"pads must be 4 integers, not {self.pads!r}")
        expect_sizes("strides", self.strides, 2, 1)
        expect_range("fill", self.fill, -128, 127)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        expect_dtype("x", types[0], DType.INT8)
        channels, height, width = sample_of("x", types[0], "NCHW")
        top, left, bottom, right = self.pads
        sizes = height + top + bottom, width + left + right
        down, across = (-(-size // stride) for size, stride in zip(sizes, self.strides, strict=True))
        expect(min(down, across) >= 1, f"pads {self.pads} must leave some of {height}×{width}")
        return (types[0].with_shape((types[0].shape[0], channels, down, across)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        for axis, (before, behind) in zip((2, 3), (self.pads[::2], self.pads[1::2]), strict=True):
            widths = [(0, 0)] * 4
            widths[axis] = max(0, before), max(0, behind)
            x = np.pad(x, widths, constant_values=self.fill)
            kept = slice(max(0, -before), x.shape[axis] - max(0, -behind))
            x = x[(slice(None),) * axis + (kept,)]
        return (np.ascontiguousarray(x[:, :, :: self.strides[0], :: self.strides[1]]),)
