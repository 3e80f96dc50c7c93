"""int8 to floats."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, expect_dtype, expect_inputs, expect_range
from tilewright.compiler.ops.quantise import expect_scale
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

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x")
        expect_dtype("x", types[0], DType.INT8)
        return TensorType(types[0].shape, DType.FLOAT32)

    def run(self, *arrays: Array) -> Array:
        return dequantise(arrays[0], self.scale, self.zero_point)
