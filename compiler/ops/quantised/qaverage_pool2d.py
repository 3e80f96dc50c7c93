"""Average pooling of integers."""

import math
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
    sample_of,
)
from tilewright.compiler.ops.quantised.requantised import expect_clamp, expect_int32, finish
from tilewright.compiler.ops.quantised.window import Window, pooled


@dataclass(frozen=True)
class QAveragePool2d(QuantisedOperator):
    """t = Σ over the window; y = clamp(requantise(t + bias) + zero_point).

    x int8 (batch, C, H, W) → int8 (batch, C, OH, OW).

    Members:
        window: what is summed; padding has the value `input_zero_point`.
        input_zero_point: of x.
        bias: int32, −pixels of the window · input_zero_point.
        scales: for each number of pixels of the picture that a window can hold, a packed word of
            `numerics.requantise`.
        zero_point, lo, hi: of the result.
    """

    name: ClassVar[str] = "qaverage_pool2d"
    window: Window
    input_zero_point: int
    bias: int
    scales: tuple[tuple[int, int], ...]
    zero_point: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", Window.of(self.window))
        expect_range("input_zero_point", self.input_zero_point, -128, 127)
        expect_range("zero_point", self.zero_point, -128, 127)
        expect_int32("bias", self.bias)
        expect_clamp(self.lo, self.hi)
        for count, word in self.scales:
            expect_range("a number of pixels", count, 1, math.prod(self.window.kernel))
            expect_int32("a scale", word)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        expect_dtype("x", types[0], DType.INT8)
        result = pooled(types[0], self.window)
        _, height, width = sample_of("x", types[0], "NCHW")
        needed = {int(count) for count in self.window.counts(height, width).flat}
        missing = sorted(needed - dict(self.scales).keys())
        expect(
            not missing, f"scales must hold one for each number of pixels in a window, but not for {missing}"
        )
        return (result,)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        t = self.window.total(x, self.input_zero_point)
        words = dict(self.scales)
        counts = self.window.counts(*x.shape[2:])
        scale = np.vectorize(words.__getitem__, otypes=[np.int32])(counts)
        return (finish(t, np.array(self.bias), scale, self.zero_point, self.lo, self.hi),)
