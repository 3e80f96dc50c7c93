"""The event model of a tiled chain: when each engine is done, task by task, in the order of its schedule."""

from itertools import accumulate
from math import inf

from tilewright.compiler.targets.accel.cost.chain import ChainTiling
from tilewright.compiler.targets.accel.cost.chain_bound import costs_of_tiles, instructions_of, tile_cycles
from tilewright.compiler.targets.accel.cost.engines import Engines, Pool
from tilewright.isa.timing import ACCUMULATOR_DISTANCE, matrix_depth, vector_depth

_LEAST_TILES = 4
"""Of which the first ones say how a chain begins, and the others how it goes on."""


def modelled_chain_cycles(tiling: ChainTiling) -> int:
    """Cycles of the whole chain."""
    return _run(_ChainModel(tiling), len(tiling.tiles)).end


def chain_cycles_within(tiling: ChainTiling, limit: float) -> int | None:
    """The same; None where they are more than a limit, as soon as that is sure."""
    model = _run(_ChainModel(tiling), len(tiling.tiles), limit)
    return None if model.end > limit else model.end


def likely_chain_cycles(tiling: ChainTiling, instructions: int) -> int:
    """About the same in less time: of tiles beyond so many instructions, what the closed form says of them.

    The closed form is as far off there as it is for the tiles before, but for the first ones.
    """
    tiles = len(tiling.tiles)
    modelled = min(tiles, max(_LEAST_TILES, instructions * tiles // instructions_of(tiling)))
    model = _run(_ChainModel(tiling), modelled)
    if modelled == tiles:
        return model.end
    known = {cost: int(tile_cycles(cost, tiling.chain, tiling.config)) for cost in set(model.costs)}
    closed = [known[cost] for cost in model.costs]
    first = modelled // 2
    later = model.ends[modelled - 1] - model.ends[first - 1]
    return model.end + later * sum(closed[modelled:]) // sum(closed[first:modelled])


def _run(model: "_ChainModel", tiles: int, limit: float = inf) -> "_ChainModel":
    """The model behind some of the tiles; its end is beyond a limit as soon as that is sure."""
    tiling = model.tiling
    blocks, lag = tiling.chain.blocks, tiling.lag
    for step in range(tiles * blocks + tiling.drain):
        if step < tiling.steps:
            model.load(step)
        if lag:
            model.filter(step - lag)
        model.expand(step)
        if not lag:
            model.filter(step)
        model.project(step - lag - 1)
        last = step - tiling.drain
        if last >= 0 and last % blocks == blocks - 1:
            model.finish(last // blocks)
        if model.least_end(step) > limit:
            model.end = model.least_end(step)
            break
    return model


def _sums_from(numbers: list[int]) -> list[int]:
    """Of each number and all behind it."""
    return list(accumulate(reversed(numbers)))[::-1]


class _ChainModel(Engines):
    """The state of the modelled machine; what is not a step of the chain is nothing to do.

    Members:
        tiling: what is modelled.
        costs: of each tile.
        end: the cycle after the last finish.
        ends: the same by tile, of those that are finished.
    """

    def __init__(self, tiling: ChainTiling) -> None:
        config, depths = tiling.config, tiling.depths
        super().__init__(config, tiling.latency_cycles, instructions_of(tiling))
        self.tiling, self._chain, self._config = tiling, tiling.chain, config
        self._working = self._matrix_queue
        self.costs = costs_of_tiles(tiling.tiles, tiling.chain, config, tiling.latency_cycles)
        self._inputs, self._padded, self._filtered = (
            Pool(size) for size in (depths.inputs, depths.padded, depths.filtered)
        )
        self._expanded, self._sums = Pool(depths.expanded), Pool(depths.sums)
        self._expand_weights, self._weights = Pool(depths.expand_weights), Pool(depths.weights)
        self._vectors, self._result_vectors = Pool(depths.vectors), Pool(depths.result_vectors)
        self._results, self._residuals = Pool(depths.results), Pool(depths.residuals)
        self._matrix_depth = matrix_depth(config.rows, config.cols)
        self._vector_depth = vector_depth(config.requant_interval, config.vector_taps)
        # The end of the last stream of the array, and of the last reader of the accumulators between.
        self._stream, self._requantised = 0, 0
        self.end, self.ends = 0, list[int]()
        # Of a step of each tile, and of all steps of later tiles.
        self._vector_work, self._later_vector_work = self._work_of([each.step.vector for each in self.costs])
        self._matrix_work, self._later_matrix_work = self._work_of(
            [
                config.slices * (self._chain.in_blocks * step.expand + self._chain.out_blocks * step.project)
                for step in (each.step for each in self.costs)
            ]
        )

    def _work_of(self, steps: list[int]) -> tuple[list[int], list[int]]:
        """The work of a step of each tile, and that of all steps of the tiles behind it."""
        whole = [self._chain.blocks * each for each in steps]
        return steps, [total - own for total, own in zip(_sums_from(whole), whole, strict=True)]

    def least_end(self, step: int) -> int:
        """The least cycle in which all is done, behind a step: engines have the work of later ones to do."""
        tile, block = divmod(step, self._chain.blocks)
        vector, stream = self._vector_queue.free, self._stream
        if tile < len(self.costs):
            left = self._chain.blocks - 1 - block
            vector += left * self._vector_work[tile] + self._later_vector_work[tile]
            stream += left * self._matrix_work[tile] + self._later_matrix_work[tile]
        return vector if vector > stream else stream

    def load(self, step: int) -> None:
        """What a step loads, behind the input of its tile."""
        chain, (tile, block) = self._chain, divmod(step, self._chain.blocks)
        cost = self.costs[tile]
        if chain.expands:
            if block == 0:
                self._load(self._inputs, tile, cost.inputs)
            self._load(self._expand_weights, block, cost.step.expand_weights)
        self._load(self._weights, block, cost.step.weights)
        self._load(self._vectors, block, cost.step.vectors)
        if cost.step.fill:
            self._load(self._padded, step, cost.step.fill)
        elif chain.expands:
            self._padded.put(step, self._padded.make_room())

    def expand(self, step: int) -> None:
        """The expansion of a step, and its requantisation."""
        if step >= self.tiling.steps or not self._chain.expands:
            return
        tile, block = divmod(step, self._chain.blocks)
        cost = self.costs[tile].step
        room = self._expanded.make_room()
        begin = max(self._inputs.ready[tile], self._expand_weights.ready[block], room)
        # Both claim the accumulators' bank.
        done = self._stream_tiles(max(begin, self._requantised), self._chain.in_blocks, cost.expand)
        self._expanded.put(step, done)
        self._inputs.finish(tile, done)
        self._expand_weights.finish(block, done)
        ready = max(done, self._vectors.ready[block], self._padded.ready[step])
        self._requantised = done = self._work(ready, cost.requantise)
        self._expanded.finish(step, done)
        self._vectors.finish(block, done)
        self._padded.ready[step] = self._padded.done[step] = done

    def filter(self, step: int) -> None:
        """The depthwise convolution of a step."""
        if not 0 <= step < self.tiling.steps:
            return
        tile, block = divmod(step, self._chain.blocks)
        ready = max(self._padded.ready[step], self._filtered.make_room(), self._vectors.ready[block])
        done = self._work(ready, self.costs[tile].step.filter)
        self._filtered.put(step, done)
        self._padded.finish(step, done)
        self._vectors.finish(block, done)

    def project(self, step: int) -> None:
        """The products of a step for all blocks of results."""
        if not 0 <= step < self.tiling.steps:
            return
        tile, block = divmod(step, self._chain.blocks)
        if block == 0:
            self._sums.put(tile, self._sums.make_room())
        begin = max(self._filtered.ready[step], self._weights.ready[block], self._sums.ready[tile])
        period, gap = self.costs[tile].step.project, (ACCUMULATOR_DISTANCE - 1) * (block > 0)
        done = self._stream_tiles(begin, 1, period, gap, self._chain.out_blocks)
        self._filtered.finish(step, done)
        self._weights.finish(block, done)
        self._sums.finish(tile, done)

    def finish(self, tile: int) -> None:
        """The results of a tile."""
        cost, chain = self.costs[tile], self._chain
        summed = self._sums.done[tile]
        for block in range(chain.out_blocks):
            number = tile * chain.out_blocks + block
            ready = max(summed, self._results.make_room())
            if chain.residual:
                self._load(self._residuals, number, cost.residual)
                ready = max(ready, self._residuals.ready[number])
            self._load(self._result_vectors, block, cost.result_vectors)
            done = self._work(max(ready, self._result_vectors.ready[block]), cost.result)
            self._results.put(number, done)
            self._result_vectors.finish(block, done)
            self._residuals.finish(number, done)
            begin = self._store_queue.issue(max(done, self._dispatch(self._store_queue)), cost.store)
            self.end = begin + cost.store + self.landing_cycles + 1
            self._results.finish(number, self.end)
            self._sums.finish(tile, done)
        self.ends.append(self.end)

    # What this method calls is written out in it: most instructions are of the array.

    def _stream_tiles(self, ready: int, tiles: int, period: int, gap: int = 0, blocks: int = 1) -> int:
        """When the accumulators of weight tiles are complete, of an instruction for each block and slice."""
        queue, stream = self._matrix_queue, self._stream
        starts, free, rows, busy = queue.starts, queue.free, self._config.rows, tiles * period
        dispatched, depth, fetch = self._dispatched, self._queue_depth, self._fetch
        count = blocks * self._config.slices
        for _ in range(count):
            dispatched += fetch
            if len(starts) >= depth and starts[-depth] >= dispatched:
                dispatched = starts[-depth] + 1
            begin = max(ready, dispatched + 1, free)
            starts.append(begin)
            stream = max(begin + rows, stream + gap) + busy
            # The next one preloads its weights while the last tile streams.
            free = max(begin, stream - period) + 1
        queue.numbers.extend(range(self._number + 1, self._number + count + 1))
        self._number += count
        self._dispatched, queue.free, self._stream = dispatched, free, stream
        return stream - 1 + self._matrix_depth

    def _work(self, ready: int, busy: int) -> int:
        """When an instruction of the vector engine is done."""
        begin = max(ready, self._dispatch(self._vector_queue))
        return self._vector_queue.issue(begin, busy) + busy + self._vector_depth
