"""Limits."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, expect, expect_dtype, expect_inputs


@dataclass(frozen=True)
class Clip(Operator):
    """min(max(x, lo), hi) of float32, of any shape; a bound may be infinite."""

    name: ClassVar[str] = "clip"
    lo: float
    hi: float

    def __post_init__(self) -> None:
        expect(self.lo <= self.hi, f"lo must be at most hi, not {self.lo} > {self.hi}")

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x")
        expect_dtype("x", types[0], DType.FLOAT32)
        return types[0]

    def run(self, *arrays: Array) -> Array:
        return np.clip(arrays[0], np.float32(self.lo), np.float32(self.hi))
