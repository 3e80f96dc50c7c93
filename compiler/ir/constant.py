"""The operator that gives a constant."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.operator import Kept, Operator, expect_operands
from tilewright.compiler.ir.type import TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewright.compiler.ir.build import Builder
    from tilewright.compiler.ir.function import Value


@dataclass(frozen=True)
class Constant(Operator):
    """An array; no operands."""

    name: ClassVar[str] = "constant"
    value: Literal

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types)
        return (self.value.type,)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return (self.value.array,)

    def vjp(self, b: "Builder", kept: Kept, cotangents: "Sequence[Value | None]") -> "Sequence[Value | None]":
        return ()
