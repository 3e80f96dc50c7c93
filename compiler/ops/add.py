"""The sum of two activations."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, expect_dtype, expect_inputs, expect_shape


@dataclass(frozen=True)
class Add(Operator):
    """a + b, float32, of one shape."""

    name: ClassVar[str] = "add"

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "a", "b")
        expect_dtype("a", types[0], DType.FLOAT32)
        expect_dtype("b", types[1], DType.FLOAT32)
        expect_shape("b", types[1], types[0].shape)
        return types[0]

    def run(self, *arrays: Array) -> Array:
        result: Array = arrays[0] + arrays[1]
        return result
