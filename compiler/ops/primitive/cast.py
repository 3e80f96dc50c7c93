"""Elements of another type."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect_operands
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Cast(Operator):
    """The nearest element of another type.

    Floats become integers by rounding toward zero, and saturate; NaN becomes 0. Integers wrap. Truth is what
    is not 0.

    Members:
        dtype: of the result.
    """

    name: ClassVar[str] = "cast"
    dtype: DType

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        return (types[0].with_dtype(self.dtype),)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        return (0,) if types[0].dtype is self.dtype else None

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        if x.dtype.kind == "f" and self.dtype.is_integer:
            return (saturated(x, self.dtype),)
        with np.errstate(all="ignore"):
            return (x.astype(self.dtype.numpy),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        x, _ = kept
        (cotangent,) = cotangents
        if cotangent is None or not x.type.dtype.is_float:
            return [None]
        return [b.emit(Cast(x.type.dtype), cotangent)]


def saturated(x: Array, dtype: DType) -> Array:
    """Floats as integers: toward zero, the nearest one that there is, 0 for NaN."""
    limits = np.iinfo(dtype.value)
    wide = np.trunc(x.astype(np.float64))
    # The largest of 64 bits is no float64: what reaches it is set apart.
    is_low, is_high = wide <= float(limits.min), wide >= float(limits.max)
    inside = np.where(np.isnan(wide) | is_low | is_high, 0.0, wide).astype(dtype.numpy)
    return np.asarray(
        np.where(
            is_low, dtype.numpy.type(limits.min), np.where(is_high, dtype.numpy.type(limits.max), inside)
        )
    )
