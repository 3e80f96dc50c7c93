"""The average of each channel."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, expect_dtype, expect_inputs, expect_rank


@dataclass(frozen=True)
class GlobalAveragePool(Operator):
    """x float32 (N, C, H, W) → (N, C, 1, 1)."""

    name: ClassVar[str] = "global_average_pool"

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x")
        expect_dtype("x", types[0], DType.FLOAT32)
        expect_rank("x", types[0], "NCHW")
        return TensorType((*types[0].shape[:2], 1, 1), DType.FLOAT32)

    def run(self, *arrays: Array) -> Array:
        mean: Array = arrays[0].mean(axis=(2, 3), keepdims=True, dtype=np.float64)
        return mean.astype(np.float32)
