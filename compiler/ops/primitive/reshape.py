"""The same elements in another shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_operands
from tilewright.compiler.ir.size import product
from tilewright.compiler.ir.type import Shape, TensorType


@dataclass(frozen=True)
class Reshape(Operator):
    """The elements in the order of rows, in another shape of as many.

    Where it cannot be decided whether they are as many, it is checked when run.

    Members:
        shape: of the result.
    """

    name: ClassVar[str] = "reshape"
    shape: Shape

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        result = x.with_shape(self.shape)
        difference = product(x.shape) - product(self.shape)
        is_wrong = isinstance(difference, int) and difference != 0
        expect(not is_wrong, f"shape must have as many elements as {x}, and {result} has not")
        return (result,)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        return (0,) if types[0].shape == self.shape else None

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        shape = TensorType(DType.BOOL, self.shape).numbers
        if x.size != product(shape):
            raise EvaluationError(f"an array of shape {x.shape} has not as many elements as {shape}")
        return (x.reshape(shape),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        x, _ = kept
        (cotangent,) = cotangents
        return [None if cotangent is None else b.emit(Reshape(x.type.shape), cotangent)]
