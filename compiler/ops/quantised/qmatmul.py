"""The product of two activations of integers as matrices, group by group."""

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
from tilewright.compiler.ops.quantised.requantised import expect_clamp, expect_int32, finish
from tilewright.numerics.requantise import requantise

MOST_TERMS = (2**31 - 1) // 128**2
"""Products of two int8 whose sum surely fits int32."""
FINE_TERMS = 2**15 * 128 // 128**2
"""Of these, what a fine part with the largest factor may add."""


@dataclass(frozen=True)
class QMatmul(QuantisedOperator):
    """t[o, g, p] = Σ over i of x[i, g, p] · w[o, g, i]; y = clamp(requantise(t, scale) + zero_point, lo, hi).

    x int8 (batch, I, G, P); w int8 (batch, O, G, J), of which J − I columns behind I are not used; the result
    is (batch, O, G, P). Zero points of x and w are 0: a row of each is a group, such as a head.

    Members:
        scale: a packed word of `numerics.requantise`.
        zero_point, lo, hi: of the result.
    """

    name: ClassVar[str] = "qmatmul"
    scale: int
    zero_point: int
    lo: int
    hi: int

    def __post_init__(self) -> None:
        expect_int32("scale", self.scale)
        expect_range("zero_point", self.zero_point, -128, 127)
        expect_clamp(self.lo, self.hi)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "w")
        for what, tensor in zip(("x", "w"), types, strict=True):
            expect_dtype(what, tensor, DType.INT8)
        inputs, groups, pixels = sample_of("x", types[0], "NIGP")
        outputs, own, columns = sample_of("w", types[1], "NOGI")
        expect(own == groups and columns >= inputs, f"w must be (N, O, {groups}, {inputs}), not {types[1]}")
        expect(inputs <= MOST_TERMS, f"sums must have at most {MOST_TERMS} products, not {inputs}")
        return (types[0].with_shape((types[0].shape[0], outputs, groups, pixels)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, w = (array.transpose(0, 2, 1, 3).astype(np.float64) for array in arrays)
        t = (w[..., : x.shape[2]] @ x).transpose(0, 2, 1, 3)
        return (self._finished(t),)

    def _finished(self, t: Array) -> Array:
        """The result of exact sums."""
        words = np.array(0), np.array(self.scale, np.int32)
        return finish(t, *words, self.zero_point, self.lo, self.hi)

    def macs(self, *types: TensorType) -> int:
        inputs, groups, pixels = sample_of("x", types[0], "NIGP")
        return inputs * groups * pixels * sample_of("w", types[1], "NOGI")[0]


@dataclass(frozen=True)
class QMatmulParted(QMatmul):
    """The same of x (batch, I, G, 2P), pixels in two parts: the sums of 2p, and fine ones of 2p + 1.

    fine = clamp(requantise(t[2p + 1], fine_scale), −128, 127), and t[2p] + fine · factor is requantised.

    Members:
        fine_scale: a packed word of `numerics.requantise`.
        factor: int16, above 0.
    """

    name: ClassVar[str] = "qmatmul_parted"
    fine_scale: int = 0
    factor: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_int32("fine_scale", self.fine_scale)
        expect_range("factor", self.factor, 1, 2**15 - 1)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        (found,) = super().infer(*types)
        batch, outputs, groups, pixels = found.shape
        expect(isinstance(pixels, int) and pixels % 2 == 0, f"x must have pixels in pairs, not {types[0]}")
        inputs = types[0].shape[1]
        most = MOST_TERMS - FINE_TERMS
        expect(
            isinstance(inputs, int) and inputs <= most,
            f"sums must have at most {most} products, not {inputs}",
        )
        return (found.with_shape((batch, outputs, groups, pixels // 2)),)

    def macs(self, *types: TensorType) -> int:
        """Those of a product in one part."""
        return super().macs(*types) // 2

    def _finished(self, t: Array) -> Array:
        fine = requantise(t[..., 1::2], np.array(self.fine_scale, np.int32))
        return super()._finished(t[..., ::2] + np.clip(fine, -128, 127) * float(self.factor))


@dataclass(frozen=True)
class QMatmulTransposed(QMatmul):
    """The same of w as a transposition block by block leaves it: (batch, lanes · lanes, groups · blocks, 1).

    Its first axis is [lane of i][lane of o], its second one [group][block of i][block of o].

    Members:
        outputs: of w.
        lanes: of a block.
    """

    name: ClassVar[str] = "qmatmul_transposed"
    outputs: int = 1
    lanes: int = 1

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "w")
        inputs, groups, _ = sample_of("x", types[0], "NIGP")
        of_inputs, of_outputs = self._blocks(inputs)
        wanted = self.lanes**2, groups * of_inputs * of_outputs, 1
        own = sample_of("w", types[1], "NCHW")
        expect(own == wanted, f"w must have {wanted} behind the batch, not {types[1]}")
        w = types[1].with_shape((types[1].shape[0], self.outputs, groups, of_inputs * self.lanes))
        return super().infer(types[0], w)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, w = arrays
        of_inputs, of_outputs = self._blocks(x.shape[1])
        split = w.reshape(len(w), self.lanes, self.lanes, x.shape[2], of_inputs, of_outputs)
        whole = split.transpose(0, 5, 2, 3, 4, 1)
        columns = whole.reshape(len(w), of_outputs * self.lanes, x.shape[2], of_inputs * self.lanes)
        return super().run(x, columns[:, : self.outputs])

    def macs(self, *types: TensorType) -> int:
        inputs, groups, pixels = sample_of("x", types[0], "NIGP")
        return inputs * groups * pixels * self.outputs

    def _blocks(self, inputs: int) -> tuple[int, int]:
        """Of inputs, and of outputs."""
        return -(-inputs // self.lanes), -(-self.outputs // self.lanes)
