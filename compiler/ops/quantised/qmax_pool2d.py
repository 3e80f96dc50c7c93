"""Maximum pooling of integers."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import QuantisedOperator, expect_dtype
from tilewright.compiler.ops.quantised.requantised import expect_clamp
from tilewright.compiler.ops.quantised.window import Window, pooled


@dataclass(frozen=True)
class QMaxPool2d(QuantisedOperator):
    """clamp(maximum in each window, lo, hi), padded with −128.

    x int8 (batch, C, H, W) → int8 (batch, C, OH, OW).

    A window of 1 × 1 is a lone clamp.
    """

    name: ClassVar[str] = "qmax_pool2d"
    window: Window
    lo: int = -128
    hi: int = 127

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", Window.of(self.window))
        expect_clamp(self.lo, self.hi)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        expect_dtype("x", types[0], DType.INT8)
        return (pooled(types[0], self.window),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        highest = self.window.maximum(arrays[0], -128)
        return (np.clip(highest, np.int8(self.lo), np.int8(self.hi)),)
