"""Convolutions and products of int32 whose operands are widened int8 or uint8: those of micro-kernels.

Models say x − zero point, converted to int32, times constant weights. The border of x is the zero point then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.map import Map

BYTES = (DType.INT8, DType.UINT8)


@dataclass(frozen=True)
class NarrowConv(Conv):
    """The convolution of int32(x) − zero with int32(w): x of int8 or uint8, w of int8.

    Members:
        zero: a number that x could be.
    """

    name: ClassVar[str] = "narrow_conv"
    zero: int = 0

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        return super().infer(*(each.with_dtype(DType.INT32) for each in types))

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, w = (array.astype(np.int32) for array in arrays)
        return super().run(x - np.int32(self.zero), w)


@dataclass(frozen=True)
class NarrowDot(Dot):
    """The product of int32(a) − zero with int32(b): a of int8 or uint8, b of int8.

    Members:
        zero: a number that a could be.
    """

    name: ClassVar[str] = "narrow_dot"
    zero: int = 0

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        return super().infer(*(each.with_dtype(DType.INT32) for each in types))

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        a, b = (array.astype(np.int32) for array in arrays)
        return super().run(a - np.int32(self.zero), b)


def zero_of(operator: Operator) -> int | None:
    """The zero point of the first operand; None for operators of other elements."""
    return operator.zero if isinstance(operator, NarrowConv | NarrowDot) else None


Producer = Callable[[Value], tuple[Operator, tuple[Value, ...]] | None]
Number = Callable[[Value], "int | float | None"]


def narrow_source(value: Value, producer: Producer, number: Number) -> tuple[Value, int] | None:
    """The int8 or uint8 that an int32 was made of, and its zero point; None if it was made in another way.

    Args:
        value: of int32.
        producer: of a value, the operator and its operands.
        number: of a value, the one that all its elements are.
    """
    made = producer(value)
    zero: int | float | None = 0
    if made is not None and isinstance(made[0], Map) and made[0].function == "sub":
        value, zero = made[1][0], number(made[1][1])
        made = producer(value)
    if made is None or zero is None or not isinstance(made[0], Cast):
        return None
    (source,) = made[1]
    if value.type.dtype is not DType.INT32 or source.type.dtype not in BYTES:
        return None
    limits = np.iinfo(source.type.dtype.value)
    return (source, int(zero)) if limits.min <= zero <= limits.max else None


def narrow_weight(weight: Array) -> Array | None:
    """Weights of int32 as int8, if they are in its range."""
    if weight.size and not (weight.min() >= -128 and weight.max() <= 127):
        return None
    return weight.astype(np.int8)
