"""The same values in another shape."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, expect, expect_inputs
from tilewright.compiler.ops.window import expect_sizes


@dataclass(frozen=True)
class Reshape(Operator):
    """x (N, …) → (N, …) of any element type.

    Members:
        shape: of one sample, its batch axis (1) included.
    """

    name: ClassVar[str] = "reshape"
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        expect_sizes("shape", self.shape, len(self.shape), 1)
        expect(self.shape[:1] == (1,), f"shape must begin with 1, the batch, not be {self.shape}")

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, "x")
        result = TensorType(self.shape, types[0].dtype)
        expect(types[0].shape[:1] == (1,), f"x must begin with the batch, 1, not be {types[0]}")
        expect(
            result.size == types[0].size, f"shape must have the {types[0].size} elements of x, not {result}"
        )
        return result

    def run(self, *arrays: Array) -> Array:
        return arrays[0].reshape(len(arrays[0]), *self.shape[1:])
