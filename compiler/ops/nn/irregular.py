"""Operators whose work depends on the data: procedures, not equations of others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_axis, expect_operands
from tilewright.compiler.ir.size import Size, SizeName, product
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class NonMaxSuppression(Operator):
    """Of overlapping boxes the one with the best score, for each image and class: int64 (length, 3).

    Operands: boxes (images, boxes, 4), scores (images, classes, boxes), float32; how many boxes a class may
    keep (int64), the overlap (intersection over union) above which a box goes, and the score that a box must
    exceed (float32), scalars. Rows of the result: image, class, box; of equal scores the first box stands.

    Members:
        length: the name of the number of boxes that stay.
        is_centred: boxes are (x centre, y centre, width, height), not two opposite corners.
    """

    name: ClassVar[str] = "non_max_suppression"
    length: SizeName
    is_centred: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", SizeName(self.length))

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "boxes", "scores", "most", "overlap", "least")
        boxes, scores, *scalars = types
        expect(boxes.rank == 3 and boxes.shape[2] == 4, f"boxes must be (images, boxes, 4), not {boxes}")
        expect(scores.rank == 3, f"scores must be (images, classes, boxes), not {scores}")
        expected = [TensorType(dtype, ()) for dtype in (INDEX, DType.FLOAT32, DType.FLOAT32)]
        expect(scalars == expected, f"the numbers must be {', '.join(map(str, expected))}")
        return (TensorType(INDEX, (Size.of(self.length), 3)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        boxes, scores, most, overlap, least = arrays
        found = [
            (image, each, box)
            for image in range(scores.shape[0])
            for each in range(scores.shape[1])
            for box in _kept(
                _corners(boxes[image], self.is_centred), scores[image, each], int(most), overlap, least
            )
        ]
        return (np.array(found, np.int64).reshape(-1, 3),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        return [None] * 5


def _corners(boxes: Array, is_centred: bool) -> Array:
    """Boxes as least and greatest coordinates: (4, boxes)."""
    a, b, c, d = boxes.T
    if is_centred:
        return np.stack([a - c / 2, b - d / 2, a + c / 2, b + d / 2])
    return np.stack([np.minimum(a, c), np.minimum(b, d), np.maximum(a, c), np.maximum(b, d)])


def _kept(corners: Array, scores: Array, most: int, overlap: Array, least: Array) -> list[int]:
    """Boxes that stay, the best first."""
    kept: list[int] = []
    low, high = corners[:2], corners[2:]
    areas = np.prod(high - low, axis=0)
    order = [int(box) for box in np.argsort(-scores, kind="stable") if scores[box] > least]
    while order and len(kept) < most:
        best, *rest = order
        kept.append(best)
        sides = np.maximum(
            np.minimum(high[:, rest], high[:, [best]]) - np.maximum(low[:, rest], low[:, [best]]), 0
        )
        shared = np.prod(sides, axis=0)
        with np.errstate(all="ignore"):
            ratio = np.where(shared > 0, shared / (areas[rest] + areas[best] - shared), 0)
        order = [box for box, each in zip(rest, ratio, strict=True) if not each > overlap]
    return kept


@dataclass(frozen=True)
class Unique(Operator):
    """Elements, or slices along an axis, that differ: these, and int64 places and counts.

    Results: what differs; the place where each stands first; of each element which of these it is; how often
    each stands there.

    Members:
        length: the name of the number of those that differ.
        axis: of the slices; None for single elements.
        is_sorted: ascending; else in the order in which they appear.
    """

    name: ClassVar[str] = "unique"
    length: SizeName
    axis: int | None = None
    is_sorted: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", SizeName(self.length))

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        length = Size.of(self.length)
        line = TensorType(INDEX, (length,))
        if self.axis is None:
            return x.with_shape((length,)), line, TensorType(INDEX, (product(x.shape),)), line
        expect_axis("axis", self.axis, x.rank)
        shape = (*x.shape[: self.axis], length, *x.shape[self.axis + 1 :])
        return x.with_shape(shape), line, TensorType(INDEX, (x.shape[self.axis],)), line

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        _, first, inverse, counts = np.unique(
            x, return_index=True, return_inverse=True, return_counts=True, axis=self.axis
        )
        inverse = inverse.reshape(-1)
        if not self.is_sorted:
            order = np.argsort(first, kind="stable")
            first, counts = first[order], counts[order]
            inverse = np.argsort(order, kind="stable")[inverse]
        taken = x.reshape(-1)[first] if self.axis is None else np.take(x, first, self.axis)
        return (taken, *(each.astype(np.int64) for each in (first, inverse, counts)))

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        from tilewright.compiler.ops import emit as e

        x, _, first, *_ = kept
        cotangent = cotangents[0]
        if cotangent is None:
            return [None]
        if self.axis is not None:
            return [e.scatter_add(b, e.zeros_like(b, x), first, cotangent, self.axis)]
        flat = e.full(b, 0, x.type.dtype, (product(x.type.shape),))
        return [e.reshape(b, e.scatter_add(b, flat, first, cotangent, 0), x.type.shape)]


@dataclass(frozen=True)
class BitCast(Operator):
    """The bits of each element as an element of another type, as wide.

    Members:
        dtype: of the result.
    """

    name: ClassVar[str] = "bit_cast"
    dtype: DType

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        expect(
            x.dtype.size_bytes == self.dtype.size_bytes,
            f"the type must be as wide as {x.dtype}, not {self.dtype}",
        )
        expect(self.dtype is not DType.BOOL, "bits must not become truth values: compare with 0")
        return (x.with_dtype(self.dtype),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return (np.ascontiguousarray(arrays[0]).view(self.dtype.numpy).reshape(arrays[0].shape),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        return [None]


def non_max_suppression(
    b: Builder, boxes: Value, scores: Value, most: Value, overlap: Value, least: Value, is_centred: bool
) -> Value:
    """Boxes that stay; operands as for `NonMaxSuppression`."""
    operator = NonMaxSuppression(b.size_name("kept"), is_centred)
    return b.emit(operator, boxes, scores, most, overlap, least)


def unique(b: Builder, x: Value, axis: int | None, is_sorted: bool) -> tuple[Value, ...]:
    """What differs, first places, which one each is, counts."""
    return b.apply(Unique(b.size_name("different"), axis, is_sorted), x)
