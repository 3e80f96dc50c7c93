"""Heads as channels, block by block, and heads as rows: two ways to see the same memory of the accelerator.

Channels lie in blocks of so many lanes. Where each head fills blocks of its own, and blocks of the same
place in their head follow each other, feature maps of (heads · size, tokens, 1) are such of
(size, heads, tokens).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect, expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import QuantisedOperator, expect_dtype, sample_of


@dataclass(frozen=True)
class SplitHeads(QuantisedOperator):
    """x int8 (batch, blocks · heads · lanes, tokens, 1) as (batch, size, heads, tokens).

    Lanes beyond the size are left out.

    Members:
        heads, size: of the result.
        lanes: of a block.
    """

    name: ClassVar[str] = "split_heads"
    heads: int
    size: int
    lanes: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        expect_dtype("x", x, DType.INT8)
        channels, tokens, width = sample_of("x", x, "NCHW")
        filled = -(-self.size // self.lanes) * self.heads * self.lanes
        expect((channels, width) == (filled, 1), f"x must have {filled} channels in one column, not {x}")
        return (x.with_shape((x.shape[0], self.size, self.heads, tokens)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        split = x.reshape(len(x), -1, self.heads, self.lanes, x.shape[2]).transpose(0, 1, 3, 2, 4)
        whole = split.reshape(len(x), -1, self.heads, x.shape[2])
        return (np.ascontiguousarray(whole[:, : self.size]),)


@dataclass(frozen=True)
class JoinHeads(QuantisedOperator):
    """x int8 (batch, size, heads, tokens) as (batch, blocks · heads · lanes, tokens, 1).

    Lanes beyond the size are 0 here; on the accelerator they may hold anything, and who reads it multiplies
    them by 0.

    Members:
        lanes: of a block.
    """

    name: ClassVar[str] = "join_heads"
    lanes: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        expect_dtype("x", x, DType.INT8)
        size, heads, tokens = sample_of("x", x, "NCHW")
        return (x.with_shape((x.shape[0], -(-size // self.lanes) * heads * self.lanes, tokens, 1)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        batch, size, heads, tokens = x.shape
        padded = np.pad(x, ((0, 0), (0, -size % self.lanes), (0, 0), (0, 0)))
        split = padded.reshape(batch, -1, self.lanes, heads, tokens).transpose(0, 1, 3, 2, 4)
        return (np.ascontiguousarray(split.reshape(batch, -1, tokens, 1)),)


@dataclass(frozen=True)
class StackBlocks(QuantisedOperator):
    """x int8 (batch, blocks · lanes, tokens, 1) as (batch, lanes, blocks · tokens, 1): block below block.

    Members:
        lanes: of a block.
    """

    name: ClassVar[str] = "stack_blocks"
    lanes: int

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        (x,) = types
        expect_dtype("x", x, DType.INT8)
        channels, tokens, width = sample_of("x", x, "NCHW")
        expect(channels % self.lanes == 0 and width == 1, f"x must have whole blocks in one column, not {x}")
        return (x.with_shape((x.shape[0], self.lanes, channels // self.lanes * tokens, 1)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        split = x.reshape(len(x), -1, self.lanes, x.shape[2]).transpose(0, 2, 1, 3)
        return (np.ascontiguousarray(split.reshape(len(x), self.lanes, -1, 1)),)


HEADS = (SplitHeads, JoinHeads, StackBlocks)
"""All of them: values that lie in the memory of others."""
