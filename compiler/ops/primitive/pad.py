"""A border around a tensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_operands
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Pad(Operator):
    """The operand with a value before and behind it along each axis; operands are x and the value, a scalar.

    Members:
        low, high: how many elements before and behind; numbers or sizes, from 0, of each axis.
    """

    name: ClassVar[str] = "pad"
    low: tuple[AnySize, ...]
    high: tuple[AnySize, ...]

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "value")
        x, value = types
        expect(value == TensorType(x.dtype, ()), f"the value must be a scalar of {x.dtype}, not {value}")
        for what, given in (("low", self.low), ("high", self.high)):
            expect(len(given) == x.rank, f"{what} must be {x.rank}, one for each axis of {x}, not {given}")
            is_good = all(not isinstance(each, int) or each >= 0 for each in given)
            expect(is_good, f"{what} must be from 0, not {given}: slice instead")
        return (
            x.with_shape(
                before + s + behind for before, s, behind in zip(self.low, x.shape, self.high, strict=True)
            ),
        )

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        return None if any(self.low) or any(self.high) else (0,)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, value = arrays
        low, high = (
            tuple(int(size) for size in each if isinstance(size, int)) for each in (self.low, self.high)
        )
        if min((*low, *high), default=0) < 0:
            raise EvaluationError(f"a border must be from 0, not {low} and {high}")
        result = np.full(
            [before + s + behind for before, s, behind in zip(low, x.shape, high, strict=True)],
            value,
            x.dtype,
        )
        result[tuple(slice(before, before + s) for before, s in zip(low, x.shape, strict=True))] = x
        return (result,)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        from tilewright.compiler.ops import emit as e

        x, *_ = kept
        (cotangent,) = cotangents
        if cotangent is None:
            return [None, None]
        stops = [low + size for low, size in zip(self.low, x.type.shape, strict=True)]
        inside = e.slice(b, cotangent, self.low, stops)
        axes = tuple(range(x.type.rank))
        return [inside, e.sub(b, e.reduce_sum(b, cotangent, axes), e.reduce_sum(b, inside, axes))]
