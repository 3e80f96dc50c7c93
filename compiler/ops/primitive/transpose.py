"""Axes in another order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_operands
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Transpose(Operator):
    """The operand with its axes in another order.

    Members:
        permutation: of each axis of the result, the operand's axis.
    """

    name: ClassVar[str] = "transpose"
    permutation: tuple[int, ...]

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        is_good = sorted(self.permutation) == list(range(x.rank))
        expect(is_good, f"permutation must have each axis of {x} once, not {self.permutation}")
        return (x.with_shape(x.shape[axis] for axis in self.permutation),)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        return (0,) if self.permutation == tuple(range(types[0].rank)) else None

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return (arrays[0].transpose(self.permutation),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        (cotangent,) = cotangents
        return [None if cotangent is None else b.emit(Transpose(inverse(self.permutation)), cotangent)]


def inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    """The permutation that leads back."""
    return tuple(sorted(range(len(permutation)), key=lambda axis: permutation[axis]))
