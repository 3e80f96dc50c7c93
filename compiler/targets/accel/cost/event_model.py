"""The event model of a tiled convolution: when each engine is done, task by task.

Engines take their tasks in order; an instance of a buffer is replaced once its last user is done. What bus,
queues and banks of accumulators hold up is counted; ports of other banks are not.

A model stops early where it cannot end within a limit: the array must still stream what is left.
"""

from bisect import bisect_right
from collections import OrderedDict, deque
from math import inf
from typing import NamedTuple

from tilewright.compiler.targets.accel.cost.bound import ASSUMED_LATENCY_CYCLES, read_cycles, write_cycles
from tilewright.compiler.targets.accel.cost.loop_order import (
    InterleaveSlot,
    ReductionTile,
    ResultTile,
    interleave_slots,
    tiles_of,
)
from tilewright.compiler.targets.accel.cost.problem import BufferDepths, TileSizes
from tilewright.isa.config import INSTRUCTION_BYTES
from tilewright.isa.timing import (
    ACCUMULATOR_DISTANCE,
    LANDING_VISIBLE,
    LANDING_WRITE,
    item_interval,
    matrix_depth,
    tile_period,
    vector_depth,
    vector_occupancy,
)

_LANDING_CYCLES = ASSUMED_LATENCY_CYCLES + LANDING_VISIBLE + LANDING_WRITE
"""Cycles from the last request of a load to its finish."""


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


def cycles_within(tile_sizes: TileSizes, depths: BufferDepths, threads: int, limit: float) -> int | None:
    """Cycles of the whole convolution; None if they are surely more than `limit`.

    Args:
        tile_sizes: of the convolution.
        depths: of its buffers; at least one for each thread of what threads do not share.
        threads: output blocks that are interleaved.
        limit: from here on the number is of no interest.
    """
    model = _EventModel(tile_sizes, depths)
    left = _streamed_cycles(tile_sizes) + model.least_tail_cycles()
    for slot in interleave_slots(tile_sizes, threads):
        if model.stream + left > limit:
            return None
        left -= model.add(slot)
    return model.end()


def modelled_cycles(tile_sizes: TileSizes, depths: BufferDepths, threads: int) -> int:
    """Cycles of the whole convolution: `cycles_within` no limit."""
    cycles = cycles_within(tile_sizes, depths, threads, inf)
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


class _Pool:
    """The instances of a buffer that exist at a time.

    Members:
        size: how many.
        ready: by contents, when these can be used; least recently used first.
        done: by contents, when their last user so far is done.
    """

    __slots__ = ("done", "ready", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.ready: OrderedDict[int, int] = OrderedDict()
        self.done: dict[int, int] = {}

    def make_room(self) -> int:
        """When new contents can replace the oldest."""
        if len(self.ready) < self.size:
            return 0
        oldest, _ = self.ready.popitem(last=False)
        return self.done.pop(oldest)

    def put(self, contents: int, ready: int) -> None:
        """New contents, once there is room."""
        self.ready[contents] = self.done[contents] = ready

    def finish(self, contents: int, done: int) -> None:
        """A user of contents is done; they may be gone."""
        if contents in self.ready:
            self.done[contents] = done


class _Queue:
    """An engine and its queue.

    Members:
        free: when it can take its next task.
        starts: of its tasks so far, rising.
        numbers: of its instructions so far, among those of all engines.
    """

    __slots__ = ("free", "numbers", "starts")

    def __init__(self) -> None:
        self.free = 0
        self.starts: list[int] = []
        self.numbers: list[int] = []

    def issue(self, begin: int, busy: int) -> int:
        """When a task starts that can at `begin` and takes the engine for so long."""
        begin = max(begin, self.free)
        self.starts.append(begin)
        self.free = begin + busy
        return begin


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
        items, row_bytes = tile.height * tile.width * reduced, tile.width * config.cols
        vectors = _vectors(self._tile_sizes, tile)
        return _TileTimes(
            vectors=vectors,
            period=tile_period(vectors, config.rows),
            vector_cycles=vector_occupancy(convolution.parameter_vectors, items, interval, 0),
            store_cycles=write_cycles(config, tile.height, row_bytes),
            residual_cycles=read_cycles(config, tile.height, row_bytes),
        )

    def steps(self, slot: InterleaveSlot) -> list[_Step]:
        tile, reduction_tiles = slot.tile, slot.reduction_tiles
        size = tile.height, tile.width, id(reduction_tiles)
        if size not in self._steps:
            self._steps[size] = [self._step(tile, reduction_tile) for reduction_tile in reduction_tiles]
        return self._steps[size]

    def _step(self, tile: ResultTile, reduction_tile: ReductionTile) -> _Step:
        convolution, config = self._tile_sizes.convolution, self._tile_sizes.config
        input_rows = reduction_tile.blocks * convolution.inputs(tile.height, reduction_tile.rows, 0)
        input_row_bytes = convolution.inputs(tile.width, reduction_tile.columns, 1) * config.cols
        is_dense = reduction_tile.blocks == convolution.in_blocks
        weight_rows = 1 if is_dense else reduction_tile.rows * reduction_tile.columns
        weight_bytes = reduction_tile.tiles * config.rows * config.cols
        key = self._keys.setdefault(
            (reduction_tile.number, reduction_tile.first, reduction_tile.blocks), len(self._keys)
        )
        return _Step(
            number=reduction_tile.number,
            last=reduction_tile.last,
            tiles=reduction_tile.tiles,
            input_cycles=read_cycles(config, input_rows, input_row_bytes),
            weight_cycles=read_cycles(config, weight_rows, weight_bytes // weight_rows),
            weights=key * config.slices * convolution.out_blocks,
        )


class _EventModel:
    """The state of the modelled machine.

    Members:
        stream: the end of the last stream of the array.
    """

    def __init__(self, tile_sizes: TileSizes, depths: BufferDepths) -> None:
        config = tile_sizes.config
        self._tile_sizes, self._costs = tile_sizes, _Costs(tile_sizes)
        self._blocks, self._slices, self._rows = tile_sizes.convolution.out_blocks, config.slices, config.rows
        self._reduction_tiles = max(tile_sizes.reduction_tiles, tile_sizes.first_reduction_tiles)
        self._inputs, self._weights = _Pool(depths.inputs), _Pool(depths.weights)
        self._accumulators, self._results = _Pool(depths.accumulators), _Pool(depths.results)
        self._parameters, self._residuals = _Pool(depths.parameters), _Pool(depths.residuals)
        self._load_queue, self._matrix_queue = _Queue(), _Queue()
        self._vector_queue, self._store_queue = _Queue(), _Queue()
        self._queue_depth, self._fetch = config.queue_depth, INSTRUCTION_BYTES // config.bus_bytes
        self._buffered = config.fetch_buffer_instructions
        self._burst_cycles = config.burst_bytes // config.bus_bytes
        # Instructions so far: when the last was dispatched, how many, how many are fetched, of how many.
        self._dispatched, self._number, self._fetched = 0, 0, 0
        self._total = _least_instructions(tile_sizes)
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
        self._vector_depth = vector_depth(config.requant_interval)
        self._parameter_cycles = read_cycles(
            config, 1, 4 * config.cols * tile_sizes.convolution.parameter_vectors
        )

    def least_tail_cycles(self) -> int:
        """The fewest cycles from the end of the last stream to the end of all."""
        times = self._costs.times(tiles_of(self._tile_sizes)[-1])
        accumulators = times.vectors - 1 - times.period + self._matrix_depth
        results = times.vector_cycles + self._vector_depth
        return accumulators + results + times.store_cycles + _LANDING_CYCLES + 1

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

    # The two methods below are most of the work: what they call is written out in them.

    def _load(self, pool: _Pool, contents: int, busy: int) -> None:
        """Fill an instance, unless the contents are still there; they count as used."""
        ready = pool.ready
        if contents in ready:
            ready.move_to_end(contents)
            return
        queue = self._load_queue
        begin = self._dispatch(queue)
        if len(ready) >= pool.size:
            room = pool.done.pop(ready.popitem(last=False)[0])
            if room > begin:
                begin = room
        if queue.free > begin:
            begin = queue.free
        # Instructions come over the same bus.
        if self._fetched < self._total:
            busy += self._fetch * self._fetch_behind(begin, busy)
        queue.starts.append(begin)
        queue.free = end = begin + busy
        ready[contents] = pool.done[contents] = end + _LANDING_CYCLES

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
        self._results.done[accumulators] = self._end = begin + busy + _LANDING_CYCLES + 1

    # --- engines ---

    def _fetch_behind(self, begin: int, busy: int) -> int:
        """Fetch instructions beside a load that begins then, as far ahead as queues and buffer have room."""
        ahead = min(self._ahead(self._load_queue, begin), self._ahead(self._matrix_queue, begin))
        left = min(self._number + ahead + self._buffered, self._total) - self._fetched
        if left <= 0:
            return 0
        # Fetch and load alternate, a burst each; before the first load only the buffer is filled.
        most = 2 + busy // self._burst_cycles if self._fetched else self._buffered
        count = left if left < most else most
        self._fetched += count
        return count

    def _ahead(self, queue: _Queue, time: int) -> int:
        """Instructions until an engine's queue is full: as many as for the engine's last `room` ones."""
        starts, room = queue.starts, self._queue_depth
        if starts and starts[-1] > time:
            # Starts rise.
            room -= min(room, len(starts) - bisect_right(starts, time))
            if room == 0:
                return 0
        return self._number - queue.numbers[-room] if room <= len(queue.numbers) else 2 * self._queue_depth

    def _dispatch(self, queue: _Queue) -> int:
        """When the next task of an engine can be in its queue."""
        starts, depth = queue.starts, self._queue_depth
        dispatched = self._dispatched + self._fetch
        if len(starts) >= depth and starts[-depth] >= dispatched:
            dispatched = starts[-depth] + 1
        self._dispatched = dispatched
        self._number += 1
        queue.numbers.append(self._number)
        return dispatched + 1
