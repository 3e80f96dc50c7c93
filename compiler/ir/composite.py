"""Operators defined in terms of other operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder, trace
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Composite(Operator):
    """An operator whose type rule, results and derivative follow from `define`, unless overridden for speed.

    An override must agree with the definition; tests compare both.
    """

    def define(self, b: Builder, *operands: Value) -> Sequence[Value]:
        """The results, in equations of other operators."""
        raise NotImplementedError(self.name)

    def expanded(self, *types: TensorType) -> Function:
        """The definition on operands of these types."""
        return _expanded(self, types)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        return self.expanded(*types).result_types

    def macs(self, *types: TensorType) -> AnySize:
        total: AnySize = 0
        for each in self.expanded(*types).equations:
            total = total + each.operator.macs(*(value.type for value in each.operands))
        return total

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        types = [TensorType(DType.of(array.dtype), array.shape) for array in arrays]
        return run(self.expanded(*types), *arrays)


@lru_cache(maxsize=4096)
def _expanded(operator: Composite, types: tuple[TensorType, ...]) -> Function:
    return trace(operator.name, types, operator.define)
