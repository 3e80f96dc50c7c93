"""Convolutions of int8 by BLAS, with sums that are exact."""

from dataclasses import dataclass

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import expect_dtype, expect_rank, expect_sizes, sample_of
from tilewright.compiler.ops.quantised.window import Pads, Pair, pad, patches, swept

_EXACT_TERMS = 1 << 10
"""Products of two int8 below 2¹⁴ whose sum stays below 2²⁴: exact in float32, in any order."""
_COLUMN_ELEMENTS = 1 << 23
"""Of one matrix of unfolded windows: bounds the memory of a batch."""


@dataclass(frozen=True)
class ConvolutionGeometry:
    """The windows of a convolution.

    Members:
        strides: down, right.
        pads: rows above, columns left, rows below, columns right.
        dilations: distance of the taps, down, right.
        groups: into which the channels of x and of the result are divided; as many as channels: depthwise.
    """

    strides: Pair
    pads: Pads
    dilations: Pair
    groups: int

    def __post_init__(self) -> None:
        expect_sizes("strides", self.strides, 2, 1)
        expect_sizes("pads", self.pads, 4, 0)
        expect_sizes("dilations", self.dilations, 2, 1)
        expect_sizes("groups", (self.groups,), 1, 1)

    def infer(self, x: TensorType, weight: TensorType) -> tuple[int, int, int]:
        """Channels, height and width of the result."""
        expect_dtype("x", x, DType.INT8)
        channels, height, width = sample_of("x", x, "NCHW")
        expect_dtype("weight", weight, DType.INT8)
        expect_rank("weight", weight, "OIHW")
        outputs, inputs, *kernel = weight.numbers
        expect(
            inputs * self.groups == channels,
            f"weight must have {channels}/{self.groups} input channels for {x}, not {inputs}",
        )
        expect(
            outputs % self.groups == 0,
            f"the {outputs} channels of the result must be a multiple of the {self.groups} groups",
        )
        size = swept(height, width, (kernel[0], kernel[1]), self.strides, self.pads, self.dilations)
        return outputs, *size

    def run(self, x: Array, weight: Array, zero_point: int) -> Array:
        """Exact sums of int8 products, as float32 or float64; x is padded with `zero_point`."""
        x, weight = x.astype(np.float32), weight.astype(np.float32)
        kernel = (weight.shape[2], weight.shape[3])
        windows = patches(pad(x, self.pads, float(zero_point)), kernel, self.strides, self.dilations)
        if self.is_depthwise(weight.shape):
            return _depthwise(windows, weight)
        if self.groups > 1:
            groups = zip(np.split(windows, self.groups, 1), np.split(weight, self.groups), strict=True)
            return np.concatenate([_in_parts(*each) for each in groups], 1)
        return _in_parts(windows, weight)

    def is_depthwise(self, weight: tuple[int, ...]) -> bool:
        """Whether each channel of the result is made of one of its own; for the shape of the weights."""
        return self.groups > 1 and weight[:2] == (self.groups, 1)


def dense_weights(weight: Array, groups: int) -> Array:
    """The weights (O, I, KH, KW) of all channels, 0 where a result's group has no channel."""
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    dense = np.zeros((weight.shape[0], inputs * groups, *weight.shape[2:]), weight.dtype)
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        dense[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return dense


def _in_parts(windows: Array, weight: Array) -> Array:
    """A dense product of some samples at a time."""
    terms = weight[0].size
    samples = max(1, _COLUMN_ELEMENTS // (terms * windows.shape[2] * windows.shape[3]))
    parts = [_dense(windows[start : start + samples], weight) for start in range(0, len(windows), samples)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _depthwise(windows: Array, weight: Array) -> Array:
    """Tap by tap: windows (N, C, OH, OW, KH, KW), weight (C, 1, KH, KW)."""
    dtype = windows.dtype if weight[0].size <= _EXACT_TERMS else np.float64
    total = np.zeros(windows.shape[:4], dtype)
    for row, column in np.ndindex(windows.shape[4:]):
        total += windows[..., row, column] * weight[:, :, row, column, None]
    return total


def _dense(windows: Array, weight: Array) -> Array:
    """One product of matrices: windows (N, C, OH, OW, KH, KW), weight (O, C, KH, KW)."""
    samples, _, height, width = windows.shape[:4]
    columns = windows.transpose(1, 4, 5, 0, 2, 3).reshape(weight[0].size, -1)
    rows = weight.reshape(len(weight), -1)
    product = exact_product(rows, columns)
    return product.reshape(len(weight), samples, height, width).transpose(1, 0, 2, 3)


def exact_product(a: Array, b: Array) -> Array:
    """a @ b, of float32 arrays that hold int8 values; in float64 if float32 cannot hold the sums."""
    product: Array = a[:, :_EXACT_TERMS] @ b[:_EXACT_TERMS]
    if a.shape[1] <= _EXACT_TERMS:
        return product
    total = product.astype(np.float64)
    for start in range(_EXACT_TERMS, a.shape[1], _EXACT_TERMS):
        end = start + _EXACT_TERMS
        total += a[:, start:end] @ b[start:end]
    return total
