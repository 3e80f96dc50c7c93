"""Tensors one behind the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_axis
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Concat(Operator):
    """Operands one behind the other along an axis; they agree in the others.

    Members:
        axis: along which.
    """

    name: ClassVar[str] = "concat"
    axis: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect(len(types) > 0, "must have at least one operand")
        first = types[0]
        expect_axis("axis", self.axis, first.rank)
        total: AnySize = 0
        for each in types:
            is_good = each.dtype is first.dtype and each.rank == first.rank
            others = [
                s == t or axis == self.axis
                for axis, (s, t) in enumerate(zip(each.shape, first.shape, strict=False))
            ]
            expect(
                is_good and all(others), f"operands must agree except along axis {self.axis}: {first}, {each}"
            )
            total = total + each.shape[self.axis]
        return (first.with_shape((*first.shape[: self.axis], total, *first.shape[self.axis + 1 :])),)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        return (0,) if len(types) == 1 else None

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.concatenate(arrays, self.axis),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        from tilewright.compiler.ops import emit as e

        (cotangent,) = cotangents
        operands = kept[:-1]
        if cotangent is None:
            return [None] * len(operands)
        return list(e.split(b, cotangent, [x.type.shape[self.axis] for x in operands], self.axis))
