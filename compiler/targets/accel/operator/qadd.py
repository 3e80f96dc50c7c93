"""The sum of two activations of integers on the vector engine."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qadd import QAdd
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.compiler.targets.accel.operator.addition import AdditionNest
from tilewright.compiler.targets.accel.operator.layout import blocks, packed_parameters
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.schedule import addition_schedule
from tilewright.compiler.targets.accel.operator.tunable import TunableWindows
from tilewright.isa.config import Config


def lower_qadd(
    operator: QAdd, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops of a sum."""
    _, channels, height, width = types[0].numbers
    shape = (blocks(channels, config), height, width, config.cols)
    nest = AdditionNest(
        shape=shape, ka=operator.ka, zero_point=operator.zero_point, lo=operator.lo, hi=operator.hi
    )
    rows = [np.full(channels, value, np.int32) for value in (operator.bias, operator.scale, operator.kb)]
    sizes = Windows(
        blocks=shape[0],
        height=height,
        width=width,
        operands=2,
        parameter_vectors=len(rows),
        keeps_accumulators=True,
    )
    return [
        Lowered(
            build=partial(nest.program, "addition"),
            tunable=TunableWindows(
                windows=sizes, config=config, loops="addition", primitives=addition_schedule
            ),
            tensors={"a": 0, "b": 1},
            pack=partial(packed_parameters, rows, config),
        )
    ]
