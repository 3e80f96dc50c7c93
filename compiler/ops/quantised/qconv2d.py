"""Convolution of integers, with all that one unit of the accelerator does behind it."""

import math
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect_operands
from tilewright.compiler.ir.type import Shape, TensorType
from tilewright.compiler.ops.quantised.convolution import ConvolutionGeometry
from tilewright.compiler.ops.quantised.operator import (
    QuantisedOperator,
    expect_dtype,
    expect_range,
    expect_shape,
)
from tilewright.compiler.ops.quantised.qlookup import expect_table, look_up
from tilewright.compiler.ops.quantised.requantised import expect_clamp, finish
from tilewright.compiler.ops.quantised.window import Pads, Pair, Window

_OPERANDS = ("x", "weight", "bias", "scale")
_RESIDUAL_OPERANDS = (*_OPERANDS, "residual", "factor")
_TABLE = "table"


@dataclass(frozen=True)
class QConv2d(QuantisedOperator):
    """t = Σ x·w [+ residual·factor] [its maximum in windows]; y = clamp(requantise(t + bias) + zero_point).

    Inputs: x int8 (batch, I, H, W); weight int8 (O, I/groups, KH, KW); bias int32 (O,), which holds
    −input_zero_point · Σ w (and −residual's zero point · factor) already; scale int32 (O,), packed words of
    `numerics.requantise`; with a residual: residual int8 (batch, O, OH, OW) and factor int16 (O,).

    Members:
        strides, pads, dilations, groups: as in `ConvolutionGeometry`; x is padded with `input_zero_point`.
        input_zero_point: of x.
        zero_point, lo, hi: of the result.
        residual: whether another activation is added.
        pool: windows whose maximum is taken, before the bias; its padding never wins.
        asked_macs: those of a sample that the network asks for, where the compiler added some; None: all.
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
    asked_macs: int | None = None
    lookup: ClassVar[bool] = False
    """Whether the result is looked up."""

    def __post_init__(self) -> None:
        self.geometry()
        object.__setattr__(self, "pool", None if self.pool is None else Window.of(self.pool))
        expect_range("input_zero_point", self.input_zero_point, -128, 127)
        expect_range("zero_point", self.zero_point, -128, 127)
        expect_range("asked_macs", self.asked_macs or 0, 0, 2**62)
        expect_clamp(self.lo, self.hi)

    def geometry(self) -> ConvolutionGeometry:
        """The convolution alone."""
        return ConvolutionGeometry(self.strides, self.pads, self.dilations, self.groups)

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        named = _RESIDUAL_OPERANDS if self.residual else _OPERANDS
        expect_operands(types, *named, *([_TABLE] if self.lookup else []))
        if self.lookup:
            expect_table(types[-1])
        shape = self.geometry().infer(types[0], types[1])
        for what, tensor in zip(("bias", "scale"), types[2:4], strict=True):
            expect_dtype(what, tensor, DType.INT32)
            expect_shape(what, tensor, shape[:1])
        if self.residual:
            _check_residual(types[4], types[5], (types[0].shape[0], *shape))
        channels, *size = shape
        height, width = self.pool.extent(*size) if self.pool else size
        return (types[0].with_shape((types[0].shape[0], channels, height, width)),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        x, weight, bias, scale = arrays[:4]
        t = self.geometry().run(x, weight, self.input_zero_point)
        if self.residual:
            t = t + arrays[4] * arrays[5].astype(np.float64)[:, None, None]
        if self.pool:
            t = self.pool.maximum(t, -np.inf)
        columns = bias[:, None, None], scale[:, None, None]
        y = finish(t, *columns, self.zero_point, self.lo, self.hi)
        return (look_up(y, arrays[-1]) if self.lookup else y,)

    def macs(self, *types: TensorType) -> int:
        """Those of sums that count: what no window of the pooling sees need not be computed."""
        if self.asked_macs is not None:
            return self.asked_macs
        outputs, height, width = self.geometry().infer(types[0], types[1])
        if self.pool:
            height, width = self.pool.seen(height, width)
        return outputs * height * width * math.prod(types[1].numbers[1:])


@dataclass(frozen=True)
class QConv2dTable(QConv2d):
    """table[y + 128] of a convolution's result y.

    One more input, the last: table int8 (256,), as of `QLookup`.
    """

    name: ClassVar[str] = "qconv2d_table"
    lookup: ClassVar[bool] = True

    @classmethod
    def of(cls, operator: QConv2d) -> "QConv2dTable":
        """That convolution with a table behind it."""
        return cls(**{each.name: getattr(operator, each.name) for each in fields(operator)})


def _check_residual(residual: TensorType, factor: TensorType, shape: Shape) -> None:
    expect_dtype("residual", residual, DType.INT8)
    expect_shape("residual", residual, shape)
    expect_dtype("factor", factor, DType.INT16)
    expect_shape("factor", factor, shape[1:2])
