"""Sums, products and extremes over axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_axis, expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.numerics import exact_sum

FUNCTIONS = ("sum", "prod", "max", "min")
"""What elements can be reduced by."""


@dataclass(frozen=True)
class Reduce(Operator):
    """All elements along axes reduced to one; the axes are dropped.

    Sums of floats have the same bits in any order (`numerics.exact_sum`), integers wrap. Without elements the
    result is 0, 1, or the least or largest value.

    Members:
        function: sum, prod, max or min.
        axes: ascending.
    """

    name: ClassVar[str] = "reduce"
    function: str
    axes: tuple[int, ...]

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        expect(self.function in FUNCTIONS, f"must be one of {', '.join(FUNCTIONS)}, not {self.function!r}")
        is_number = x.dtype is not DType.BOOL or self.function in ("max", "min")
        expect(is_number, f"x must be of numbers for {self.function}, not bool")
        expect(list(self.axes) == sorted(set(self.axes)), f"axes must ascend, not {self.axes}")
        for axis in self.axes:
            expect_axis("axes", axis, x.rank)
        return (x.with_shape(size for axis, size in enumerate(x.shape) if axis not in self.axes),)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        return None if self.axes else (0,)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        if self.function == "sum":
            return (exact_sum.total(x, self.axes),)
        function = {"prod": np.multiply, "max": np.maximum, "min": np.minimum}[self.function]
        with np.errstate(all="ignore"):
            start = identity(self.function, DType.of(x.dtype))
            return (np.asarray(function.reduce(x, self.axes, dtype=x.dtype, initial=start), x.dtype),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        x, result = kept
        (cotangent,) = cotangents
        if cotangent is None:
            return [None]
        spread = self._spread(b, cotangent, x)
        if self.function == "sum":
            return [spread]
        if self.function == "prod":
            return [self._product(b, x, spread)]
        return [self._extreme(b, x, self._spread(b, result, x), spread)]

    def _spread(self, b: Builder, value: Value, x: Value) -> Value:
        from tilewright.compiler.ops import emit as e

        return e.repeat(b, value, x.type.shape, tuple(a for a in range(x.type.rank) if a not in self.axes))

    def _extreme(self, b: Builder, x: Value, extreme: Value, spread: Value) -> Value:
        """Equal extremes share the cotangent."""
        from tilewright.compiler.ops import emit as e

        mask = e.cast(b, e.equal(b, x, extreme), x.type.dtype)
        count = self._spread(b, e.reduce_sum(b, mask, self.axes), x)
        return e.div(b, e.mul(b, spread, mask), count)

    def _product(self, b: Builder, x: Value, spread: Value) -> Value:
        """The product of the others, without a division by 0."""
        from tilewright.compiler.ops import emit as e

        is_zero = e.equal(b, x, 0)
        safe = e.select(b, is_zero, 1, x)
        zeros = self._spread(b, e.reduce_sum(b, e.cast(b, is_zero, x.type.dtype), self.axes), x)
        others = e.div(b, self._spread(b, e.reduce_prod(b, safe, self.axes), x), safe)
        is_alive = e.equal(b, zeros, e.cast(b, is_zero, x.type.dtype))
        return e.select(b, is_alive, e.mul(b, spread, others), 0)


def identity(function: str, dtype: DType) -> np.generic:
    """What changes no element: 0, 1, the least or the largest value."""
    if function in ("sum", "prod"):
        return dtype.numpy.type(function == "prod")
    is_least = function == "max"
    if dtype is DType.BOOL:
        return np.bool_(not is_least)
    if dtype.is_float:
        return dtype.numpy.type(-np.inf if is_least else np.inf)
    limits = np.iinfo(dtype.value)
    return dtype.numpy.type(limits.min if is_least else limits.max)
