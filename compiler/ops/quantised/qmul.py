"""The product of two activations of integers."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect, expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import QuantisedOperator, expect_dtype, expect_range
from tilewright.compiler.ops.quantised.requantised import expect_clamp, expect_int32, finish


@dataclass(frozen=True)
class QMul(QuantisedOperator):
    """t = (a − za)·(b − zb); y = clamp(requantise(t, scale) + zero_point, lo, hi).

    a int8 (batch, …), b int8 of its shape or, of feature maps, (batch, C, 1, 1): a factor for each channel.

    Members:
        za, zb: zero points of a and b.
        scale: a packed word of `numerics.requantise`.
        zero_point, lo, hi: of the result.
    """

    name: ClassVar[str] = "qmul"
    za: int
    zb: int
    scale: int
    zero_point: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        for what, value in (("za", self.za), ("zb", self.zb), ("zero_point", self.zero_point)):
            expect_range(what, value, -128, 127)
        expect_int32("scale", self.scale)
        expect_clamp(self.lo, self.hi)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "a", "b")
        expect_dtype("a", types[0], DType.INT8)
        expect_dtype("b", types[1], DType.INT8)
        shape = types[0].shape
        allowed = (shape, (*shape[:2], 1, 1)) if len(shape) == 4 else (shape,)
        listed = " or ".join(str(list(each)) for each in dict.fromkeys(allowed))
        expect(types[1].shape in allowed, f"b must have shape {listed}, not {list(types[1].shape)}")
        return types[:1]

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        a, b = (array.astype(np.int32) for array in arrays)
        t = (a - np.int32(self.za)) * (b - np.int32(self.zb))
        words = np.array(0), np.array(self.scale, np.int32)
        return (finish(t, *words, self.zero_point, self.lo, self.hi),)
