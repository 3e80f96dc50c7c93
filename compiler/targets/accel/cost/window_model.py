"""The event model of tiled windows: when each engine is done, task by task.

After some blocks each further one takes as long as the one before: only the first are modelled.
"""

from tilewright.compiler.targets.accel.cost.engines import Engines, Pool
from tilewright.compiler.targets.accel.cost.window import WindowTiling
from tilewright.compiler.targets.accel.cost.window_bound import WindowCosts, WindowTile
from tilewright.isa.timing import vector_depth

_BLOCKS_MODELLED = 6
"""Blocks until the next one surely takes as long as the last two."""


def tasks_of(tiling: WindowTiling) -> int:
    """The number of tasks that are modelled; each takes some microseconds."""
    blocks = min(tiling.windows.blocks, _BLOCKS_MODELLED)
    return blocks * len(tiling.heights) * len(tiling.widths) * (tiling.windows.operands + 3)


def modelled_window_cycles(tiling: WindowTiling) -> int:
    """Cycles of all windows."""
    model = _WindowModel(tiling)
    blocks = tiling.windows.blocks
    ends = [model.add_block(block) for block in range(min(blocks, _BLOCKS_MODELLED))]
    if blocks <= _BLOCKS_MODELLED:
        return ends[-1]
    return ends[-1] + (blocks - _BLOCKS_MODELLED) * (ends[-1] - ends[-3]) // 2


class _WindowModel(Engines):
    """The state of the modelled machine."""

    def __init__(self, tiling: WindowTiling) -> None:
        windows, self._costs = tiling.windows, WindowCosts(tiling)
        instructions = windows.blocks * (len(self._costs.tiles) * self._costs.instructions + 1)
        super().__init__(tiling.config, tiling.latency_cycles, instructions)
        self._operands = [Pool(tiling.input_depth) for _ in range(windows.operands)]
        self._parameters, self._results = Pool(tiling.parameter_depth), Pool(tiling.result_depth)
        self._accumulators = Pool(tiling.accumulator_depth)
        self._has_parameters = windows.parameter_vectors > 0
        self._depth = vector_depth(tiling.config.requant_interval, tiling.config.vector_taps)
        self._end = 0

    def add_block(self, block: int) -> int:
        """Model a block of channels; returns the cycle after its last finish."""
        tiles = self._costs.tiles
        for number, tile in enumerate(tiles, block * len(tiles)):
            self._load_all(block, number, tile)
            done = self._compute(block, number, tile)
            self._store(number, done, tile)
        return self._end

    def _load_all(self, block: int, number: int, tile: WindowTile) -> None:
        """Everything is loaded before it is computed with, what the last instruction reads first."""
        if self._has_parameters:
            self._load(self._parameters, block, self._costs.parameters)
        for pool in reversed(self._operands):
            self._load(pool, number, tile.load)

    def _compute(self, block: int, number: int, tile: WindowTile) -> int:
        """When the results are complete."""
        read = list(self._operands)
        if tile.first_work:
            first = read.pop(0)
            done = self._work(first.ready[number], number, self._accumulators, tile.first_work)
            first.finish(number, done)
        ready = max(
            pool.ready[number] for pool in (*read, *([self._accumulators] if tile.first_work else []))
        )
        if self._has_parameters:
            ready = max(ready, self._parameters.ready[block])
        done = self._work(ready, number, self._results, tile.last_work)
        for pool in read:
            pool.finish(number, done)
        self._parameters.finish(block, done)
        self._accumulators.finish(number, done)
        return done

    def _work(self, ready: int, number: int, made: Pool, busy: int) -> int:
        """When an instruction of the vector engine is done that fills a buffer."""
        begin = max(ready, self._dispatch(self._vector_queue), made.make_room())
        done = self._vector_queue.issue(begin, busy) + busy + self._depth
        made.put(number, done)
        return done

    def _store(self, number: int, ready: int, tile: WindowTile) -> None:
        begin = self._store_queue.issue(max(ready, self._dispatch(self._store_queue)), tile.store)
        self._end = begin + tile.store + self.landing_cycles + 1
        self._results.finish(number, self._end)
