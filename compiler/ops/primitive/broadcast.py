"""The same elements again along further axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_axis, expect_operands
from tilewright.compiler.ir.type import Shape, TensorType


@dataclass(frozen=True)
class Broadcast(Operator):
    """The operand repeated along axes that it has not, or along which its size is 1.

    Members:
        shape: of the result.
        axes: of each axis of the operand, the axis of the result, ascending.
    """

    name: ClassVar[str] = "broadcast"
    shape: Shape
    axes: tuple[int, ...]

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        expect(len(self.axes) == x.rank, f"axes must be {x.rank}, one for each axis of {x}, not {self.axes}")
        expect(list(self.axes) == sorted(set(self.axes)), f"axes must ascend, not {self.axes}")
        for size, axis in zip(x.shape, self.axes, strict=True):
            expect_axis("axes", axis, len(self.shape))
            expect(size in (1, self.shape[axis]), f"{x} cannot be repeated to a size of {self.shape[axis]}")
        return (x.with_shape(self.shape),)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        return (0,) if types[0].shape == self.shape else None

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        shape = TensorType(DType.BOOL, self.shape).numbers
        places = [1] * len(shape)
        for axis, size in zip(self.axes, x.shape, strict=True):
            places[axis] = size
        return (np.broadcast_to(x.reshape(places), shape),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        from tilewright.compiler.ops import emit as e

        x, _ = kept
        (cotangent,) = cotangents
        if cotangent is None:
            return [None]
        own = {axis for axis, size in zip(self.axes, x.type.shape, strict=True) if size == self.shape[axis]}
        summed = e.reduce_sum(b, cotangent, tuple(axis for axis in range(len(self.shape)) if axis not in own))
        return [e.reshape(b, summed, x.type.shape)]
