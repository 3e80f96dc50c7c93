"""The event model of a tiled convolution: when each engine is done, task by task.

The engines are those of `Engines`; what banks of accumulators hold up is counted, too, ports of other banks
are not.

A model stops early where it cannot end within a limit: the array must still stream what is left.
"""

from collections import deque
from math import inf
from typing import NamedTuple

from tilewright.compiler.targets.accel.cost.burst import (
    Rows,
    input_rows,
    read_cycles,
    result_rows,
    write_cycles,
)
from tilewright.compiler.targets.accel.cost.engines import Engines, Pool
from tilewright.compiler.targets.accel.cost.loop_order import (
    InterleaveSlot,
    ReductionTile,
    ResultTile,
    interleave_slots,
    tiles_of,
)
from tilewright.compiler.targets.accel.cost.problem import TileSizes, Tiling
from tilewright.isa.timing import (
    ACCUMULATOR_DISTANCE,
    item_interval,
    matrix_depth,
    tile_period,
    vector_depth,
    vector_occupancy,
)


def instructions_of(tile_sizes: TileSizes) -> int:
    """The number of matrix instructions; the event model takes some microseconds for each."""
    reduction_tiles: int = (
        tile_sizes.row_tiles * tile_sizes.first_reduction_tiles
        + (tile_sizes.tiles - tile_sizes.row_tiles) * tile_sizes.reduction_tiles
    )
    return tile_sizes.convolution.out_blocks * reduction_tiles * tile_sizes.config.slices


def _least_instructions(tile_sizes: TileSizes) -> int:
    """The number of instructions, if nothing is loaded twice but in reduction tiles of both sizes."""
    blocks, slices = tile_sizes.convolution.out_blocks, tile_sizes.config.slices
    matrix = instructions_of(tile_sizes)
    inputs = matrix // (blocks * slices)
    first_reduction_tiles = tile_sizes.first_reduction_tiles if tile_sizes.first_reduction_blocks else 0
    weights: int = blocks * slices * (tile_sizes.reduction_tiles + first_reduction_tiles)
    results: int = (2 + tile_sizes.convolution.residual) * tile_sizes.tiles * blocks
    return matrix + inputs + weights + blocks + results


def cycles_within(tiling: Tiling, limit: float) -> int | None:
    """Cycles of the whole convolution; None if they are surely more than `limit`.

    Args:
        tiling: with depths of at least one for each thread of what threads do not share.
        limit: from here on the number is of no interest.
    """
    model = _EventModel(tiling)
    left = _streamed_cycles(tiling.tile_sizes) + model.least_tail_cycles()
    for slot in interleave_slots(tiling):
        if model.stream + left > limit:
            return None
        left -= model.add(slot)
    return model.end()


def modelled_cycles(tiling: Tiling) -> int:
    """Cycles of the whole convolution: `cycles_within` no limit."""
    cycles = cycles_within(tiling, inf)
    assert cycles is not None, "without a limit it goes to the end"
    return cycles


def _streamed_cycles(tile_sizes: TileSizes) -> int:
    """Cycles of the array alone."""
    kernel, config = tile_sizes.convolution.kernel, tile_sizes.config
    weight_tiles = config.slices * kernel[0] * kernel[1] * tile_sizes.convolution.in_blocks
    periods = (tile_period(_vectors(tile_sizes, tile), config.rows) for tile in tiles_of(tile_sizes))
    return tile_sizes.convolution.out_blocks * weight_tiles * sum(periods)


def _vectors(tile_sizes: TileSizes, tile: ResultTile) -> int:
    """Accumulator vectors of a block of a tile."""
    convolution = tile_sizes.convolution
    return int(convolution.accumulators(tile.height, 0) * convolution.accumulators(tile.width, 1))


# --- when it is done ---------------------------------------------------------------------------------------


class _TileTimes(NamedTuple):
    """Cycles of one block of a tile of results.

    Members:
        vectors: of accumulators.
        period: from weight tile to weight tile.
        vector_cycles, store_cycles, residual_cycles: for which the other engines are busy.
    """

    vectors: int
    period: int
    vector_cycles: int
    store_cycles: int
    residual_cycles: int


class _Step(NamedTuple):
    """A reduction tile, in a tile of some size.

    Members:
        number, last: of the reduction tile.
        tiles: of weights, of one slice.
        input_cycles, weight_cycles: of their loads.
        weights: key of the weights of block 0.
    """

    number: int
    last: bool
    tiles: int
    input_cycles: int
    weight_cycles: int
    weights: int


class _Leaving(NamedTuple):
    """A block of results whose accumulators are complete.

    Members:
        accumulators: which ones.
        block: of the output.
        bank: of its accumulators.
        ready: when everything but the accumulators is there.
        dispatched, stored: when its instructions can be in their queues.
        times: of its tile.
    """

    accumulators: int
    block: int
    bank: int
    ready: int
    dispatched: int
    stored: int
    times: _TileTimes


class _Costs:
    """The cycles of tiles and reduction tiles, each computed once."""

    def __init__(self, tile_sizes: TileSizes) -> None:
        self._tile_sizes = tile_sizes
        self._times: dict[tuple[int, int], _TileTimes] = {}
        self._steps: dict[tuple[int, int, int], list[_Step]] = {}
        self._keys: dict[tuple[int, int, int], int] = {}

    def times(self, tile: ResultTile) -> _TileTimes:
        size = tile.height, tile.width
        if size not in self._times:
            self._times[size] = self._times_of(tile)
        return self._times[size]

    def _times_of(self, tile: ResultTile) -> _TileTimes:
        config, convolution = self._tile_sizes.config, self._tile_sizes.convolution
        reduced = convolution.pool_kernel[0] * convolution.pool_kernel[1]
        interval = item_interval(1, reduced, config.requant_interval)
        items = tile.height * tile.width * reduced
        rows = result_rows(self._tile_sizes, tile.height, tile.width)
        vectors, latency = _vectors(self._tile_sizes, tile), self._tile_sizes.latency_cycles
        return _TileTimes(
            vectors=vectors,
            period=tile_period(vectors, config.rows),
            vector_cycles=vector_occupancy(convolution.parameter_vectors, items, interval, 0),
            store_cycles=write_cycles(config, rows, latency),
            residual_cycles=read_cycles(config, rows, latency),
        )

    def steps(self, slot: InterleaveSlot) -> list[_Step]:
        tile, reduction_tiles = slot.tile, slot.reduction_tiles
        size = tile.height, tile.width, id(reduction_tiles)
        if size not in self._steps:
            self._steps[size] = [self._step(tile, reduction_tile) for reduction_tile in reduction_tiles]
        return self._steps[size]

    def _step(self, tile: ResultTile, reduction_tile: ReductionTile) -> _Step:
        convolution, config = self._tile_sizes.convolution, self._tile_sizes.config
        latency = self._tile_sizes.latency_cycles
        taps = reduction_tile.rows, reduction_tile.columns
        inputs = input_rows(self._tile_sizes, tile.height, tile.width, taps, reduction_tile.blocks)
        is_dense = reduction_tile.blocks == convolution.in_blocks
        weight_rows = 1 if is_dense else reduction_tile.rows * reduction_tile.columns
        row_bytes = reduction_tile.tiles * config.rows * config.cols // weight_rows
        weights = Rows(count=weight_rows, row_bytes=row_bytes, origin_bytes=row_bytes)
        key = self._keys.setdefault(
            (reduction_tile.number, reduction_tile.first, reduction_tile.blocks), len(self._keys)
        )
        return _Step(
            number=reduction_tile.number,
            last=reduction_tile.last,
            tiles=reduction_tile.tiles,
            input_cycles=read_cycles(config, inputs, latency),
            weight_cycles=read_cycles(config, weights, latency),
            weights=key * config.slices * convolution.out_blocks,
        )


class _EventModel(Engines):
    """The state of the modelled machine.

    Members:
        stream: the end of the last stream of the array.
    """

    def __init__(self, tiling: Tiling) -> None:
        tile_sizes, depths = tiling.tile_sizes, tiling.depths
        config = tile_sizes.config
        super().__init__(config, tile_sizes.latency_cycles, _least_instructions(tile_sizes))
        self._working = self._matrix_queue
        self._tile_sizes, self._costs = tile_sizes, _Costs(tile_sizes)
        self._blocks, self._slices, self._rows = tile_sizes.convolution.out_blocks, config.slices, config.rows
        self._reduction_tiles = max(tile_sizes.reduction_tiles, tile_sizes.first_reduction_tiles)
        self._inputs, self._weights = Pool(depths.inputs), Pool(depths.weights)
        self._accumulators, self._results = Pool(depths.accumulators), Pool(depths.results)
        self._parameters, self._residuals = Pool(depths.parameters), Pool(depths.residuals)
        self.stream = 0
        # For which accumulators the array streamed last.
        self._last_accumulators = -1
        # By bank of accumulators: who claims it, until when.
        self._accumulating, self._draining = [0] * config.accumulator_banks, [0] * config.accumulator_banks
        self._bank: dict[int, int] = {}
        # Blocks of results that may have to let the array go first.
        self._leaving: deque[_Leaving] = deque()
        self._end = 0
        self._matrix_depth = matrix_depth(config.rows, config.cols)
        self._vector_depth = vector_depth(config.requant_interval, config.vector_taps)
        parameter_bytes = 4 * config.cols * tile_sizes.convolution.parameter_vectors
        parameters = Rows(count=1, row_bytes=parameter_bytes, origin_bytes=parameter_bytes)
        self._parameter_cycles = read_cycles(config, parameters, tile_sizes.latency_cycles)

    def least_tail_cycles(self) -> int:
        """The fewest cycles from the end of the last stream to the end of all."""
        times = self._costs.times(tiles_of(self._tile_sizes)[-1])
        accumulators = times.vectors - 1 - times.period + self._matrix_depth
        results = times.vector_cycles + self._vector_depth
        return accumulators + results + times.store_cycles + self.landing_cycles + 1

    def add(self, slot: InterleaveSlot) -> int:
        """Model an interleave slot, and what begins or ends with it.

        Returns:
            The cycles for which the array streams.
        """
        times, slices, blocks = self._costs.times(slot.tile), self._slices, self._blocks
        first_accumulators, first_input = slot.tile.number * blocks, slot.tile.number * self._reduction_tiles
        load, multiply, tiles = self._load, self._multiply, 0
        for step in self._costs.steps(slot):
            contents, tiles = first_input + step.number, tiles + step.tiles
            first_block = slot.blocks[0]
            for block in slot.blocks:
                if step.number == 0:
                    self._begin(first_accumulators + block)
                if block == first_block:
                    load(self._inputs, contents, step.input_cycles)
                for part in range(slices):
                    weights = step.weights + part * blocks + block
                    load(self._weights, weights, step.weight_cycles)
                    adds = step.number + part > 0
                    multiply(first_accumulators + block, contents, weights, times, step.tiles, adds)
                if step.last:
                    self._leave(first_accumulators + block, block, times)
        return len(slot.blocks) * slices * tiles * times.period

    def end(self) -> int:
        """The cycle after the last finish."""
        self._drain(len(self._leaving))
        return self._end

    def _begin(self, accumulators: int) -> None:
        if len(self._accumulators.ready) >= self._accumulators.size:
            self._drain(self._place(next(iter(self._accumulators.ready))) + 1)
        self._accumulators.put(accumulators, self._accumulators.make_room())
        self._bank[accumulators] = len(self._bank) % len(self._accumulating)

    def _place(self, accumulators: int) -> int:
        """The position of accumulators among those that leave; -1 if they left."""
        return next((n for n, each in enumerate(self._leaving) if each.accumulators == accumulators), -1)

    # What this method calls is written out in it: it is most of the work, with `_load`.

    def _multiply(
        self, accumulators: int, inputs: int, weights: int, times: _TileTimes, tiles: int, adds: bool
    ) -> None:
        queue, bank = self._matrix_queue, self._bank[accumulators]
        begin = max(
            self._dispatch(queue),
            self._inputs.ready[inputs],
            self._weights.ready[weights],
            self._accumulators.ready[accumulators],
            queue.free,
        )
        if self._leaving:
            self._let_go_first(bank, begin)
        if self._draining[bank] > begin:
            begin = self._draining[bank]
        queue.starts.append(begin)
        stream, begin = self.stream, begin + self._rows
        if adds and accumulators != self._last_accumulators:
            stream += ACCUMULATOR_DISTANCE - 1
        period = times.period
        self.stream = stream = (begin if begin > stream else stream) + tiles * period
        self._last_accumulators = accumulators
        last = stream - period
        queue.free = last + 1
        done = last + times.vectors - 1 + self._matrix_depth
        self._inputs.done[inputs] = self._weights.done[weights] = self._accumulating[bank] = done

    # --- results ---

    def _leave(self, accumulators: int, block: int, times: _TileTimes) -> None:
        """What a block of results still waits for when its accumulators are complete, but for their bank."""
        self._load(self._parameters, block, self._parameter_cycles)
        ready = self._parameters.ready[block]
        if self._tile_sizes.convolution.residual:
            self._load(self._residuals, accumulators, times.residual_cycles)
            ready = max(ready, self._residuals.ready[accumulators])
        dispatched, stored = self._dispatch(self._vector_queue), self._dispatch(self._store_queue)
        self._leaving.append(
            _Leaving(accumulators, block, self._bank[accumulators], ready, dispatched, stored, times)
        )

    def _let_go_first(self, bank: int, begin: int) -> None:
        """Drain what is ready before the array can claim the bank at `begin`."""
        for number, leaving in enumerate(self._leaving):
            # They leave in order: one that cannot yet holds up those behind it.
            if leaving.ready >= begin or self._accumulating[leaving.bank] >= begin:
                return
            if leaving.bank == bank:
                self._drain(number + 1)
                return

    def _drain(self, count: int) -> None:
        """Requantise and store the first blocks of results."""
        for _ in range(count):
            self._finish(self._leaving.popleft())

    def _finish(self, leaving: _Leaving) -> None:
        accumulators, bank, busy = leaving.accumulators, leaving.bank, leaving.times.vector_cycles
        ready = max(self._accumulating[bank], leaving.ready, self._results.make_room(), leaving.dispatched)
        done = self._vector_queue.issue(ready, busy) + busy + self._vector_depth
        self._accumulators.finish(accumulators, done)
        self._parameters.finish(leaving.block, done)
        self._residuals.finish(accumulators, done)
        self._draining[bank] = done
        self._results.put(accumulators, done)
        busy = leaving.times.store_cycles
        begin = self._store_queue.issue(max(leaving.stored, done), busy)
        self._results.done[accumulators] = self._end = begin + busy + self.landing_cycles + 1
