"""Look-up tables: functions of one int8 as 256 entries, entry y + 128 for the value y."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tilewright.numerics.saturate import Integers, saturate

ENTRIES = 256
FIRST = -128
"""The value whose result is entry 0."""


def make_table(function: Callable[[NDArray[np.int64]], Integers]) -> NDArray[np.int8]:
    """The table of `function`: int8 (256,), saturated.

    Args:
        function: maps the int64 values −128 … 127, all in one array, to integers.
    """
    values = np.asarray(function(np.arange(FIRST, FIRST + ENTRIES)))
    if values.shape != (ENTRIES,):
        raise ValueError(f"function must give {ENTRIES} values for {ENTRIES}, not shape {values.shape}")
    return saturate(values, 8).astype(np.int8)


def look_up(tables: NDArray[np.int8], y: NDArray[np.int8]) -> NDArray[np.int8]:
    """Each lane's table at each value.

    Args:
        tables: int8 (lanes, 256).
        y: int8 (…, lanes).
    """
    lanes = np.arange(tables.shape[0]) * ENTRIES - FIRST
    return tables.reshape(-1).take(y + lanes)
