"""A function of single elements, whatever it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import emit, inline
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.operator import Evaluate, Operator, expect, expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.emit_map import broadcast_to
from tilewright.compiler.ops.primitive.broadcast import Broadcast


@dataclass(frozen=True)
class Pointwise(Composite):
    """A function on each element: float32 of any shape, the same out.

    Members:
        body: float32 (elements) → float32 (elements), for any number of elements; it mixes none.
    """

    name: ClassVar[str] = "pointwise"
    body: Function

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        own = [value.type for value in (*self.body.parameters, *self.body.results)]
        listed = " to ".join(map(str, own))
        expect(len(own) == 2 and own[0] == own[1], f"body must keep the type of its parameter, not {listed}")
        expect(types[0].dtype is own[0].dtype is DType.FLOAT32, f"x must be float32, not {types[0]}")
        return types

    def define(self, b: Builder, *operands: Value) -> Sequence[Value]:
        shape = operands[0].type.shape

        def shaped(
            b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
        ) -> Sequence[Value]:
            # Numbers are repeated; all else is of single elements, whatever their axes are.
            if isinstance(operator, Broadcast):
                return (broadcast_to(b, operands[0], shape),)
            return emit(b, equation, operator, operands)

        return inline(b, self.body, operands, shaped)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return self.run_regions(lambda body, given: run(body, *given), *arrays)

    def run_regions(self, evaluate: Evaluate, *arrays: Array) -> tuple[Array, ...]:
        (result,) = evaluate(self.body, [arrays[0].reshape(-1)])
        return (result.reshape(arrays[0].shape),)
