"""The cycles of tiled windows, estimated in closed form: engines side by side."""

from itertools import accumulate
from typing import NamedTuple

from tilewright.compiler.targets.accel.cost.bound import read_cycles, write_cycles
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
        row_bytes = 4 * config.cols * windows.parameter_vectors
        self.parameters = read_cycles(config, 1, row_bytes, self._latency) if row_bytes else 0
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
        items, reduced = height * width, windows.reduced
        first = vector_occupancy(0, items * reduced, 1, 0) if windows.keeps_accumulators else 0
        left = 1 if windows.keeps_accumulators else reduced
        each = item_interval(int(windows.parameter_vectors > 0), left, interval)
        return WindowTile(
            load=read_cycles(config, read_rows, read_columns * config.cols, self._latency) + padding,
            first_work=first,
            last_work=vector_occupancy(windows.parameter_vectors, items * left, each, 0),
            store=write_cycles(config, height, width * config.cols, self._latency),
        )

    def work(self, tile: WindowTile) -> int:
        """Cycles of the vector engine, whose second instruction waits for the first one."""
        gap = vector_depth(self._config.requant_interval) + 1 if tile.first_work else 0
        return tile.first_work + gap + tile.last_work

    def load(self, tile: WindowTile) -> int:
        """Cycles of the bus for all operands and for the instructions."""
        fetch = self.instructions * INSTRUCTION_BYTES // self._config.bus_bytes
        return self._windows.operands * tile.load + fetch


def window_cycles(tiling: WindowTiling) -> int:
    """Cycles of all windows: engines side by side, but for the first loads and the last results."""
    costs, blocks = WindowCosts(tiling), tiling.windows.blocks
    first, last = costs.tiles[0], costs.tiles[-1]
    load = blocks * (costs.parameters + sum(map(costs.load, costs.tiles)))
    work = blocks * sum(map(costs.work, costs.tiles))
    store = blocks * sum(tile.store for tile in costs.tiles)
    alone = costs.load(first) + tiling.latency_cycles + costs.work(last) + last.store
    alone += vector_depth(tiling.config.requant_interval)
    is_one = blocks * len(costs.tiles) == 1
    if tiling.input_depth == 1 and not is_one:
        return alone + load + work + store
    # With one buffer of results, the vector engine waits for the store.
    busy = work + store if tiling.result_depth == 1 and not is_one else max(work, store)
    return max(load, busy) + alone
