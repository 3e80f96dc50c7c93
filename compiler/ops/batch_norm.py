"""A factor and an offset for each channel."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import (
    Array,
    Operator,
    expect,
    expect_dtype,
    expect_inputs,
    expect_shape,
)


@dataclass(frozen=True)
class BatchNorm(Operator):
    """x·scale + shift: x float32 (N, C, …), scale and shift float32 (C,).

    The statistics of training are two numbers a channel by then: scale = γ / √(variance + ε) and
    shift = β − mean · scale.
    """

    name: ClassVar[str] = "batch_norm"

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x", "scale", "shift")
        for what, tensor in zip(("x", "scale", "shift"), types, strict=True):
            expect_dtype(what, tensor, DType.FLOAT32)
        expect(len(types[0].shape) > 1, f"x must have channels as its second axis, not {types[0]}")
        expect_shape("scale", types[1], types[0].shape[1:2])
        expect_shape("shift", types[2], types[0].shape[1:2])
        return types[0]

    def run(self, *arrays: Array) -> Array:
        x, scale, shift = arrays
        channel = (-1, *(1 for _ in x.shape[2:]))
        result: Array = x * scale.reshape(channel) + shift.reshape(channel)
        return result
