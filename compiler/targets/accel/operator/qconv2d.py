"""Convolutions of integers: all channels on the matrix engine, depthwise ones on the vector engine."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.convolution import dense_weights
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.window import swept
from tilewright.compiler.targets.accel.cost.problem import BlockedConvolution
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.compiler.targets.accel.operator.convolution import ConvolutionNest
from tilewright.compiler.targets.accel.operator.epilogue import FACTOR
from tilewright.compiler.targets.accel.operator.layout import blocks, parameter_vectors, weight_tiles
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.schedule import window_schedule
from tilewright.compiler.targets.accel.operator.table import require_room_for_tables, tables_of
from tilewright.compiler.targets.accel.operator.tunable import TunableConvolution, TunableWindows
from tilewright.compiler.targets.accel.operator.window import WindowNest
from tilewright.isa.config import Config
from tilewright.numerics.table import ENTRIES

_X, _WEIGHT, _BIAS, _SCALE, _RESIDUAL, _FACTOR = range(6)
_PART_CYCLES = 400
"""Cycles of a part of a layer until its first products and behind its last, about."""


def lower_qconv2d(
    operator: QConv2d, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops of a convolution; `pool` must have no padding (`legalise`).

    Groups of channels are parts of the layer, or several at once, with weights of 0 between them, where that
    takes less time: a part computes whole blocks, of neighbouring blocks of the input.
    """
    weight = constants[_WEIGHT]
    assert weight is not None, "verified: weights are constants"
    if operator.geometry().is_depthwise(weight.shape):
        return [_depthwise(operator, types, constants, config)]
    if operator.groups == 1:
        return [_dense(operator, types, constants, config)]
    dense = [constants[_X], dense_weights(weight, operator.groups), *constants[_BIAS:]]
    ranges = _read_blocks(operator.groups, types[_X].numbers[1], len(weight), config)
    return lower_in_ranges(replace(operator, groups=1), types[_X], dense, ranges, config)


def _read_blocks(groups: int, inputs: int, outputs: int, config: Config) -> list[tuple[int, int]]:
    """The blocks of the input that each block of a grouped convolution's result is made of."""
    found = []
    for first in range(0, outputs, config.cols):
        last = min(first + config.cols, outputs) - 1
        of, to = (channel * groups // outputs for channel in (first, last))
        found.append((of * inputs // groups // config.cols, blocks((to + 1) * inputs // groups, config)))
    return found


def lower_in_ranges(
    operator: QConv2d,
    x: TensorType,
    constants: list[NDArray[Any] | None],
    ranges: Sequence[tuple[int, int]],
    config: Config,
) -> list[Lowered]:
    """A convolution whose blocks of results need some blocks of the input only, in parts.

    Args:
        operator: without groups.
        x: type of the input.
        constants: weights of all channels, bias, scale and so on, in the order of the operands.
        ranges: of each block of the result the blocks of the input with weights: first, and behind the last.
        config: the machine.
    """
    weight = constants[_WEIGHT]
    assert weight is not None, "verified: weights are constants"
    batch, inputs, height, width = x.numbers
    kernel = (weight.shape[2], weight.shape[3])
    size = swept(height, width, kernel, operator.strides, operator.pads, operator.dilations)
    products, pixels = prod(size) * prod(kernel) * config.slices, height * width
    cols, found = config.cols, []
    for first, last in runs(ranges, products, pixels * cols // config.bus_bytes):
        rows = slice(first * cols, last * cols)
        low, high = _union(ranges[first:last])
        columns = slice(low * cols, min(high * cols, inputs))
        own = [None if each is None else each[rows] for each in constants]
        own[_WEIGHT] = kernels = np.ascontiguousarray(weight[rows, columns])
        if operator.lookup:
            own[-1] = constants[-1]
        shapes = [x.with_shape((batch, kernels.shape[1], height, width))]
        shapes += [TensorType(DType(each.dtype.name), each.shape) for each in own[1:4] if each is not None]
        if operator.residual:
            channels = len(kernels)
            shapes += [x.with_shape((batch, channels, *size)), TensorType(DType.INT16, (channels,))]
        if operator.lookup:
            shapes.append(TensorType(DType.INT8, (ENTRIES,)))
        part = _dense(operator, shapes, own, config)
        starts = {"x": low, **({"residual": first} if operator.residual else {})}
        found.append(replace(part, first_block=first, first_blocks=starts))
    return found


def runs(ranges: Sequence[tuple[int, int]], products: int, loads: int) -> list[tuple[int, int]]:
    """Neighbouring blocks of a result that are computed together: those ways to part them that cost least.

    A part takes the array's time for its blocks' products, or the bus's for its input, and some to begin.

    Args:
        ranges: of each block of the result the blocks of the input that it needs.
        products: cycles of the array for a block of the input and one of the result.
        loads: cycles of the bus for a block of the input.

    Returns:
        The first block of each part, and that behind its last one.
    """
    best = [(0, 0)]
    for last in range(1, len(ranges) + 1):
        costs = []
        for first in range(last):
            low, high = _union(ranges[first:last])
            busy = max((high - low) * (last - first) * products, (high - low) * loads)
            costs.append((best[first][0] + busy + _PART_CYCLES, first))
        best.append(min(costs))
    found, last = [], len(ranges)
    while last:
        found.append((best[last][1], last))
        last = best[last][1]
    return found[::-1]


def _union(ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _dense(
    operator: QConv2d, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> Lowered:
    if operator.lookup:
        require_room_for_tables(config)
    sizes = _sizes(operator, types, config)
    nest = ConvolutionNest(
        sizes=sizes,
        height=types[_X].numbers[2],
        width=types[_X].numbers[3],
        pads=operator.pads[:2],
        input_zero_point=operator.input_zero_point,
        zero_point=operator.zero_point,
        lo=operator.lo,
        hi=operator.hi,
        lookup=operator.lookup,
    )
    weight = constants[_WEIGHT]
    assert weight is not None, "verified: weights are constants"
    return Lowered(
        build=partial(nest.program, "convolution", config),
        tunable=TunableConvolution(convolution=sizes, config=config, lookup=operator.lookup),
        tensors=_tensors(operator),
        pack=partial(_dense_constants, operator, weight, constants, config),
    )


def _dense_constants(
    operator: QConv2d, weight: NDArray[Any], constants: list[NDArray[Any] | None], config: Config
) -> dict[str, NDArray[Any]]:
    return {
        "weight": weight_tiles(weight, config),
        "parameters": parameter_vectors(_vectors(operator, constants), config),
        **_table(operator, constants, config),
    }


def _sizes(operator: QConv2d, types: list[TensorType], config: Config) -> BlockedConvolution:
    out = operator.infer(*types)[0].numbers
    weight, pool = types[_WEIGHT].numbers, operator.pool
    return BlockedConvolution(
        out_blocks=blocks(out[1], config),
        out_height=out[2],
        out_width=out[3],
        in_blocks=blocks(weight[1], config),
        kernel=(weight[2], weight[3]),
        strides=operator.strides,
        dilations=operator.dilations,
        pool_kernel=pool.kernel if pool else (1, 1),
        pool_strides=pool.strides if pool else (1, 1),
        parameter_vectors=FACTOR + operator.residual,
        residual=operator.residual,
        picks_rows=weight[2] == 1 < operator.strides[0],
    )


def _vectors(operator: QConv2d, constants: list[NDArray[Any] | None]) -> list[NDArray[np.int32]]:
    """Parameter vectors in their order: bias, scale, factor."""
    rows = [constants[_BIAS], constants[_SCALE], *([constants[_FACTOR]] if operator.residual else [])]
    return [row.astype(np.int32) for row in rows if row is not None]


def _table(
    operator: QConv2d, constants: list[NDArray[Any] | None], config: Config
) -> dict[str, NDArray[np.int8]]:
    """The table of each lane, if the result is looked up."""
    table = constants[-1]
    return {"table": tables_of(table, config)} if operator.lookup and table is not None else {}


def _tensors(operator: QConv2d) -> dict[str, int]:
    """Positions of the operands that are feature maps."""
    return {"x": _X, **({"residual": _RESIDUAL} if operator.residual else {})}


def _depthwise(
    operator: QConv2d, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> Lowered:
    weight = constants[_WEIGHT]
    assert weight is not None, "verified: weights are constants"
    if operator.lookup:
        require_room_for_tables(config)
    channels, _, height, width = weight.shape
    out = operator.infer(*types)[0].numbers
    sizes = Windows(
        blocks=blocks(channels, config),
        height=out[2],
        width=out[3],
        kernel=(height, width),
        strides=operator.strides,
        dilations=operator.dilations,
        # The residual is added by an instruction of its own.
        operands=1 + operator.residual,
        keeps_accumulators=operator.residual,
        has_weights=True,
        parameter_vectors=FACTOR + operator.residual + height * width,
        source=(types[_X].numbers[2], types[_X].numbers[3]),
        before=operator.pads[:2],
    )
    nest = WindowNest(
        sizes=sizes,
        height=types[_X].numbers[2],
        width=types[_X].numbers[3],
        before=operator.pads[:2],
        fill=operator.input_zero_point,
        zero_point=operator.zero_point,
        lo=operator.lo,
        hi=operator.hi,
        lookup=operator.lookup,
    )
    return Lowered(
        build=partial(nest.depthwise, "depthwise", config.cols, residual=operator.residual),
        tunable=TunableWindows(
            windows=sizes,
            config=config,
            loops="depthwise, looked up" if operator.lookup else "depthwise",
            primitives=partial(
                window_schedule, parameters=True, residual=operator.residual, lookup=operator.lookup
            ),
        ),
        tensors=_tensors(operator),
        pack=partial(_depthwise_constants, operator, weight, constants, config),
    )


def _depthwise_constants(
    operator: QConv2d, weight: NDArray[Any], constants: list[NDArray[Any] | None], config: Config
) -> dict[str, NDArray[Any]]:
    taps = weight.reshape(len(weight), -1).T.astype(np.int32)
    return {
        "parameters": parameter_vectors([*_vectors(operator, constants), *taps], config),
        **_table(operator, constants, config),
    }
