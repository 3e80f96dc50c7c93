"""A fully connected layer of floats."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import (
    Array,
    Operator,
    expect_dtype,
    expect_inputs,
    expect_rank,
    expect_shape,
)


@dataclass(frozen=True)
class Dense(Operator):
    """x float32 (N, I), weight float32 (O, I), bias float32 (O,) → (N, O)."""

    name: ClassVar[str] = "dense"

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x", "weight", "bias")
        for what, tensor in zip(("x", "weight", "bias"), types, strict=True):
            expect_dtype(what, tensor, DType.FLOAT32)
        x, weight, bias = types
        expect_rank("x", x, "NI")
        expect_rank("weight", weight, "OI")
        expect_shape("weight", weight, (weight.shape[0], x.shape[1]))
        expect_shape("bias", bias, (weight.shape[0],))
        return TensorType((x.shape[0], weight.shape[0]), DType.FLOAT32)

    def run(self, *arrays: Array) -> Array:
        x, weight, bias = arrays
        result: Array = x @ weight.T + bias
        return result

    def macs(self, *types: TensorType) -> int:
        return self.infer(*types).size * types[1].shape[1]
