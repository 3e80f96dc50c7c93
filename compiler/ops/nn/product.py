"""Products of two activations, group by group."""

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
