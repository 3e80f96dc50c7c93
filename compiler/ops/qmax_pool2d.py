"""Maximum pooling of integers."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.max_pool2d import maximum, pooled
from tilewright.compiler.ops.operator import Array, Operator, expect_dtype, expect_inputs
from tilewright.compiler.ops.requantised import expect_clamp
from tilewright.compiler.ops.window import Window


@dataclass(frozen=True)
class QMaxPool2d(Operator):
    """clamp(maximum in each window, lo, hi): int8 (N, C, H, W) → int8 (N, C, OH, OW), padded with −128.

    A window of 1 × 1 is a lone clamp.
    """

    name: ClassVar[str] = "qmax_pool2d"
    window: Window
    lo: int = -128
    hi: int = 127

    def __post_init__(self) -> None:
        expect_clamp(self.lo, self.hi)

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x")
        expect_dtype("x", types[0], DType.INT8)
        return pooled(types[0], self.window)

    def run(self, *arrays: Array) -> Array:
        highest = maximum(arrays[0], self.window, -128)
        return np.clip(highest, np.int8(self.lo), np.int8(self.hi))
