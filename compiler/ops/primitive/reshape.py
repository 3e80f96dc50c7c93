"""The same elements in another shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_operands
from tilewright.compiler.ir.size import AnySize, Size
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
        difference = elements(x.shape) - elements(self.shape)
        is_wrong = isinstance(difference, int) and difference != 0
        expect(not is_wrong, f"shape must have as many elements as {x}, and {result} has not")
        return (result,)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        shape = TensorType(DType.BOOL, self.shape).numbers
        if x.size != elements(shape):
            raise EvaluationError(f"an array of shape {x.shape} has not as many elements as {shape}")
        return (x.reshape(shape),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        x, _ = kept
        (cotangent,) = cotangents
        return [None if cotangent is None else b.emit(Reshape(x.type.shape), cotangent)]


def elements(shape: Shape) -> AnySize:
    """The product of the sizes."""
    product: AnySize = 1
    for size in shape:
        product = product * size
    return product


def quotient(total: AnySize, by: AnySize) -> AnySize | None:
    """What `by` must be multiplied with to give `total`; None if no size is known to."""
    if total == by:
        return 1
    if isinstance(by, int):
        return None if by < 1 else total // by
    if isinstance(total, int) or len(by.terms) != 1:
        return None
    ((divisor, factor),) = by.terms
    result: AnySize = 0
    for monomial, times in total.terms:
        rest = list(monomial)
        for atom in divisor:
            if atom not in rest:
                return None
            rest.remove(atom)
        if times % factor:
            return None
        result = result + (Size(((tuple(rest), times // factor),)) if rest else times // factor)
    return result
