"""A cut convolution gone through in miniature: when each engine would be done, task by task.

Engines take their tasks in order; a version of a buffer is filled again once its last user is done. What bus,
queues and banks of accumulators hold up is counted; ports of other banks are not.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tilewright.compiler.targets.accel.cut import Cut, Versions
from tilewright.compiler.targets.accel.estimate import ASSUMED_LATENCY_CYCLES, read_cycles, write_cycles
from tilewright.isa.config import INSTRUCTION_BYTES
from tilewright.isa.memory import Engine
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
"""From the last request of a load to its finish."""


def instructions_of(cut: Cut) -> int:
    """How many matrix instructions there are; a rehearsal takes some microseconds for each."""
    chunks = cut.row_tiles * cut.first_chunks + (cut.tiles - cut.row_tiles) * cut.chunks
    return cut.convolution.out_blocks * chunks * cut.config.slices


def _least_instructions(cut: Cut) -> int:
    """How many instructions there are, if nothing is loaded twice but in chunks of both sizes."""
    matrix, blocks, slices = instructions_of(cut), cut.convolution.out_blocks, cut.config.slices
    inputs = matrix // (blocks * slices)
    weights = blocks * slices * (cut.chunks + (cut.first_chunks if cut.first_blocks else 0))
    results = (2 + cut.convolution.residual) * cut.tiles * blocks
    return matrix + inputs + weights + blocks + results


def rehearsed_cycles(cut: Cut, versions: Versions, threads: int) -> int:
    """Cycles of the whole convolution.

    Args:
        cut: how it is cut.
        versions: of its buffers; at least one for each thread of what threads do not share.
        threads: output blocks that take turns.
    """
    rehearsal = _Rehearsal(cut, versions)
    for tile, chunk, block in order(cut, threads):
        rehearsal.add(tile, chunk, block)
    return rehearsal.end()


# --- what there is to do -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chunk:
    """A part of the reduction: input blocks, kernel rows and columns.

    Members:
        number: in its tile.
        last: whether it is, in its tile.
        first: its first input block.
        blocks, rows, columns: its size.
    """

    number: int
    last: bool
    first: int
    blocks: int
    rows: int
    columns: int

    @property
    def tiles(self) -> int:
        """Weight tiles of one slice."""
        return self.blocks * self.rows * self.columns


@dataclass(frozen=True)
class Tile:
    """Results of one tile.

    Members:
        number: in order.
        row: of tiles.
        height, width: its size.
    """

    number: int
    row: int
    height: int
    width: int


def order(cut: Cut, threads: int) -> Iterator[tuple[Tile, Chunk, int]]:
    """Tile, chunk and output block of the matrix instructions, in the order of the schedule."""
    convolution = cut.convolution
    later, blocks = _chunks(cut, cut.chunk_blocks), range(convolution.out_blocks)
    sooner = _chunks(cut, cut.first_blocks) if cut.first_blocks else later
    tiles = _tiles(cut)
    for group in range(0, len(blocks), cut.group_blocks):
        members = blocks[group : group + cut.group_blocks]
        for tile in tiles:
            for first in range(0, len(members), threads):
                for chunk in later if tile.row else sooner:
                    for block in members[first : first + threads]:
                        yield tile, chunk, block


def _chunks(cut: Cut, chunk_blocks: int) -> list[Chunk]:
    kernel = cut.convolution.kernel
    sizes = [
        (part * chunk_blocks, blocks, rows, columns)
        for rows in _parts(kernel[0], cut.taps[0])
        for columns in _parts(kernel[1], cut.taps[1])
        for part, blocks in enumerate(_parts(cut.convolution.in_blocks, chunk_blocks))
    ]
    return [Chunk(number, number + 1 == len(sizes), *size) for number, size in enumerate(sizes)]


def _tiles(cut: Cut) -> list[Tile]:
    convolution = cut.convolution
    first = min(cut.first_height or cut.height, convolution.out_height)
    heights = [first, *_parts(convolution.out_height - first, cut.height)]
    sizes = [
        (row, height, width)
        for row, height in enumerate(heights)
        for width in _parts(convolution.out_width, cut.width)
    ]
    return [Tile(number, *size) for number, size in enumerate(sizes)]


def _parts(extent: int, part: int) -> list[int]:
    return [min(part, extent - first) for first in range(0, extent, part)]


# --- when it is done ---------------------------------------------------------------------------------------


@dataclass
class _Pool:
    """The versions of a buffer.

    Members:
        size: how many.
        ready: by contents, when these can be used; least recently used first.
        done: by contents, when their last user so far is done.
    """

    size: int
    ready: OrderedDict[object, int] = field(default_factory=OrderedDict)
    done: dict[object, int] = field(default_factory=dict)

    def get(self, contents: object) -> int | None:
        """When contents that are there can be used; they count as used."""
        if contents in self.ready:
            self.ready.move_to_end(contents)
        return self.ready.get(contents)

    def make_room(self) -> int:
        """When new contents can replace the oldest."""
        if len(self.ready) < self.size:
            return 0
        oldest, _ = self.ready.popitem(last=False)
        return self.done.pop(oldest)

    def put(self, contents: object, ready: int) -> None:
        """New contents, once there is room."""
        self.ready[contents] = self.done[contents] = ready


@dataclass(frozen=True)
class _Leaving:
    """A block of results whose sums are done.

    Members:
        tile, block: which one.
        bank: of its sums.
        ready: when all but the sums is there.
        dealt, stored: when its instructions can be in their queues.
    """

    tile: Tile
    block: int
    bank: int
    ready: int
    dealt: int
    stored: int


class _Rehearsal:
    """The machine so far."""

    def __init__(self, cut: Cut, versions: Versions) -> None:
        config = cut.config
        self._cut, self._config = cut, config
        self._inputs, self._weights = _Pool(versions.inputs), _Pool(versions.weights)
        self._sums, self._results = _Pool(versions.sums), _Pool(versions.results)
        self._parameters, self._residuals = _Pool(versions.parameters), _Pool(versions.residuals)
        self._free = dict.fromkeys(Engine, 0)
        self._starts = {engine: deque[int](maxlen=config.queue_depth) for engine in Engine}
        self._fetch, self._dealt = INSTRUCTION_BYTES // config.bus_bytes, 0
        # Instructions so far: numbers of each engine's last ones, how many are fetched, of how many.
        self._number, self._fetched, self._total = 0, 0, _least_instructions(cut)
        self._numbers = {engine: deque[int](maxlen=config.queue_depth) for engine in Engine}
        # Of the array: the end of its last stream, and for which sums that was.
        self._stream, self._summed = 0, (-1, -1)
        # By bank of accumulators: who claims it, until when.
        self._summing, self._draining = [0] * config.accumulator_banks, [0] * config.accumulator_banks
        self._bank: dict[object, int] = {}
        # Blocks of results that may have to let the array go first.
        self._leaving: deque[_Leaving] = deque()
        self._end = 0

    def add(self, tile: Tile, chunk: Chunk, block: int) -> None:
        """A chunk of a block's results, and what begins or ends with it."""
        if chunk.number == 0:
            self._begin(tile, block)
        place = self._input(tile, chunk)
        for part in range(self._config.slices):
            weights = self._weight(chunk, block, part)
            self._multiply(tile, chunk, block, (place, weights), adds=chunk.number + part > 0)
        if chunk.last:
            self._leave(tile, block)

    def end(self) -> int:
        """The cycle after the last finish."""
        self._drain(len(self._leaving))
        return self._end

    def _begin(self, tile: Tile, block: int) -> None:
        contents = (tile.number, block)
        if len(self._sums.ready) >= self._sums.size:
            self._drain(self._place(next(iter(self._sums.ready))) + 1)
        self._sums.put(contents, self._sums.make_room())
        self._bank[contents] = len(self._bank) % self._config.accumulator_banks

    def _place(self, sums: object) -> int:
        """Of sums among those that leave; -1 if they left."""
        places = (n for n, each in enumerate(self._leaving) if (each.tile.number, each.block) == sums)
        return next(places, -1)

    def _input(self, tile: Tile, chunk: Chunk) -> object:
        convolution = self._cut.convolution
        rows = chunk.blocks * convolution.inputs(tile.height, chunk.rows, 0)
        contents = (tile.number, chunk.number)
        row_bytes = convolution.inputs(tile.width, chunk.columns, 1) * self._config.cols
        self._load(self._inputs, contents, rows, row_bytes)
        return contents

    def _weight(self, chunk: Chunk, block: int, part: int) -> object:
        whole = chunk.blocks == self._cut.convolution.in_blocks
        rows = 1 if whole else chunk.rows * chunk.columns
        contents = (block, chunk.number, chunk.first, chunk.blocks, part)
        size = chunk.tiles * self._config.rows * self._config.cols
        self._load(self._weights, contents, rows, size // rows)
        return contents

    def _load(self, pool: _Pool, contents: object, rows: int, row_bytes: int) -> None:
        """Fill a version, unless the contents are still there."""
        if pool.get(contents) is not None:
            return
        dealt, room = self._deal(Engine.LOAD), pool.make_room()
        busy = read_cycles(self._config, rows, row_bytes)
        # Instructions come over the same bus.
        busy += self._fetch * self._fetch_behind(max(dealt, room, self._free[Engine.LOAD]), busy)
        begin = self._issue(Engine.LOAD, dealt, room, busy)
        pool.put(contents, begin + busy + _LANDING_CYCLES)

    def _multiply(
        self, tile: Tile, chunk: Chunk, block: int, operands: tuple[object, object], *, adds: bool
    ) -> None:
        sums, config = (tile.number, block), self._config
        bank, rows = self._bank[sums], config.rows
        vectors = self._cut.convolution.sums(tile.height, 0) * self._cut.convolution.sums(tile.width, 1)
        ready = max(
            self._inputs.ready[operands[0]],
            self._weights.ready[operands[1]],
            self._sums.ready[sums],
            self._free[Engine.MATRIX],
        )
        dealt = self._deal(Engine.MATRIX)
        self._let_go_first(bank, max(ready, dealt))
        period = tile_period(vectors, rows)
        begin = self._issue(Engine.MATRIX, dealt, max(ready, self._draining[bank]), 0)
        moved = ACCUMULATOR_DISTANCE - 1 if adds and sums != self._summed else 0
        self._stream = max(begin + rows, self._stream + moved) + chunk.tiles * period
        self._summed = sums
        last = self._stream - period
        self._free[Engine.MATRIX] = last + 1
        done = last + vectors - 1 + matrix_depth(rows, config.cols)
        self._inputs.done[operands[0]] = self._weights.done[operands[1]] = self._summing[bank] = done

    # --- results ---

    def _leave(self, tile: Tile, block: int) -> None:
        """What a block of results still waits for when its sums are done, but for the bank of these."""
        sums, config = (tile.number, block), self._config
        self._load(self._parameters, block, 1, 4 * config.cols * self._cut.convolution.parameter_vectors)
        ready = self._parameters.ready[block]
        if self._cut.convolution.residual:
            self._load(self._residuals, sums, tile.height, tile.width * config.cols)
            ready = max(ready, self._residuals.ready[sums])
        dealt, stored = self._deal(Engine.VECTOR), self._deal(Engine.STORE)
        self._leaving.append(_Leaving(tile, block, self._bank[sums], ready, dealt, stored))

    def _let_go_first(self, bank: int, begin: int) -> None:
        """Drain what is ready before the array can claim the bank at `begin`."""
        for number, leaving in enumerate(self._leaving):
            # They leave in order: one that cannot yet holds up those behind it.
            if max(self._summing[leaving.bank], leaving.ready) >= begin:
                return
            if leaving.bank == bank:
                self._drain(number + 1)
                return

    def _drain(self, count: int) -> None:
        """Requantise and store the first blocks of results."""
        for _ in range(count):
            self._finish(self._leaving.popleft())

    def _finish(self, leaving: _Leaving) -> None:
        tile, block, bank = leaving.tile, leaving.block, leaving.bank
        sums, config, convolution = (tile.number, block), self._config, self._cut.convolution
        items = tile.height * tile.width
        folded = convolution.pool_kernel[0] * convolution.pool_kernel[1]
        interval = item_interval(1, folded, config.requant_interval)
        busy = vector_occupancy(convolution.parameter_vectors, items * folded, interval, 0)
        ready = max(self._summing[bank], leaving.ready, self._results.make_room())
        begin = self._issue(Engine.VECTOR, leaving.dealt, ready, busy)
        done = begin + busy + vector_depth(config.requant_interval)
        for pool, contents in ((self._sums, sums), (self._parameters, block), (self._residuals, sums)):
            if contents in pool.ready:
                pool.done[contents] = done
        self._draining[bank] = done
        self._results.put(sums, done)
        self._results.done[sums] = self._end = self._store(leaving, done)

    def _store(self, leaving: _Leaving, ready: int) -> int:
        tile = leaving.tile
        busy = write_cycles(self._config, tile.height, tile.width * self._config.cols)
        return self._issue(Engine.STORE, leaving.stored, ready, busy) + busy + _LANDING_CYCLES + 1

    # --- engines ---

    def _fetch_behind(self, begin: int, busy: int) -> int:
        """Fetch instructions beside a load that begins then, as far ahead as queues and buffer have room."""
        config, burst_cycles = self._config, self._config.burst_bytes // self._config.bus_bytes
        ahead = min(self._ahead(engine, begin) for engine in (Engine.LOAD, Engine.MATRIX))
        target = min(self._number + ahead + config.fetch_buffer_instructions, self._total)
        # Fetch and load take turns, a burst each; before the first load only the buffer is filled.
        most = 2 + busy // burst_cycles if self._fetched else config.fetch_buffer_instructions
        count = max(0, min(target - self._fetched, most))
        self._fetched += count
        return count

    def _ahead(self, engine: Engine, time: int) -> int:
        """Instructions until an engine's queue is full: as many as for so many of the engine's last ones."""
        numbers, depth = self._numbers[engine], self._config.queue_depth
        room = depth - sum(start > time for start in self._starts[engine])
        if room <= 0:
            return 0
        return self._number - numbers[-room] if room <= len(numbers) else 2 * depth

    def _deal(self, engine: Engine) -> int:
        """When the next task of an engine can be in its queue."""
        starts = self._starts[engine]
        room = starts[0] if len(starts) == self._config.queue_depth else 0
        self._dealt = max(self._dealt + self._fetch, room + 1)
        self._number += 1
        self._numbers[engine].append(self._number)
        return self._dealt + 1

    def _issue(self, engine: Engine, dealt: int, ready: int, busy: int) -> int:
        """When a task starts that takes its engine for so long."""
        begin = max(dealt, self._free[engine], ready)
        self._starts[engine].append(begin)
        self._free[engine] = begin + busy
        return begin
