"""Loads and stores in compiled code; see `executor`."""

from typing import Any

from tilewright.isa.memory import Memory
from tilewright.sim.chip import ChipRecord, stays_inside, store_lanes
from tilewright.sim.compiled import compiled
from tilewright.sim.lane import LANES, copy_bytes, spread
from tilewright.sim.nest import ONE, ZERO

_FIRST_WORDS = int(Memory.ACCUMULATOR)


@compiled
def load(m: ChipRecord, r: Any) -> bool:
    """Do what a load does; False: it is not begun."""
    rows, row = r.pad_top + r.n_y + r.pad_bottom, r.pad_left + r.n_x + r.pad_right
    strides = (r.chip_stride_z, r.chip_stride_y, ONE, ZERO, ZERO)
    if not stays_inside(m, r.memory, r.address, (r.n_z, rows, row, ONE, ONE), strides, ONE):
        return False
    size = m.sizes[0].vector_bytes[r.memory]
    if r.n_y and r.n_x and not _in_memory(m, r, size):
        return False
    for z in range(r.n_z):
        source = m.bases[r.base] + r.offset + z * r.stride_z
        for y in range(rows):
            target = r.address + z * r.chip_stride_z + y * r.chip_stride_y
            if y < r.pad_top or y >= r.pad_top + r.n_y:
                _pad(m, r, target, row)
            else:
                _load_row(m, r, target, source + (y - r.pad_top) * r.stride_y, size)
    return True


@compiled
def store(m: ChipRecord, r: Any) -> bool:
    """Do what a store does; False: it is not begun."""
    counts = (r.n_z, r.n_y, r.n_x, ONE, ONE)
    strides = (r.chip_stride_z, r.chip_stride_y, r.chip_stride_x, ZERO, ZERO)
    if not (stays_inside(m, r.memory, r.address, counts, strides, ONE) and _in_memory(m, r, r.bytes)):
        return False
    size, data = m.sizes[0].vector_bytes[r.memory], m.memories[r.memory]
    runs, vectors = r.n_x, 1
    if r.bytes == size and r.stride_x == size and r.chip_stride_x == 1:
        runs, vectors = 1, r.n_x
    for z in range(r.n_z):
        for y in range(r.n_y):
            target = m.bases[r.base] + r.offset + z * r.stride_z + y * r.stride_y
            source = (r.address + z * r.chip_stride_z + y * r.chip_stride_y) * size
            for x in range(runs):
                place, origin = target + x * r.stride_x, source + x * r.chip_stride_x * size
                copy_bytes(m.dram, place, data, origin, vectors * r.bytes)
    return True


@compiled
def _in_memory(m: ChipRecord, r: Any, length: int) -> bool:
    """Whether `length` bytes at each vector outside lie within the memory."""
    low = high = m.bases[r.base] + r.offset
    # Elsewhere the sums could wrap.
    if low < 0 or low > len(m.dram):
        return False
    for extent in ((r.n_z - 1) * r.stride_z, (r.n_y - 1) * r.stride_y, (r.n_x - 1) * r.stride_x):
        low += min(extent, 0)
        high += max(extent, 0)
    return low >= 0 and high + length <= len(m.dram)


@compiled
def _load_row(m: ChipRecord, r: Any, target: int, source: int, size: int) -> None:
    _pad(m, r, target, r.pad_left)
    data, place = m.memories[r.memory], (target + r.pad_left) * size
    if r.stride_x == size:
        copy_bytes(data, place, m.dram, source, r.n_x * size)
    else:
        for x in range(r.n_x):
            copy_bytes(data, place + x * size, m.dram, source + x * r.stride_x, size)
    _pad(m, r, target + r.pad_left + r.n_x, r.pad_right)


@compiled
def _pad(m: ChipRecord, r: Any, target: int, vectors: int) -> None:
    cols, words = m.sizes[0].cols, r.memory >= _FIRST_WORDS
    data, element, value = m.memories[r.memory], 4 if words else 1, spread(r.pad_value)
    for first in range(target * cols, (target + vectors) * cols, LANES):
        count = min(LANES, (target + vectors) * cols - first)
        store_lanes(m, data, first * element, value, words, count)
