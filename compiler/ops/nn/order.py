"""The largest elements along an axis, and classes as vectors."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect_axis
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ops import emit as e


@dataclass(frozen=True)
class TopK(Composite):
    """The `count` largest (or smallest) elements along an axis in order, and their places (int64)."""

    name: ClassVar[str] = "top_k"
    count: AnySize
    axis: int
    largest: bool = True

    def define(self, b: Builder, *operands: Value) -> tuple[Value, Value]:
        (x,) = operands
        expect_axis("axis", self.axis, x.type.rank)
        order = e.argsort(b, x, self.axis, descending=self.largest)
        places = e.slice_axis(b, order, self.axis, 0, self.count)
        return e.gather_elements(b, x, places, self.axis), places


def top_k(b: Builder, x: Value, count: AnySize, axis: int, largest: bool = True) -> tuple[Value, ...]:
    """The `count` largest (or smallest) elements along an axis, and their places; of equal ones the first."""
    return b.apply(TopK(count, axis, largest), x)


def one_hot(b: Builder, indices: Value, depth: AnySize, values: Value, axis: int) -> Value:
    """Off and on values ([2]), on where the new axis is at the index; negative ones count from the end."""
    shape = list(indices.type.shape)
    shape.insert(axis, depth)
    places = e.iota(b, DType.INT64, tuple(shape), axis)
    wide = e.broadcast_to(b, e.expand_dims(b, indices, (axis,)), tuple(shape))
    off, on = (e.reshape(b, e.slice_axis(b, values, 0, place, place + 1), ()) for place in (0, 1))
    behind = e.sub(b, places, depth) if isinstance(depth, int) else places
    hit = e.logical_or(b, e.equal(b, places, wide), e.equal(b, behind, wide))
    return e.select(b, hit, on, off)
