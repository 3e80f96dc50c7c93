"""Activations of integers one behind the other."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import (
    QuantisedOperator,
    expect_dtype,
    expect_range,
    expect_sizes,
    sample_of,
)


@dataclass(frozen=True)
class QConcat(QuantisedOperator):
    """Feature maps one behind the other, of one scale and zero point.

    Operands: int8 (batch, C, H, W), which agree in all axes but one.

    Members:
        axis: 1, 2 or 3.
        multiple: channels of all operands but the last are filled up to a multiple of it by zeros.
    """

    name: ClassVar[str] = "qconcat"
    axis: int
    multiple: int = 1

    def __post_init__(self) -> None:
        expect_range("axis", self.axis, 1, 3)
        expect_sizes("multiple", (self.multiple,), 1, 1)
        expect(self.axis == 1 or self.multiple == 1, "only channels can be filled up to a multiple")

    def starts(self, *types: TensorType) -> tuple[int, ...]:
        """Where along the axis each operand begins; and behind these, how long the result is."""
        starts = [0]
        for number, tensor in enumerate(types):
            size = (
                tensor.numbers[self.axis]
                if tensor.is_known
                else sample_of("x", tensor, "NCHW")[self.axis - 1]
            )
            is_last = number == len(types) - 1
            starts.append(starts[-1] + size + (0 if is_last else -size % self.multiple))
        return tuple(starts)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect(len(types) > 0, "must have at least one operand")
        for each in types:
            expect_dtype("each operand", each, DType.INT8)
            sample_of("each operand", each, "NCHW")
        first, *others = types
        for each in others:
            agree = all(
                s == t for k, (s, t) in enumerate(zip(each.shape, first.shape, strict=True)) if k != self.axis
            )
            expect(agree, f"operands must agree except along axis {self.axis}: {first}, {each}")
        shape = list(first.shape)
        shape[self.axis] = self.starts(*types)[-1]
        return (first.with_shape(tuple(shape)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        *filled, last = arrays
        widths = [(0, -array.shape[self.axis] % self.multiple) for array in filled]
        none = (0, 0)
        padded = [
            np.pad(array, [width if axis == self.axis else none for axis in range(4)])
            for array, width in zip(filled, widths, strict=True)
        ]
        return (np.concatenate([*padded, last], self.axis),)
