"""Products of two activations, group by group; and of rows in two parts."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect, expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.parted_softmax import FINE_UNITS
from tilewright.numerics import exact_sum


@dataclass(frozen=True)
class GroupedProduct(Composite):
    """x (N, I, G, P) times w (N, O, G, I), times a factor: (N, O, G, P), the sum over I of each group.

    Both are feature maps: rows are groups, such as the heads of an attention.

    Members:
        factor: of all results.
    """

    name: ClassVar[str] = "grouped_product"
    factor: float = 1.0

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "w")
        x, w = types
        expect(x.rank == w.rank == 4 and x.dtype == w.dtype, f"both must have 4 axes, not {x}, {w}")
        batch, inputs, groups, pixels = x.shape
        fits = w.shape[::2] == (batch, groups) and w.shape[3] == inputs
        expect(fits, f"w must be (N, O, {groups}, {inputs}), not {w}")
        return (x.with_shape((batch, w.shape[1], groups, pixels)),)

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        x, w = (e.transpose(b, value, (0, 2, 3, 1)) for value in operands)
        rows = e.dot(b, x, w, (3,), (2,), (0, 1), (0, 1))
        return (e.transpose(b, e.mul(b, rows, self.factor), (0, 3, 1, 2)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, w = arrays
        batch, inputs, groups, pixels = x.shape
        left = w.transpose(0, 2, 1, 3).reshape(batch * groups, -1, inputs)
        right = x.transpose(0, 2, 1, 3).reshape(batch * groups, inputs, pixels)
        found = exact_sum.matmul(left, right).reshape(batch, groups, -1, pixels)
        return (np.ascontiguousarray(found.transpose(0, 2, 1, 3) * x.dtype.type(self.factor)),)


@dataclass(frozen=True)
class FinePart(Composite):
    """x (N, O, G, 2P): the pixels 2i + 1, (N, O, G, P)."""

    name: ClassVar[str] = "fine_part"

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        pixels = x.shape[3] if x.rank == 4 else 1
        expect(isinstance(pixels, int) and pixels % 2 == 0, f"x must have 4 axes, pixels in pairs, not {x}")
        return (x.with_shape((*x.shape[:3], pixels // 2)),)

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        return (_every_second(b, operands[0], 1),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.ascontiguousarray(arrays[0][..., 1::2]),)


@dataclass(frozen=True)
class PartSum(Composite):
    """x (N, O, G, 2P) and its fine part (N, O, G, P): the pixels 2i of x, and a 254th of these.

    Members:
        largest: magnitude of the fine part to expect, for who computes it in integers; 0: unknown.
    """

    name: ClassVar[str] = "part_sum"
    largest: float = 0.0

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "fine")
        x, fine = types
        (own,) = FinePart().infer(x)
        expect(fine == own, f"the fine part must be {own}, not {fine}")
        return (fine,)

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        x, fine = operands
        return (e.add(b, _every_second(b, x, 0), e.div(b, fine, float(FINE_UNITS))),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, fine = arrays
        return (np.ascontiguousarray(x[..., ::2] + fine / x.dtype.type(FINE_UNITS)),)


def _every_second(b: Builder, x: Value, first: int) -> Value:
    """The pixels 2i + first."""
    return e.slice(b, x, (0, 0, 0, first), x.type.shape, (1, 1, 1, 2))
