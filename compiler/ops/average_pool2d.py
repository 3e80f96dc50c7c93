"""Average pooling of floats."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.max_pool2d import pooled
from tilewright.compiler.ops.operator import Array, Operator, expect_dtype, expect_inputs
from tilewright.compiler.ops.window import Window


@dataclass(frozen=True)
class AveragePool2d(Operator):
    """x float32 (N, C, H, W) → (N, C, OH, OW).

    Members:
        window: what is averaged.
        count_include_pad: whether padding counts as zeros, or not at all.
    """

    name: ClassVar[str] = "average_pool2d"
    window: Window
    count_include_pad: bool = False

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x")
        expect_dtype("x", types[0], DType.FLOAT32)
        return pooled(types[0], self.window)

    def run(self, *arrays: Array) -> Array:
        (x,) = arrays
        sums = window_sum(x, self.window, 0.0)
        if self.count_include_pad:
            return (sums / np.float32(math.prod(self.window.kernel))).astype(np.float32)
        return (sums / self.window.counts(*x.shape[2:])).astype(np.float32)


def window_sum(x: Array, window: Window, fill: int | float) -> Array:
    """The sum in each window of x (N, C, H, W), padded with `fill`, as float64; tap by tap."""
    views = window.patches(x, fill)
    total = np.zeros(views.shape[:4])
    for row, column in np.ndindex(window.kernel):
        total += views[..., row, column]
    return total
