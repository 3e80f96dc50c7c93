"""Maximum pooling of floats."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, expect_dtype, expect_inputs, expect_rank
from tilewright.compiler.ops.window import Window


@dataclass(frozen=True)
class MaxPool2d(Operator):
    """x float32 (N, C, H, W) → (N, C, OH, OW); padding never wins."""

    name: ClassVar[str] = "max_pool2d"
    window: Window

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x")
        expect_dtype("x", types[0], DType.FLOAT32)
        return pooled(types[0], self.window)

    def run(self, *arrays: Array) -> Array:
        return maximum(arrays[0], self.window, -np.inf)


def pooled(x: TensorType, window: Window) -> TensorType:
    """The type of x behind a pooling."""
    expect_rank("x", x, "NCHW")
    return TensorType((*x.shape[:2], *window.extent(*x.shape[2:])), x.dtype)


def maximum(x: Array, window: Window, lowest: int | float) -> Array:
    """The maximum in each window of x (N, C, H, W), padded with `lowest`; tap by tap, in little memory."""
    if window == Window((1, 1)):
        return x
    views = window.patches(x, lowest)
    result = views[..., 0, 0].copy()
    for row, column in np.ndindex(window.kernel):
        np.maximum(result, views[..., row, column], out=result)
    return result
