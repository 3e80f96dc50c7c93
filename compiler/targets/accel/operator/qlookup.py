"""Functions of single int8 elements: tables of the vector engine."""

from functools import partial
from typing import Any

from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.compiler.targets.accel.operator.layout import blocks
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.schedule import lookup_schedule
from tilewright.compiler.targets.accel.operator.table import (
    looked_up,
    require_room_for_tables,
    table_parameter,
    table_stages,
    tables_of,
)
from tilewright.compiler.targets.accel.operator.tunable import TunableWindows
from tilewright.compiler.te import TensorProgram, compute, placeholder
from tilewright.isa.config import Config


def lower_qlookup(
    operator: QLookup, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops of a function of single elements: stages entries, tables, result."""
    require_room_for_tables(config)
    _, channels, height, width = types[0].numbers
    sizes = Windows(blocks=blocks(channels, config), height=height, width=width)
    entries = constants[1]
    assert entries is not None, "verified: tables are constants"
    return [
        Lowered(
            build=partial(_program, sizes, config.cols),
            tunable=TunableWindows(windows=sizes, config=config, loops="lookup", primitives=lookup_schedule),
            tensors={"x": 0},
            pack=partial(_constants, entries, config),
        )
    ]


def _program(sizes: Windows, lanes: int) -> TensorProgram:
    shape = (sizes.blocks, sizes.height, sizes.width, lanes)
    given, table = placeholder(shape, DType.INT8, "x"), table_parameter(lanes)
    tables = table_stages(table)
    result = compute(shape, lambda o, y, x, c: looked_up(tables, given[o, y, x, c], c), "result")
    return TensorProgram.of("lookup", [given, table], [result])


def _constants(entries: NDArray[Any], config: Config) -> dict[str, NDArray[Any]]:
    return {"table": tables_of(entries, config)}
