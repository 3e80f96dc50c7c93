"""The sum of two activations of integers."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import (
    QuantisedOperator,
    expect_dtype,
    expect_range,
    expect_shape,
)
from tilewright.compiler.ops.quantised.requantised import expect_clamp, expect_int32, finish


@dataclass(frozen=True)
class QAdd(QuantisedOperator):
    """t = a·ka + b·kb; y = clamp(requantise(t + bias, scale) + zero_point, lo, hi); all int8, of one shape.

    Members:
        ka, kb: factors within int8 and within int16.
        bias: int32, −(a's zero point · ka + b's zero point · kb).
        scale: a packed word of `numerics.requantise`.
        zero_point, lo, hi: of the result.
    """

    name: ClassVar[str] = "qadd"
    ka: int
    kb: int
    bias: int
    scale: int
    zero_point: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        expect_range("ka", self.ka, -128, 127)
        expect_range("kb", self.kb, -(2**15), 2**15 - 1)
        expect_int32("bias", self.bias)
        expect_int32("scale", self.scale)
        expect_range("zero_point", self.zero_point, -128, 127)
        expect_clamp(self.lo, self.hi)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "a", "b")
        expect_dtype("a", types[0], DType.INT8)
        expect_dtype("b", types[1], DType.INT8)
        expect_shape("b", types[1], types[0].shape)
        return types[:1]

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        a, b = (array.astype(np.int32) for array in arrays)
        t = a * np.int32(self.ka) + b * np.int32(self.kb)
        scale = np.array(self.scale, np.int32)
        return (finish(t, np.array(self.bias), scale, self.zero_point, self.lo, self.hi),)
