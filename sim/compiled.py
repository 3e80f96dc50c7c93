"""How the event core is compiled: numba, and a stamp of the sources for what it keeps on disk."""

import hashlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numba
import numpy as np

from tilewright.isa import sliding, timing
from tilewright.numerics import saturate

# Nothing in the core makes or drops an array, and Python calls none of its functions but the entry: without
# the counting of references and the wrappers for Python it compiles several times faster.
_OPTIONS: dict[str, Any] = {
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "error_model": "numpy",
}
compiled: Callable[..., Any] = partial(numba.njit, **_OPTIONS)
"""Marks a function that compiled code calls; Python must not (it has no wrapper, and would crash)."""

inlined: Callable[..., Any] = partial(compiled, forceinline=True)
"""The same, put into its caller: a call that hands over the memories of a chip takes longer than a vector."""


def constant(value: int) -> Any:
    """A number as the core has them all; a plain one is a type of its own, for which numba compiles anew."""
    return np.int64(value)


@cache
def source_stamp() -> str:
    """A digest of all that the compiled core may have taken from this room and from the contract.

    numba looks for changes in the file of the kept function alone; this makes it see the others.
    """
    digest = hashlib.sha256()
    for folder in (Path(module).parent for module in (__file__, timing.__file__, saturate.__file__)):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _kept(function: Callable[..., Any], **options: Any) -> Any:
    # numba's file is named after the function. It holds types of ours: one of other sources, whose types may
    # be gone, must not even be opened.
    function.__qualname__ = f"{function.__name__}_{source_stamp()[:16]}"
    return numba.njit(cache=True, **options)(function)


entry: Callable[..., Any] = _kept
"""Marks the function that Python calls. It alone is kept on disk, with everything that it calls inside."""

data_entry: Callable[..., Any] = partial(_kept, nogil=True)
"""The same of what works on data alone: other threads of Python run meanwhile."""


tile_period = compiled(timing.tile_period)
matrix_depth = compiled(timing.matrix_depth)
matrix_fault_depth = compiled(timing.matrix_fault_depth)
first_stream = compiled(timing.first_stream)
vector_depth = compiled(timing.vector_depth)
fetch_bus_idle = compiled(timing.fetch_bus_idle)
item_interval = compiled(timing.item_interval)
requantiser_rest = compiled(timing.requantiser_rest)
vector_occupancy = compiled(timing.vector_occupancy)
vector_last_issue = compiled(timing.vector_last_issue)
step_of = compiled(sliding.step_of)
chunks_of_row = compiled(sliding.chunks_of_row)
fits_windows = compiled(sliding.fits_windows)
newest_tap = compiled(sliding.newest_tap)
taps_apart = compiled(sliding.taps_apart)
sliding_items = compiled(sliding.sliding_items)
