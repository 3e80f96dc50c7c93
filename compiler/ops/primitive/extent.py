"""The size of an axis, as a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect_axis, expect_operands
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Extent(Operator):
    """How many elements there are along an axis: an int64 scalar.

    Members:
        axis: of the operand.
    """

    name: ClassVar[str] = "extent"
    axis: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        expect_axis("axis", self.axis, types[0].rank)
        return (TensorType(INDEX, ()),)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        size = types[0].shape[self.axis]
        return (Literal.of(size, INDEX),) if isinstance(size, int) else None

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.asarray(arrays[0].shape[self.axis], INDEX.numpy),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        return [None]
