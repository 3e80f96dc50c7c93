"""The cycles of the parts of tiled windows, and of all of them in closed form: engines side by side."""

from itertools import accumulate
from math import gcd
from typing import NamedTuple

import numpy as np

from tilewright.compiler.targets.accel.cost.bound import many_read_cycles, many_write_cycles
from tilewright.compiler.targets.accel.cost.burst import Rows, read_cycles, write_cycles
from tilewright.compiler.targets.accel.cost.problem import Number
from tilewright.compiler.targets.accel.cost.window import WindowTiling
from tilewright.isa.config import INSTRUCTION_BYTES
from tilewright.isa.timing import item_interval, vector_depth, vector_occupancy


class WindowTile(NamedTuple):
    """Cycles of the engines for a tile of results of one block.

    Members:
        load: of the bus, for one operand.
        first_work: of the vector engine, for the instruction that leaves accumulators; 0 if there is none.
        last_work: of the vector engine, for the instruction that makes results.
        store: of the bus, for results.
    """

    load: int
    first_work: int
    last_work: int
    store: int


class WindowCosts:
    """Cycles of the tiles of a block.

    Members:
        tiles: in their order.
        parameters: of the bus, for those of the block.
        instructions: of a tile.
    """

    def __init__(self, tiling: WindowTiling) -> None:
        windows, config = tiling.windows, tiling.config
        self._tiling, self._windows, self._config = tiling, windows, config
        self._latency = tiling.latency_cycles
        self.parameters = _parameter_cycles(tiling)
        self.instructions = windows.operands + 2 + windows.keeps_accumulators
        self.tiles = self._tiles()

    def _tiles(self) -> list[WindowTile]:
        windows = self._windows
        rows, columns = (
            [
                (size, windows.inputs(size, axis), windows.loaded(end - size, size, axis))
                for size, end in zip(sizes, accumulate(sizes), strict=True)
            ]
            for axis, sizes in enumerate((self._tiling.heights, self._tiling.widths))
        )
        costs = {key: self._tile(*key) for key in {(row, column) for row in rows for column in columns}}
        return [costs[row, column] for row in rows for column in columns]

    def _tile(self, rows: tuple[int, int, int], columns: tuple[int, int, int]) -> WindowTile:
        """The cycles of a tile, of which each axis has results, inputs, and inputs that lie in memory."""
        config, windows, interval = self._config, self._windows, self._config.requant_interval
        (height, all_rows, read_rows), (width, all_columns, read_columns) = rows, columns
        padding = all_rows * all_columns - read_rows * read_columns
        items = reducing = windows.items(height, width, config)
        first, left = 0, windows.least_items(config)
        if windows.keeps_accumulators:
            first, items, left = vector_occupancy(0, reducing, 1, 0), height * width, 1
        each = item_interval(int(windows.parameter_vectors > 0), left, interval)
        return WindowTile(
            load=read_cycles(config, _inputs(self._tiling, read_rows, read_columns), self._latency) + padding,
            first_work=first,
            last_work=vector_occupancy(windows.parameter_vectors, items, each, 0),
            store=write_cycles(config, _results(self._tiling, height, width), self._latency),
        )


def window_cycles(tiling: WindowTiling) -> Number:
    """Cycles of all windows: engines side by side, but for the first loads and the last results.

    Args:
        tiling: of ints; or of int64[n], for n tilings at once. Padding counts as if it were loaded.
    """
    windows, config = tiling.windows, tiling.config
    busy, first, last = window_busy(tiling), *first_and_last(tiling)
    alone = first.load + tiling.latency_cycles + last.work + last.store
    alone = alone + vector_depth(config.requant_interval, config.vector_taps)
    is_one = (windows.blocks == 1) & (tiling.height >= windows.height) & (tiling.width >= windows.width)
    # With one buffer of results, the vector engine waits for the store.
    computed = np.where(
        (tiling.result_depth == 1) & ~is_one, busy.work + busy.store, np.maximum(busy.work, busy.store)
    )
    hidden = np.maximum(busy.load, computed)
    serial = busy.load + busy.work + busy.store
    return alone + np.where((tiling.input_depth == 1) & ~is_one, serial, hidden)


class WindowBusy(NamedTuple):
    """Cycles for which engines are busy: the bus with loads, the vector engine, the bus with stores."""

    load: Number
    work: Number
    store: Number


def window_busy(tiling: WindowTiling) -> WindowBusy:
    """Of all windows."""
    windows = tiling.windows
    tiles = [
        (count_y * count_x, _busy(tiling, height, width))
        for height, count_y in _row_sizes(tiling)
        for width, count_x in _column_sizes(tiling)
    ]
    load, work, store = (
        windows.blocks * sum(count * each[n] for count, each in tiles) for n in range(len(WindowBusy._fields))
    )
    return WindowBusy(load + windows.blocks * _parameter_cycles(tiling), work, store)


def first_and_last(tiling: WindowTiling) -> tuple[WindowBusy, WindowBusy]:
    """Of the first tile and of the last one."""
    (top, _), (height, further), (low, is_low) = _row_sizes(tiling)
    (whole, many), (rest, is_rest) = _column_sizes(tiling)
    width = np.where(many > 0, whole, rest)
    last_height = np.where(is_low > 0, low, np.where(further > 0, height, top))
    last_width = np.where(is_rest > 0, rest, width)
    return _busy(tiling, top, width), _busy(tiling, last_height, last_width)


def _row_sizes(tiling: WindowTiling) -> list[tuple[Number, Number]]:
    """Heights of rows of tiles, and how often each comes: of the first, of further ones, of the last."""
    whole = tiling.windows.height
    height = tiling.height
    first = np.minimum(height if tiling.first_height is None else tiling.first_height, whole)
    left = whole - first
    return [(first, np.ones_like(first)), (height, left // height), (left % height, np.sign(left % height))]


def _column_sizes(tiling: WindowTiling) -> list[tuple[Number, Number]]:
    whole, width = tiling.windows.width, tiling.width
    return [(width, whole // width), (whole % width, np.sign(whole % width))]


def _busy(tiling: WindowTiling, height: Number, width: Number) -> WindowBusy:
    """Cycles of a tile of one block."""
    windows, config, latency = tiling.windows, tiling.config, tiling.latency_cycles
    interval, items = config.requant_interval, windows.items(height, width, config)
    rows, columns = windows.inputs(height, 0), windows.inputs(width, 1)
    if windows.source is not None:
        rows, columns = np.minimum(rows, windows.source[0]), np.minimum(columns, windows.source[1])
    fetch = (windows.operands + 2 + windows.keeps_accumulators) * INSTRUCTION_BYTES // config.bus_bytes
    load = windows.operands * many_read_cycles(config, rows, columns * config.cols, latency) + fetch
    results, left = (
        (height * width, 1) if windows.keeps_accumulators else (items, windows.least_items(config))
    )
    each = item_interval(int(windows.parameter_vectors > 0), left, interval)
    work = vector_occupancy(windows.parameter_vectors, results, each, 0)
    if windows.keeps_accumulators:
        # The second instruction waits for the first one.
        depth = vector_depth(interval, config.vector_taps)
        work = work + vector_occupancy(0, items, 1, 0) + depth + 1
    return WindowBusy(load, work, many_write_cycles(config, height, width * config.cols, latency))


def _inputs(tiling: WindowTiling, rows: int, columns: int) -> Rows:
    """What a tile loads of an operand."""
    windows, cols = tiling.windows, tiling.config.cols
    step = windows.strides[1]
    # With padding, rows begin anywhere.
    is_single = windows.kernel == (1, 1)
    origin = gcd(windows.width * step, tiling.width * step) if is_single else 1
    return Rows(count=rows, row_bytes=columns * cols, origin_bytes=origin * cols)


def _results(tiling: WindowTiling, height: int, width: int) -> Rows:
    """What a tile stores, which begins where tiles do."""
    cols, origin = tiling.config.cols, gcd(tiling.windows.width, tiling.width)
    return Rows(count=height, row_bytes=width * cols, origin_bytes=origin * cols)


def _parameter_cycles(tiling: WindowTiling) -> int:
    row_bytes = 4 * tiling.config.cols * tiling.windows.parameter_vectors
    rows = Rows(count=1, row_bytes=row_bytes, origin_bytes=row_bytes)
    return read_cycles(tiling.config, rows, tiling.latency_cycles) if row_bytes else 0
