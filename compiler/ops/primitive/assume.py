"""Sizes that are known from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_operands
from tilewright.compiler.ir.type import Shape, TensorType


@dataclass(frozen=True)
class Assume(Operator):
    """The operand, whose sizes are these; whether they are is checked when it is run.

    Members:
        shape: of the result, with as many axes as the operand has.
    """

    name: ClassVar[str] = "assume"
    shape: Shape

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        expect(len(self.shape) == x.rank, f"shape must have the {x.rank} axes of {x}, not {len(self.shape)}")
        for size, other in zip(x.shape, self.shape, strict=True):
            is_wrong = isinstance(size - other, int) and size != other
            expect(not is_wrong, f"a size of {size} of {x} is never {other}")
        return (x.with_shape(self.shape),)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        return (0,) if types[0].shape == self.shape else None

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        for size, number in zip(self.shape, x.shape, strict=True):
            if isinstance(size, int) and size != number:
                raise EvaluationError(f"an array must have the shape {self.shape}, not {x.shape}")
        return (x,)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        x, _ = kept
        (cotangent,) = cotangents
        return [None if cotangent is None else b.emit(Assume(x.type.shape), cotangent)]
