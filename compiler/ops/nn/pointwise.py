"""A function of single elements, whatever it is."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.operator import Evaluate, expect, expect_operands
from tilewright.compiler.ir.size import product
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e


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

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        (x,) = operands
        ((elements, *_),) = (value.type.shape for value in self.body.parameters)
        count = product(x.type.shape)
        sizes = {} if isinstance(elements, int) else {elements.name or "": count}
        (result,) = inline(b, self.body, (e.reshape(b, x, (count,)),), sizes=sizes)
        return (e.reshape(b, result, x.type.shape),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return self.run_regions(lambda body, given: run(body, *given), *arrays)

    def run_regions(self, evaluate: Evaluate, *arrays: Array) -> tuple[Array, ...]:
        (result,) = evaluate(self.body, [arrays[0].reshape(-1)])
        return (result.reshape(arrays[0].shape),)
