"""Channels of integers in another order."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect, expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import (
    QuantisedOperator,
    expect_dtype,
    expect_range,
    sample_of,
)

NOWHERE = -1
"""In place of a channel: the result has a constant there."""


@dataclass(frozen=True)
class QGather(QuantisedOperator):
    """y[:, k] = x[:, channels[k]]: parts of the channels, permutations, borders.

    x int8 (batch, C, H, W) → int8 (batch, len(channels), H, W).

    Members:
        channels: of x, for each of the result; −1: `fill` instead.
        fill: an int8.
    """

    name: ClassVar[str] = "qgather"
    channels: tuple[int, ...]
    fill: int = 0

    def __post_init__(self) -> None:
        expect(isinstance(self.channels, tuple) and bool(self.channels), "channels must be one or more")
        expect_range("fill", self.fill, -128, 127)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        expect_dtype("x", types[0], DType.INT8)
        count, *size = sample_of("x", types[0], "NCHW")
        inside = min(self.channels) >= NOWHERE and max(self.channels) < count
        expect(inside, f"channels must be from {NOWHERE} to {count - 1}, not {list(self.channels)}")
        return (types[0].with_shape((types[0].shape[0], len(self.channels), *size)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        places = np.array(self.channels)
        y = arrays[0][:, places]
        y[:, places == NOWHERE] = self.fill
        return (y,)

    @property
    def start(self) -> int | None:
        """The first channel, if they are neighbours in the order of x."""
        first = self.channels[0]
        is_run = first != NOWHERE and self.channels == tuple(range(first, first + len(self.channels)))
        return first if is_run else None
