"""Nothing: a value under another name."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, expect_inputs


@dataclass(frozen=True)
class Identity(Operator):
    """x, of any type."""

    name: ClassVar[str] = "identity"

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x")
        return types[0]

    def run(self, *arrays: Array) -> Array:
        return arrays[0]
