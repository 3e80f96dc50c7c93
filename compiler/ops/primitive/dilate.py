"""Zeros between elements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_axis, expect_operands
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Dilate(Operator):
    """Elements so far apart along an axis, with zeros between them; of n, which is not 0, (n - 1) · by + 1.

    Members:
        axis: along which.
        by: distance of elements, from 1.
    """

    name: ClassVar[str] = "dilate"
    axis: int
    by: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        expect_axis("axis", self.axis, x.rank)
        expect(self.by >= 1, f"by must be 1 or more, not {self.by}")
        size = x.shape[self.axis]
        longer = 0 if size == 0 else (size - 1) * self.by + 1
        return (x.with_shape((*x.shape[: self.axis], longer, *x.shape[self.axis + 1 :])),)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        return (0,) if self.by == 1 else None

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        shape = list(x.shape)
        shape[self.axis] = max((shape[self.axis] - 1) * self.by + 1, 0)
        result = np.zeros(shape, x.dtype)
        result[(slice(None),) * self.axis + (slice(None, None, self.by),)] = x
        return (result,)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        from tilewright.compiler.ops import emit as e

        (cotangent,) = cotangents
        if cotangent is None:
            return [None]
        size = cotangent.type.shape[self.axis]
        return [e.slice_axis(b, cotangent, self.axis, 0, size, self.by)]
