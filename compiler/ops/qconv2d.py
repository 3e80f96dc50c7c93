"""Convolution of integers, with all that one unit of the accelerator does behind it."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.convolution import Convolution
from tilewright.compiler.ops.max_pool2d import maximum, pooled
from tilewright.compiler.ops.operator import (
    Array,
    Operator,
    expect_dtype,
    expect_inputs,
    expect_range,
    expect_shape,
)
from tilewright.compiler.ops.requantised import expect_clamp, finish
from tilewright.compiler.ops.window import Pads, Pair, Window

_OPERANDS = ("x", "weight", "bias", "scale")
_RESIDUAL_OPERANDS = (*_OPERANDS, "residual", "factor")


@dataclass(frozen=True)
class QConv2d(Operator):
    """t = Σ x·w [+ residual·factor] [its maximum in windows]; y = clamp(requantise(t + bias) + zero_point).

    Inputs: x int8 (N, I, H, W); weight int8 (O, I/groups, KH, KW); bias int32 (O,), which holds
    −input_zero_point · Σ w (and −residual's zero point · factor) already; scale int32 (O,), packed words of
    `numerics.requantise`; with a residual: residual int8 (N, O, OH, OW) and factor int16 (O,).

    Members:
        strides, pads, dilations, groups: as in `Convolution`; x is padded with `input_zero_point`.
        input_zero_point: of x.
        zero_point, lo, hi: of the result.
        residual: whether another activation is added.
        pool: windows whose maximum is taken, before the bias; its padding never wins.
    """

    name: ClassVar[str] = "qconv2d"
    strides: Pair
    pads: Pads
    dilations: Pair
    groups: int
    input_zero_point: int
    zero_point: int
    lo: int
    hi: int
    residual: bool = False
    pool: Window | None = None

    def __post_init__(self) -> None:
        self.geometry()
        expect_range("input_zero_point", self.input_zero_point, -128, 127)
        expect_range("zero_point", self.zero_point, -128, 127)
        expect_clamp(self.lo, self.hi)

    def geometry(self) -> Convolution:
        """The convolution alone."""
        return Convolution(self.strides, self.pads, self.dilations, self.groups)

    def infer(self, *types: TensorType) -> TensorType:
        expect_inputs(types, *(_RESIDUAL_OPERANDS if self.residual else _OPERANDS))
        shape = self.geometry().infer(types[0], types[1], DType.INT8)
        for what, tensor in zip(("bias", "scale"), types[2:4], strict=True):
            expect_dtype(what, tensor, DType.INT32)
            expect_shape(what, tensor, shape[1:2])
        if self.residual:
            _check_residual(types[4], types[5], shape)
        sums = TensorType(shape, DType.INT8)
        return pooled(sums, self.pool) if self.pool else sums

    def run(self, *arrays: Array) -> Array:
        x, weight, bias, scale = arrays[:4]
        t = self.geometry().run_integer(x, weight, self.input_zero_point)
        if self.residual:
            t = t + arrays[4] * arrays[5].astype(np.float64)[:, None, None]
        if self.pool:
            t = maximum(t, self.pool, -np.inf)
        return finish(t, bias[:, None, None], scale[:, None, None], self.zero_point, self.lo, self.hi)

    def macs(self, *types: TensorType) -> int:
        """Those of sums that count: what no window of the pooling sees need not be computed."""
        samples, outputs, height, width = self.geometry().infer(types[0], types[1], DType.INT8)
        if self.pool:
            height, width = self.pool.seen(height, width)
        return samples * outputs * height * width * math.prod(types[1].shape[1:])


def _check_residual(residual: TensorType, factor: TensorType, shape: tuple[int, ...]) -> None:
    expect_dtype("residual", residual, DType.INT8)
    expect_shape("residual", residual, shape)
    expect_dtype("factor", factor, DType.INT16)
    expect_shape("factor", factor, shape[1:2])
