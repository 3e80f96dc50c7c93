"""int8 to floats."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import Operator, expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import expect_dtype, expect_range
from tilewright.compiler.ops.quantised.quantise import expect_scale
from tilewright.numerics.quantise import dequantise


@dataclass(frozen=True)
class Dequantise(Operator):
    """(x − zero_point) · scale: int8 → float32, of any shape."""

    name: ClassVar[str] = "dequantise"
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        expect_scale(self.scale)
        expect_range("zero_point", self.zero_point, -128, 127)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        expect_dtype("x", types[0], DType.INT8)
        return (types[0].with_dtype(DType.FLOAT32),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return (dequantise(arrays[0], self.scale, self.zero_point),)
