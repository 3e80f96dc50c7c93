"""Sizes of convolutions of feature maps [height, width, channels]."""

from dataclasses import dataclass, replace
from math import prod

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.cpu.contraction import GROUP
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.padded_feature_map import SIGN, PaddedFeatureMap
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Const, Expr

Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ConvolutionSizes:
    """Sizes of a convolution over all channels.

    Members:
        height, width, channels: of the input.
        outputs: channels of the result.
        kernel, strides, dilations: down, right.
        pads: rows above, columns left, rows below, columns right.
        is_float: float32, or int8.
        zero_point: the padding of the input.
        is_signed: whether int8 elements stay int8 in the padded feature map; else they become uint8.
    """

    height: int
    width: int
    channels: int
    outputs: int
    kernel: Pair
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    is_float: bool = False
    zero_point: int | float = 0
    is_signed: bool = False

    @property
    def result(self) -> Pair:
        """Height and width of the result."""
        top, left, bottom, right = self.pads
        sizes = (self.height + top + bottom, self.width + left + right)
        rows, columns = (
            (size - step * (taps - 1) - 1) // stride + 1
            for size, taps, stride, step in zip(sizes, self.kernel, self.strides, self.dilations, strict=True)
        )
        return rows, columns

    @property
    def source(self) -> Buffer:
        """The input, [height, width · channels]."""
        return Buffer("x", (Const(self.height), Const(self.width * self.channels)), self.dtype)

    @property
    def dtype(self) -> DType:
        """Of the input and of the weights."""
        return DType.FLOAT32 if self.is_float else DType.INT8

    def padded_dtype(self, features: Features) -> DType:
        """Of the padded feature map of a convolution over all channels: what micro-kernels multiply."""
        if self.is_float:
            return DType.FLOAT32
        return DType.INT16 if features.pairs_shorts else DType.UINT8

    @property
    def is_sampled(self) -> bool:
        """Whether the padded feature map has only the pixels that windows of one pixel read."""
        return self.kernel == (1, 1) and self.strides != (1, 1) and not any(self.pads)

    @property
    def is_read_in_place(self) -> bool:
        """Whether sums can read the input as it lies, and read each element where others of its tile lie."""
        return self.is_float and not any(self.pads) and not self.is_sampled

    @property
    def window_strides(self) -> Pair:
        """From window to window in the padded feature map."""
        return (1, 1) if self.is_sampled else self.strides

    @property
    def group(self) -> int:
        """Elements of the input that a step of the reduction reads together."""
        return 1 if self.is_float else GROUP

    @property
    def taps(self) -> tuple[int, int, int]:
        """Extents of the reduction: rows, columns, steps in a column; adjacent columns count as one."""
        height, width = self.kernel
        if self.dilations[1] == 1:
            return height, 1, -(-width * self.channels // self.group)
        return height, width, -(-self.channels // self.group)

    @property
    def steps(self) -> int:
        """Steps of the whole reduction."""
        return prod(self.taps)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights, without the zeros behind."""
        return prod(self.kernel) * self.channels * self.outputs * self.dtype.size_bytes

    @property
    def padded_map(self) -> PaddedFeatureMap:
        """The padded feature map: where groups reach beyond a row, it is longer."""
        (rows, columns), (down, right) = self.result, self.window_strides
        height = (rows - 1) * down + (self.kernel[0] - 1) * self.dilations[0] + 1
        width = (columns - 1) * right + (self.kernel[1] - 1) * self.dilations[1] + 1
        top, left = self.pads[:2]
        taps = self.kernel[1] if self.dilations[1] == 1 else 1
        beyond = -taps * self.channels % self.group
        pixels = self.result if self.is_sampled else (self.height, self.width)
        return PaddedFeatureMap(
            pixels=pixels,
            channels=self.channels,
            steps=self.strides if self.is_sampled else (1, 1),
            top=top,
            left=left * self.channels,
            rows=max(height, pixels[0] + top),
            columns=max(width * self.channels + beyond, (pixels[1] + left) * self.channels),
            fill=self.zero_point + self._sign,
        )

    def padded_map_of(self, zero_point: Expr | None) -> PaddedFeatureMap:
        """The padded feature map; with that zero point, int32, unless it is None."""
        return (
            self.padded_map if zero_point is None else replace(self.padded_map, fill=zero_point + self._sign)
        )

    @property
    def _sign(self) -> int:
        return 0 if self.is_float or self.is_signed else SIGN
