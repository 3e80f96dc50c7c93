"""Convolutions of integers: all channels on the matrix engine, depthwise ones on the vector engine."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.targets.accel.cost.event_model import instructions_of
from tilewright.compiler.targets.accel.cost.problem import Convolution
from tilewright.compiler.targets.accel.operator.convolution import ConvolutionNest
from tilewright.compiler.targets.accel.operator.epilogue import FACTOR
from tilewright.compiler.targets.accel.operator.layout import blocks, parameter_vectors, weight_tiles
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.schedule import convolution_schedule, window_schedule
from tilewright.compiler.targets.accel.operator.table import tables_of
from tilewright.compiler.targets.accel.operator.window import WindowNest
from tilewright.compiler.targets.accel.tiling import choose
from tilewright.compiler.targets.accel.window_tiling import Windows, choose_windows
from tilewright.isa.config import Config

_X, _WEIGHT, _BIAS, _SCALE, _RESIDUAL, _FACTOR = range(6)


def lower_qconv2d(
    operator: QConv2d, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops of a convolution; `pool` must have no padding (`legalise`)."""
    depthwise = operator.groups > 1
    return [(_depthwise if depthwise else _dense)(operator, types, constants, config)]


def _dense(
    operator: QConv2d, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> Lowered:
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
    tiling = choose(sizes, config)
    return Lowered(
        function=nest.function("convolution", config),
        schedule=convolution_schedule(
            tiling, pooled=sizes.pools, residual=operator.residual, lookup=operator.lookup
        ),
        least_instructions=instructions_of(tiling.cut),
        tensors=_tensors(operator),
        constants={
            "weight": weight_tiles(weight, config),
            "parameters": parameter_vectors(_vectors(operator, constants), config),
            **_table(operator, constants, config),
        },
    )


def _sizes(operator: QConv2d, types: list[TensorType], config: Config) -> Convolution:
    out = operator.infer(*types)[0].numbers
    weight, pool = types[_WEIGHT].numbers, operator.pool
    return Convolution(
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
    """Places of the operands that are pictures."""
    return {"x": _X, **({"residual": _RESIDUAL} if operator.residual else {})}


def _depthwise(
    operator: QConv2d, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> Lowered:
    weight = constants[_WEIGHT]
    assert weight is not None, "verified: weights are constants"
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
        keeps_sums=operator.residual,
        parameter_vectors=FACTOR + operator.residual + height * width,
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
    taps = weight.reshape(channels, -1).T.astype(np.int32)
    return Lowered(
        function=nest.depthwise("depthwise", config.cols, residual=operator.residual),
        schedule=window_schedule(
            choose_windows(sizes, config),
            parameters=True,
            residual=operator.residual,
            lookup=operator.lookup,
        ),
        tensors=_tensors(operator),
        constants={
            "parameters": parameter_vectors([*_vectors(operator, constants), *taps], config),
            **_table(operator, constants, config),
        },
    )
