"""Moves elements of feature maps: rows and columns by loads and stores, lanes by the matrix engine."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qconcat import QConcat
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qgather import NOWHERE, QGather
from tilewright.compiler.ops.quantised.qpad2d import QPad2d
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.compiler.targets.accel.operator.layout import blocks
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.qconv2d import lower_in_ranges
from tilewright.compiler.targets.accel.operator.schedule import window_schedule
from tilewright.compiler.targets.accel.operator.tunable import TunableWindows
from tilewright.compiler.targets.accel.operator.window import WindowNest
from tilewright.isa.config import Config
from tilewright.numerics.requantise import pack_scale, quantise_multiplier

_COPY = QConv2d((1, 1), (0, 0, 0, 0), (1, 1), 1, 0, 0, -128, 127)
"""The scale 1: with weights of 1, a convolution moves int8 values from lane to lane."""


def lower_qpad2d(
    operator: QPad2d, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops of a border, or of a part: what is loaded, and what is filled in while it is."""
    size = operator.infer(*types)[0].numbers[2:]
    return [_copy("pad", types[0], (size[0], size[1]), operator, config, 0, (0, 0))]


def lower_qconcat(
    operator: QConcat, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """A copy of each operand into its slice of the result's feature map, or into its whole blocks."""
    found = []
    whole = QPad2d((0, 0, 0, 0))
    for number, (x, start) in enumerate(zip(types, operator.starts(*types), strict=False)):
        size = x.numbers[2:]
        origin = {1: (0, 0), 2: (start, 0), 3: (0, start)}[operator.axis]
        part = _copy("concat", x, (size[0], size[1]), whole, config, number, origin)
        found.append(replace(part, first_block=start // config.cols if operator.axis == 1 else 0))
    return found


def _copy(
    name: str,
    x: TensorType,
    size: tuple[int, int],
    operator: QPad2d,
    config: Config,
    operand: int,
    origin: tuple[int, int],
) -> Lowered:
    _, channels, height, width = x.numbers
    sizes = Windows(
        blocks=blocks(channels, config),
        height=size[0],
        width=size[1],
        strides=operator.strides,
        source=(height, width),
        before=operator.pads[:2],
    )
    nest = WindowNest(
        sizes=sizes,
        height=height,
        width=width,
        before=operator.pads[:2],
        fill=operator.fill,
        zero_point=0,
        lo=-128,
        hi=127,
    )
    return Lowered(
        build=partial(nest.maximum, name, config.cols),
        tunable=TunableWindows(windows=sizes, config=config, loops="copy", primitives=window_schedule),
        tensors={"x": operand},
        origin=origin,
    )


def lower_qgather(
    operator: QGather, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """Channels in another order: products with weights of one 1 a row, which are exact."""
    indices = np.array(operator.channels)
    taken = np.flatnonzero(indices != NOWHERE)
    weight = np.zeros((len(indices), types[0].numbers[1], 1, 1), np.int8)
    weight[taken, indices[taken]] = 1
    bias = np.where(indices == NOWHERE, operator.fill, 0).astype(np.int32)
    scale = np.full(len(indices), pack_scale(*quantise_multiplier(np.array(1.0))), np.int32)
    ranges = []
    for first in range(0, len(indices), config.cols):
        read = indices[first : first + config.cols]
        read = read[read != NOWHERE] // config.cols
        ranges.append((int(read.min()), int(read.max()) + 1) if len(read) else (0, 1))
    return lower_in_ranges(_COPY, types[0], [None, weight, bias, scale], ranges, config)
