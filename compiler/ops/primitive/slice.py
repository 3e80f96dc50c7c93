"""Every so many elements between two."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_operands
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Slice(Operator):
    """Along each axis the elements from a start, before a stop, in steps.

    Members:
        starts: from 0; numbers or sizes, of each axis.
        stops: at most the size; with a negative step, at least -1.
        steps: numbers other than 0.
    """

    name: ClassVar[str] = "slice"
    starts: tuple[AnySize, ...]
    stops: tuple[AnySize, ...]
    steps: tuple[int, ...]

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        for what, given in (("starts", self.starts), ("stops", self.stops), ("steps", self.steps)):
            expect(len(given) == x.rank, f"{what} must be {x.rank}, one for each axis of {x}, not {given}")
        expect(all(self.steps), f"steps must not be 0: {self.steps}")
        shape = []
        for bounds in zip(self.starts, self.stops, self.steps, x.shape, strict=True):
            expect(
                not is_outside(*bounds),
                f"{bounds[0]}:{bounds[1]}:{bounds[2]} must lie in an axis of {bounds[3]}",
            )
            shape.append(length(*bounds[:3]))
        return (x.with_shape(shape),)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        is_whole = not any(self.starts) and self.stops == types[0].shape and set(self.steps) <= {1}
        return (0,) if is_whole else None

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        places = []
        for start, stop, step, size in zip(self.starts, self.stops, self.steps, x.shape, strict=True):
            if is_outside(start, stop, step, size):
                raise EvaluationError(f"{start}:{stop}:{step} must lie in an axis of {size}")
            assert isinstance(start, int)
            assert isinstance(stop, int)
            # To numpy, -1 is the last element; here it is the place before the first one.
            places.append(slice(start, stop if stop >= 0 else None, step) if start >= 0 else slice(0))
        return (x[tuple(places)],)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        from tilewright.compiler.ops import emit as e

        x, result = kept
        (spread,) = cotangents
        if spread is None or 0 in result.type.shape:
            return [None]
        low: list[AnySize] = []
        for axis, (start, step, count) in enumerate(
            zip(self.starts, self.steps, result.type.shape, strict=True)
        ):
            first = start if step > 0 else start + (count - 1) * step
            if step < 0:
                spread = e.slice_axis(b, spread, axis, count - 1, -1, -1)
            spread = e.dilate(b, spread, axis, abs(step))
            low.append(first)
        sizes = zip(x.type.shape, low, spread.type.shape, strict=True)
        return [e.pad(b, spread, low, [size - before - inside for size, before, inside in sizes])]


def length(start: AnySize, stop: AnySize, step: int) -> AnySize:
    """How many elements there are from start, before stop."""
    distance = stop - start if step > 0 else start - stop
    return (distance + (abs(step) - 1)) // abs(step)


def is_outside(start: AnySize, stop: AnySize, step: int, size: AnySize) -> bool:
    """Whether it is certain that these are no bounds in an axis of that size."""
    ordered = (0, start, stop, size) if step > 0 else (-1, stop, start, size - 1 if size != 0 else 0)
    steps = [after - before for before, after in pairwise(ordered)]
    return any(isinstance(each, int) and each < 0 for each in steps)
