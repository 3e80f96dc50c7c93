"""Fully connected layers whose tokens become channels."""

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
class TransposedDense(Composite):
    """x (N, T, 1, I) times weights (F, I): (N, T, 1, F). Channels are tokens, and pixels features."""

    name: ClassVar[str] = "transposed_dense"

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "weight")
        x, weight = types
        expect(x.rank == 4 and x.shape[2] == 1, f"x must be (N, T, 1, I), not {x}")
        fits = weight.rank == 2 and weight.shape[1] == x.shape[3] and weight.dtype == x.dtype
        expect(fits, f"weights must be (F, {x.shape[3]}) of {x.dtype}, not {weight}")
        return (x.with_shape((*x.shape[:3], weight.shape[0])),)

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        x, weight = operands
        return (e.dot(b, x, weight, (3,), (1,)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, weight = arrays
        rows = x.reshape(1, -1, x.shape[3])
        found = exact_sum.matmul(rows, np.ascontiguousarray(weight.T)[None])
        return (found.reshape(*x.shape[:3], len(weight)),)
