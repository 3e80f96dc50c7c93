"""All axes but the batch as one."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, expect, expect_inputs


@dataclass(frozen=True)
class Flatten(Operator):
    """x (N, …) → (N, product of the others), of any element type."""

    name: ClassVar[str] = "flatten"

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x")
        (x,) = types
        expect(len(x.shape) > 0, "x must have a batch axis, not be a scalar")
        return TensorType((x.shape[0], x.size // x.shape[0]), x.dtype)

    def run(self, *arrays: Array) -> Array:
        return arrays[0].reshape(len(arrays[0]), -1)
