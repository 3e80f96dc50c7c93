"""Sums and extremes over windows that slide."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.primitive.place import padded, spread, window_sizes, windows
from tilewright.compiler.ops.primitive.reduce import identity

FUNCTIONS = ("sum", "max", "min")
"""What a window's elements can be reduced by."""


@dataclass(frozen=True)
class ReduceWindow(Operator):
    """Sum, maximum or minimum over windows along the trailing axes; padding changes no result.

    Members:
        function: sum, max or min.
        kernel: size of the window, of each spatial axis.
        strides: distance of windows.
        pads: before all axes, then behind all axes.
        dilations: distance of a window's elements.
    """

    name: ClassVar[str] = "window"
    function: str
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        expect(self.function in FUNCTIONS, f"must be one of {', '.join(FUNCTIONS)}, not {self.function!r}")
        expect(x.dtype is not DType.BOOL, "x must be of numbers, not bool")
        lead = x.rank - len(self.kernel)
        expect(lead >= 0, f"kernel must have at most the {x.rank} axes of {x}, not {self.kernel}")
        places = window_sizes(x.shape[lead:], self.kernel, self.strides, self.pads, self.dilations)
        return (x.with_shape((*x.shape[:lead], *places)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        wide = padded(x, self.pads, identity(self.function, DType.of(x.dtype)))
        view = windows(wide, self.kernel, self.strides, self.dilations)
        function = {"sum": np.add, "max": np.maximum, "min": np.minimum}[self.function]
        result: Array | None = None
        with np.errstate(all="ignore"):
            # In one order of the window's elements, sums in float64: the same bits everywhere.
            for place in product(*map(range, self.kernel)):
                part = view[(slice(None),) * x.ndim + place]
                part = part.astype(np.float64) if self.function == "sum" and x.dtype.kind == "f" else part
                result = part if result is None else function(result, part)
            assert result is not None
            return (result.astype(x.dtype),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        from tilewright.compiler.ops import emit as e

        x, result = kept
        (cotangent,) = cotangents
        if cotangent is None:
            return [None]
        if self.function != "sum":
            return [self._extreme(b, x, result, cotangent)]
        spatial = x.type.shape[x.type.rank - len(self.kernel) :]
        wide = spread(b, cotangent, spatial, self.kernel, self.strides, self.pads, self.dilations)
        return [e.window(b, wide, "sum", self.kernel, dilations=self.dilations)]

    def _extreme(self, b: Builder, x: Value, result: Value, cotangent: Value) -> Value:
        """Each place of the window apart: where it is the extreme it gets its share of the cotangent."""
        from tilewright.compiler.ops import emit as e

        rank, dtype = len(self.kernel), x.type.dtype
        lead = (0,) * (x.type.rank - rank)
        low, high = (*lead, *self.pads[:rank]), (*lead, *self.pads[rank:])
        wide = e.pad(b, x, low, high, identity(self.function, dtype).item())
        places = [
            (*lead, *(k * d for k, d in zip(place, self.dilations, strict=True)))
            for place in product(*map(range, self.kernel))
        ]
        steps = (*(1 for _ in lead), *self.strides)
        ends = [(count - 1) * step + 1 for count, step in zip(result.type.shape, steps, strict=True)]
        masks = []
        for start in places:
            part = e.slice(b, wide, start, [s + n for s, n in zip(start, ends, strict=True)], steps)
            masks.append(e.cast(b, e.equal(b, part, result), dtype))
        count = masks[0]
        for mask in masks[1:]:
            count = e.add(b, count, mask)
        share = e.div(b, cotangent, count)
        total: Value | None = None
        for start, mask in zip(places, masks, strict=True):
            part = e.mul(b, share, mask)
            for axis, step in enumerate(steps):
                part = e.dilate(b, part, axis, step)
            behind = [w - s - n for w, s, n in zip(wide.type.shape, start, part.type.shape, strict=True)]
            part = e.pad(b, part, start, behind)
            total = part if total is None else e.add(b, total, part)
        assert total is not None
        return e.slice(b, total, low, [s + n for s, n in zip(low, x.type.shape, strict=True)])
