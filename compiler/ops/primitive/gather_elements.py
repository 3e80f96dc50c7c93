"""Elements one by one, by their indices along an axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_axis, expect_operands
from tilewright.compiler.ir.type import TensorType

REDUCTIONS = {"none": None, "add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
"""How an update meets the element that is there."""


@dataclass(frozen=True)
class GatherElements(Operator):
    """Of each place of the indices, the element of x there, but for one axis, where the index says.

    Members:
        axis: of x and of the indices, which have as many axes; along the others they are at most as long.
    """

    name: ClassVar[str] = "gather_elements"
    axis: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "indices")
        x, indices = types
        _expect_places(x, indices, self.axis)
        return (x.with_shape(indices.shape),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, indices = arrays
        return (x[_places(x, indices, self.axis)],)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        from tilewright.compiler.ops import emit as e

        x, indices, _ = kept
        (cotangent,) = cotangents
        if cotangent is None:
            return [None, None]
        return [b.emit(ScatterElements(self.axis, "add"), e.zeros_like(b, x), indices, cotangent), None]


@dataclass(frozen=True)
class ScatterElements(Operator):
    """x with updates at the places where `GatherElements` would read.

    Members:
        axis: of x and of the indices.
        reduction: none (the last one stands), add, mul, min or max.
    """

    name: ClassVar[str] = "scatter_elements"
    axis: int
    reduction: str = "none"

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "indices", "updates")
        x, indices, updates = types
        expect(
            self.reduction in REDUCTIONS,
            f"reduction must be one of {', '.join(REDUCTIONS)}, not {self.reduction!r}",
        )
        _expect_places(x, indices, self.axis)
        expected = x.with_shape(indices.shape)
        expect(updates == expected, f"updates must be {expected}, not {updates}")
        return (x,)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, indices, updates = arrays
        places, result, reduce = _places(x, indices, self.axis), x.copy(), REDUCTIONS[self.reduction]
        with np.errstate(all="ignore"):
            if reduce is None:
                result[places] = updates
            else:
                reduce.at(result, places, updates)
        return (result,)

    @property
    def is_differentiable(self) -> bool:
        return self.reduction in ("none", "add")

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        from tilewright.compiler.ops import emit as e

        (cotangent,) = cotangents
        if not self.is_differentiable:
            raise NotImplementedError(f"{self.name} with {self.reduction}")
        if cotangent is None:
            return [None, None, None]
        _, indices, updates, _ = kept
        gathered = b.emit(GatherElements(self.axis), cotangent, indices)
        if self.reduction == "add":
            return [cotangent, None, gathered]
        # Right where no index repeats, as the reduction demands.
        return [b.emit(self, cotangent, indices, e.zeros_like(b, updates)), None, gathered]


def _expect_places(x: TensorType, indices: TensorType, axis: int) -> None:
    expect_axis("axis", axis, x.rank)
    expect(indices.dtype is INDEX, f"indices must be {INDEX}, not {indices.dtype}: cast them")
    expect(indices.rank == x.rank, f"indices must have the {x.rank} axes of {x}, not {indices.rank}")
    for place, (size, count) in enumerate(zip(x.shape, indices.shape, strict=True)):
        rest = size - count
        is_good = place == axis or not isinstance(rest, int) or rest >= 0
        expect(is_good, f"indices must be at most as long as {x} except along axis {axis}, not {indices}")


def _places(x: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    size = x.shape[axis]
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise EvaluationError(
            f"indices must be from {-size} to {size - 1}, not {indices.min()} to {indices.max()}"
        )
    if any(
        place != axis and count > own
        for place, (own, count) in enumerate(zip(x.shape, indices.shape, strict=True))
    ):
        raise EvaluationError(
            f"indices of shape {indices.shape} must be at most as long as {x.shape} beside axis {axis}"
        )
    grid: list[Array] = list(np.indices(indices.shape, sparse=True))
    grid[axis] = indices
    return tuple(grid)
