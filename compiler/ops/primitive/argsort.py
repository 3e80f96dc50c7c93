"""The order of elements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect_axis, expect_operands
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class ArgSort(Operator):
    """Indices (int64) that sort along an axis; equal elements stay in their order. NaN is above all.

    Members:
        axis: along which.
        descending: the largest first.
    """

    name: ClassVar[str] = "argsort"
    axis: int
    descending: bool = False

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        expect_axis("axis", self.axis, types[0].rank)
        return (types[0].with_dtype(INDEX),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        if not self.descending:
            return (np.argsort(x, self.axis, kind="stable").astype(np.int64),)
        # Backwards twice: equal elements keep their order.
        order = np.flip(np.argsort(np.flip(x, self.axis), self.axis, kind="stable"), self.axis)
        return ((x.shape[self.axis] - 1 - order).astype(np.int64),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        return [None]
