"""Running sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_axis, expect_operands
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class CumulativeSum(Operator):
    """The sum of all elements so far along an axis, added one after the other.

    Members:
        axis: along which.
        exclusive: without the element itself.
        reverse: from the end.
    """

    name: ClassVar[str] = "cumulative_sum"
    axis: int
    exclusive: bool = False
    reverse: bool = False

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        expect_axis("axis", self.axis, types[0].rank)
        expect(types[0].dtype is not DType.BOOL, "x must be of numbers, not bool")
        return types

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        wide = np.float64 if x.dtype.kind == "f" else x.dtype
        source = np.moveaxis(x, self.axis, 0)[:: -1 if self.reverse else 1]
        with np.errstate(all="ignore"):
            sums = np.cumsum(source, 0, dtype=wide)
            if self.exclusive and len(sums):
                sums = np.concatenate([np.zeros_like(sums[:1]), sums[:-1]])
            result = sums.astype(x.dtype)[:: -1 if self.reverse else 1]
        return (np.moveaxis(result, 0, self.axis),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        (cotangent,) = cotangents
        back = CumulativeSum(self.axis, self.exclusive, not self.reverse)
        return [None if cotangent is None else b.emit(back, cotangent)]
