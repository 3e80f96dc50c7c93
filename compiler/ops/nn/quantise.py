"""Floats as integers with a scale and a zero point, and back."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ops import emit as e


@dataclass(frozen=True)
class QuantiseAffine(Composite):
    """x / scale, rounded half to even, plus the zero point, saturated to its element type.

    x and scale are float32; scale and zero point broadcast over x.
    """

    name: ClassVar[str] = "quantise_affine"

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        x, scale, zero = operands
        dtype = zero.type.dtype
        expect(dtype.is_integer, f"the zero point must be an integer, not {dtype}")
        limits = np.iinfo(dtype.value)
        # float64 holds every int32, so that the bounds are exact.
        wide = DType.FLOAT64 if dtype.size_bytes > 2 else DType.FLOAT32
        steps = e.cast(b, e.round(b, e.div(b, x, scale)), wide)
        places = e.add(b, steps, e.cast(b, zero, wide))
        bounded = e.maximum(b, e.minimum(b, places, float(limits.max)), float(limits.min))
        return (e.cast(b, bounded, dtype),)


@dataclass(frozen=True)
class DequantiseAffine(Composite):
    """(x − zero point) · scale in float32; scale and zero point broadcast over x."""

    name: ClassVar[str] = "dequantise_affine"

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        x, scale, zero = operands
        wide = DType.INT64 if x.type.dtype.size_bytes > 2 else DType.INT32
        centred = e.sub(b, e.cast(b, x, wide), e.cast(b, zero, wide))
        return (e.mul(b, e.cast(b, centred, DType.FLOAT32), scale),)


def quantise(b: Builder, x: Value, scale: Value, zero: Value) -> Value:
    """Floats as integers of the zero point's element type."""
    return b.emit(QuantiseAffine(), x, scale, zero)


def dequantise(b: Builder, x: Value, scale: Value, zero: Value) -> Value:
    """Integers as floats."""
    return b.emit(DequantiseAffine(), x, scale, zero)
