"""Tables of the vector engine as stages: loaded as vectors of entries, then written to the lanes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.compiler.te import Tensor, cast, compute, placeholder
from tilewright.compiler.tir.expr import Expr
from tilewright.isa.config import Config
from tilewright.numerics.table import ENTRIES, FIRST

Int8Array = NDArray[np.int8]


def table_parameter(lanes: int) -> Tensor:
    """The table of each lane in the memory outside: [256][lanes]."""
    return placeholder((ENTRIES, lanes), DType.INT8, "table")


def table_stages(table: Tensor) -> Tensor:
    """The table in the lanes: stages entries, tables."""
    entries = compute(table.shape, lambda e, c: table[e, c], "entries")
    return compute(table.shape, lambda e, c: entries[e, c], "tables")


def looked_up(tables: Tensor, value: Expr, lane: Expr) -> Expr:
    """The entry of a lane's table for an int8 value."""
    return tables[cast(value, DType.INT64) - FIRST, lane]


def tables_of(table: NDArray[Any], config: Config) -> Int8Array:
    """The same table, int8 (256,), for each lane: [256][lanes]."""
    return np.repeat(table.astype(np.int8)[:, None], config.cols, axis=1)


def require_room_for_tables(config: Config) -> None:
    """Refuse a machine without room for the entries.

    Raises:
        TilingError: if no bank of the machine holds the entries on their way to the lanes.
    """
    if config.activation_vectors < ENTRIES:
        raise TilingError(
            f"a bank of activation memory must hold {ENTRIES} vectors, the entries of a table, not "
            f"{config.activation_vectors}"
        )
