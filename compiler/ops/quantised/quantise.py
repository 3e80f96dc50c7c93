"""Floats to int8."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import Operator, expect, expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import expect_dtype, expect_range
from tilewright.numerics.quantise import quantise


@dataclass(frozen=True)
class Quantise(Operator):
    """round(x / scale) + zero_point, saturated: float32 → int8, of any shape."""

    name: ClassVar[str] = "quantise"
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        expect_scale(self.scale)
        expect_range("zero_point", self.zero_point, -128, 127)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        expect_dtype("x", types[0], DType.FLOAT32)
        return (types[0].with_dtype(DType.INT8),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return (quantise(arrays[0], self.scale, self.zero_point),)


def expect_scale(scale: float) -> None:
    """Raises OperatorError unless the scale is positive and finite."""
    good = isinstance(scale, float) and 0 < scale < float("inf")
    expect(good, f"scale must be a positive number, not {scale!r}")
