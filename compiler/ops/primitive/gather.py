"""Elements by their indices along an axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_axis, expect_operands
from tilewright.compiler.ir.type import Shape, TensorType


@dataclass(frozen=True)
class Gather(Operator):
    """Rows of x along an axis, by indices of any shape, as numpy.take; a negative one counts from the end.

    Members:
        axis: of x; the axes of the indices stand in its place.
    """

    name: ClassVar[str] = "gather"
    axis: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "indices")
        x, indices = types
        return (x.with_shape(taken_shape(x, indices, self.axis)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, indices = arrays
        expect_inside(indices, x.shape[self.axis])
        return (np.take(x, indices, self.axis),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        from tilewright.compiler.ops import emit as e

        x, indices, _ = kept
        (cotangent,) = cotangents
        if cotangent is None:
            return [None, None]
        return [e.scatter_add(b, e.zeros_like(b, x), indices, cotangent, self.axis), None]


@dataclass(frozen=True)
class ScatterAdd(Operator):
    """x with updates added to its rows along an axis, by indices, which may repeat; the transpose of gather.

    Members:
        axis: of x.
    """

    name: ClassVar[str] = "scatter_add"
    axis: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "indices", "updates")
        x, indices, updates = types
        expected = x.with_shape(taken_shape(x, indices, self.axis))
        expect(updates == expected, f"updates must be {expected}, not {updates}")
        expect(x.dtype is not DType.BOOL, "x must be of numbers, not bool")
        return (x,)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, indices, updates = arrays
        expect_inside(indices, x.shape[self.axis])
        result = x.copy()
        places = range(self.axis, self.axis + indices.ndim)
        with np.errstate(all="ignore"):
            np.add.at(
                np.moveaxis(result, self.axis, 0), indices, np.moveaxis(updates, places, range(len(places)))
            )
        return (result,)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        (cotangent,) = cotangents
        if cotangent is None:
            return [None, None, None]
        return [cotangent, None, b.emit(Gather(self.axis), cotangent, kept[1])]


def taken_shape(x: TensorType, indices: TensorType, axis: int) -> Shape:
    """The shape of rows of x along an axis, by indices."""
    expect_axis("axis", axis, x.rank)
    expect(indices.dtype is INDEX, f"indices must be {INDEX}, not {indices.dtype}: cast them")
    return (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def expect_inside(indices: Array, size: int) -> None:
    """Checks indices against the size of the axis.

    Raises:
        EvaluationError: if one is outside.
    """
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise EvaluationError(
            f"indices must be from {-size} to {size - 1}, not {indices.min()} to {indices.max()}"
        )
