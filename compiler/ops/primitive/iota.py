"""Counting along an axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_axis, expect_operands
from tilewright.compiler.ir.type import Shape, TensorType


@dataclass(frozen=True)
class Iota(Operator):
    """0, 1, 2 … along an axis; no operands.

    Members:
        dtype: of the result, not bool.
        shape: of the result.
        axis: along which it counts.
    """

    name: ClassVar[str] = "iota"
    dtype: DType
    shape: Shape
    axis: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types)
        expect_axis("axis", self.axis, len(self.shape))
        expect(self.dtype is not DType.BOOL, "dtype must be of numbers, not bool")
        return (TensorType(self.dtype, self.shape),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        shape = TensorType(self.dtype, self.shape).numbers
        line = np.arange(shape[self.axis]).astype(self.dtype.numpy)
        places = [-1 if axis == self.axis else 1 for axis in range(len(shape))]
        return (np.broadcast_to(line.reshape(places), shape),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        return []
