"""Quantised weights and biases to floats."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

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
class DequantiseChannels(Operator):
    """x · scale: x int8 or int32 of any shape, scale float32 (channels,), channels along `axis` → float32.

    For constants: weights are symmetric, so that no zero point is needed.
    """

    name: ClassVar[str] = "dequantise_channels"
    axis: int = 0

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x", "scale")
        x, scale = types
        expect_dtype("x", x, DType.INT8, DType.INT32)
        expect_dtype("scale", scale, DType.FLOAT32)
        expect(0 <= self.axis < len(x.shape), f"axis must be one of the {len(x.shape)} of x, not {self.axis}")
        expect_shape("scale", scale, (x.shape[self.axis],))
        return TensorType(x.shape, DType.FLOAT32)

    def run(self, *arrays: Array) -> Array:
        x, scale = arrays
        along = [1] * x.ndim
        along[self.axis] = -1
        result: Array = x.astype(np.float32) * scale.reshape(along)
        return result
