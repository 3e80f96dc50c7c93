"""The rectifier."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, expect_dtype, expect_inputs


@dataclass(frozen=True)
class Relu(Operator):
    """max(x, 0) of float32, of any shape."""

    name: ClassVar[str] = "relu"

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x")
        expect_dtype("x", types[0], DType.FLOAT32)
        return types[0]

    def run(self, *arrays: Array) -> Array:
        return np.maximum(arrays[0], np.float32(0))
