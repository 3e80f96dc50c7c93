"""Convolutions over space-to-depth inputs: the pixels between two steps of a stride become channels.

A feature map of few channels fills few of the lanes. Where the host hands it over, and a convolution with
strides alone reads it, the host may as well hand over each patch of stride × stride pixels as one pixel with
stride × stride times the channels; the kernel has fewer taps over these, and no stride. Weights for pixels
that no tap sees are 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.quantised.operator import sample_of
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Pair
from tilewright.isa.config import Config


@dataclass(frozen=True)
class PatchAxis:
    """Height or width of a convolution whose pixels come in patches.

    Members:
        size: of the input.
        taps, dilation, stride, pads: of the convolution; pads before and behind.
        patch: pixels that become one: 1, or the stride.
    """

    size: int
    taps: int
    dilation: int
    stride: int
    pads: Pair
    patch: int

    @property
    def first(self) -> int:
        """The first patch that a window sees, relative to the patch at its position: 0 or less."""
        return -self.pads[0] // self.patch

    @property
    def patched_taps(self) -> tuple[tuple[int, int], ...]:
        """For each tap, the patch it is in, counted from the first one seen, and its pixel there."""
        if self.patch == 1:
            return tuple((tap, 0) for tap in range(self.taps))
        offsets = (tap * self.dilation - self.pads[0] for tap in range(self.taps))
        return tuple((offset // self.patch - self.first, offset % self.patch) for offset in offsets)

    @property
    def kernel(self) -> int:
        """Patches that a window sees."""
        return self.patched_taps[-1][0] + 1

    @property
    def patches(self) -> int:
        """Patches of the input along the axis; the last one may lack pixels."""
        return -(-self.size // self.patch)

    @property
    def behind(self) -> int:
        """Patches of padding behind the input; below 0: that no window sees."""
        if self.patch == 1:
            return self.pads[1]
        reach = (self.taps - 1) * self.dilation + 1
        results = (self.size + sum(self.pads) - reach) // self.stride + 1
        return (results - 1) * (self.stride // self.patch) + self.kernel + self.first - self.patches


def space_to_depth(
    b: Builder,
    function: Function,
    read: Value,
    operator: QConv2d,
    operands: tuple[Value, ...],
    config: Config,
) -> tuple[QConv2d, tuple[Value, ...]]:
    """The operator and the operands of a convolution, over patches if that takes fewer products of the array.

    Args:
        b: where its operands are.
        function: that it is of.
        read: what it reads there.
        operator: the convolution.
        operands: of it, in `b`.
        config: the machine.
    """
    given, weight = b.producer(operands[0]), b.literal(operands[1])
    is_given = given is not None and isinstance(given.operator, Quantise)
    if not is_given or operator.groups > 1 or not _is_read_once(function, read):
        return operator, operands
    assert given is not None
    assert weight is not None, "verified: weights are constants"
    axes = _best(operator, operands, config)
    if all(axis.patch == 1 for axis in axes):
        return operator, operands
    patches = b.emit(given.operator, _patches(b, given.operands[0], axes))
    kernels = b.constant(Literal(np.ascontiguousarray(_kernels(weight.array, axes))))
    asked = operator.macs(*(alone(value.type) for value in operands))
    return _over(operator, axes, asked), (patches, kernels, *operands[2:])


def _is_read_once(function: Function, value: Value) -> bool:
    """Whether one equation reads a quantised value, and nothing else quantises what it is of."""
    while value not in function.parameters:
        if len(function.consumers.get(value, ())) != 1 or value in function.results:
            return False
        value = function.producers[value].operands[0]
    return len(function.consumers[value]) == 1


def _best(operator: QConv2d, operands: tuple[Value, ...], config: Config) -> tuple[PatchAxis, PatchAxis]:
    """Height and width in patches: those with the fewest products of the array, none if they are as many."""
    channels, *size = sample_of("x", operands[0].type, "NCHW")
    kernel = operands[1].type.numbers[2:]

    def axes(patch: Pair) -> tuple[PatchAxis, PatchAxis]:
        height, width = (
            PatchAxis(
                size[axis],
                kernel[axis],
                operator.dilations[axis],
                operator.strides[axis],
                (operator.pads[axis], operator.pads[axis + 2]),
                patch[axis],
            )
            for axis in range(2)
        )
        return height, width

    def cost(patch: Pair) -> tuple[int, bool, int]:
        blocks, taps = -(-channels * prod(patch) // config.cols), prod(axis.kernel for axis in axes(patch))
        return blocks * taps, patch != (1, 1), taps

    down, right = operator.strides
    choices: list[Pair] = [(1, 1), (1, right), (down, 1), (down, right)]
    fitting = [patch for patch in choices if patch == (1, 1) or all(axis.behind >= 0 for axis in axes(patch))]
    return axes(min(fitting, key=cost))


def _patches(b: Builder, x: Value, axes: Sequence[PatchAxis]) -> Value:
    """Feature maps (N, C, H, W) as (N, C · pixels of a patch, patches down, patches right), zeros behind."""
    batch, channels = x.type.shape[0], x.type.shape[1]
    missing = [axis.patches * axis.patch - axis.size for axis in axes]
    if any(missing):
        x = b.emit(Pad((0,) * 4, (0, 0, *missing)), x, b.constant(np.zeros((), np.float32)))
    (down, rows), (right, columns) = ((axis.patches, axis.patch) for axis in axes)
    x = b.emit(Reshape((batch, channels, down, rows, right, columns)), x)
    x = b.emit(Transpose((0, 1, 3, 5, 2, 4)), x)
    return b.emit(Reshape((batch, channels * rows * columns, down, right)), x)


def _kernels(weight: Array, axes: Sequence[PatchAxis]) -> Array:
    """Weights (O, C, KH, KW) as those of patches."""
    height, width = axes
    outputs, channels = weight.shape[:2]
    pixels = (height.patch, width.patch)
    found = np.zeros((outputs, channels, *pixels, height.kernel, width.kernel), weight.dtype)
    for (row, (down, y)), (column, (right, x)) in product(
        enumerate(height.patched_taps), enumerate(width.patched_taps)
    ):
        found[:, :, y, x, down, right] = weight[:, :, row, column]
    return found.reshape(outputs, channels * prod(pixels), height.kernel, width.kernel)


def alone(tensor: TensorType) -> TensorType:
    """The type for one sample, if it has a batch of any size."""
    return tensor if tensor.is_known else tensor.with_shape((1, *tensor.shape[1:]))


def _over(operator: QConv2d, axes: Sequence[PatchAxis], asked_macs: int) -> QConv2d:
    height, width = axes
    return replace(
        operator,
        strides=(height.stride // height.patch, width.stride // width.patch),
        pads=(-height.first, -width.first, height.behind, width.behind),
        dilations=(
            1 if height.patch > 1 else height.dilation,
            1 if width.patch > 1 else width.dilation,
        ),
        asked_macs=asked_macs,
    )
