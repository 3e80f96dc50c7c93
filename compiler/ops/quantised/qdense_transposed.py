"""A fully connected layer of integers whose tokens become channels, as a product wants keys."""

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
from tilewright.compiler.ops.quantised.qmatmul import MOST_TERMS
from tilewright.compiler.ops.quantised.requantised import expect_clamp, expect_int32, finish


@dataclass(frozen=True)
class QDenseTransposed(QuantisedOperator):
    """t[t, f] = Σ over i of x[t, i] · weight[f, i]; y = clamp(requantise(t, scale) + zero_point, lo, hi).

    x int8 (batch, T, 1, J), of which J − I columns behind I are not used; weight int8 (F, I), constant; the
    result is (batch, T, 1, F). The zero point of x is 0, and there is no bias: each would be one for each
    pixel of the result.

    Members:
        scale: a packed word of `numerics.requantise`.
        zero_point, lo, hi: of the result.
        features: that the network asks for, if the weights have rows of 0 besides; 0: all.
    """

    name: ClassVar[str] = "qdense_transposed"
    scale: int
    zero_point: int
    lo: int
    hi: int
    features: int = 0

    def __post_init__(self) -> None:
        expect_int32("scale", self.scale)
        expect_range("zero_point", self.zero_point, -128, 127)
        expect_clamp(self.lo, self.hi)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "weight")
        x, weight = types
        for what, tensor in zip(("x", "weight"), types, strict=True):
            expect_dtype(what, tensor, DType.INT8)
        _, height, columns = sample_of("x", x, "NTHI")
        expect(height == 1, f"x must be (N, T, 1, I), not {x}")
        features, inputs = weight.numbers if weight.rank == 2 else (0, 0)
        expect(0 < inputs <= columns, f"weight must be (F, {columns}), not {weight}")
        expect(inputs <= MOST_TERMS, f"sums must have at most {MOST_TERMS} products, not {inputs}")
        return (x.with_shape((*x.shape[:3], features)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, weight = arrays
        t = x[..., : weight.shape[1]].astype(np.float64) @ weight.T.astype(np.float64)
        words = np.array(0), np.array(self.scale, np.int32)
        return (finish(t, *words, self.zero_point, self.lo, self.hi),)

    def macs(self, *types: TensorType) -> int:
        features, inputs = types[1].numbers
        return sample_of("x", types[0], "NTHI")[0] * inputs * (self.features or features)
