"""Which tiles of a chain fit the memories, and with which depths of buffers: of many sizes at once.

Whether buffers fit a memory is asked of the search of banks that placement uses. Memories do not mind one
another, so each is asked for itself, and only once for tiles that need the same of it.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.targets.accel.bank import Demand, has_room
from tilewright.compiler.targets.accel.cost.candidate import parts
from tilewright.compiler.targets.accel.cost.chain import BlockedChain, ChainDepths
from tilewright.compiler.targets.accel.cost.problem import Number
from tilewright.isa.config import Config
from tilewright.isa.memory import Engine, Memory

_MOST_ROWS, _MOST_COLUMNS = 255, 255
"""Of what the windows of a tile read: fields of padding have 8 bits."""
_AHEAD = 2
"""Steps for which loads run ahead of their use, where not everything fits."""
_APART = (("padded", "filtered"), ("residuals", "results"))
"""Buffers that one vector instruction reads and writes."""
_REMEMBERED = 1 << 12
"""Tiles whose depths are kept: a point is asked for them several times."""
NO_ROOM = -1
"""In the place of a number of depths."""
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class _Buffer:
    """A buffer of a chain, in tiles of sizes [n].

    Members:
        name: as `ChainDepths` has it.
        memory: where it lies.
        vectors: of an instance [n].
        count: of its instances [n].
        writers: the engines that fill it.
        reader: that which uses it.
    """

    name: str
    memory: Memory
    vectors: Numbers
    count: Numbers
    writers: frozenset[Engine]
    reader: Engine

    def demand(self, vectors: int, slots: int) -> Demand:
        """What it asks of its memory."""
        return Demand(self.name, self.memory, vectors, slots, self.writers, frozenset({self.reader}))


@dataclass(frozen=True)
class ChainRoom:
    """What of a chain fits a machine."""

    chain: BlockedChain
    config: Config

    def sizes_tried(self) -> tuple[Numbers, Numbers]:
        """Heights and widths of tiles that split the results evenly and may fit."""
        found = np.meshgrid(*(parts(extent) for extent in self.chain.size), indexing="ij")
        height, width = (np.ravel(each).astype(np.int64) for each in found)
        kept = self.may_fit(height, width)
        return height[kept], width[kept]

    def may_fit(self, height: Numbers, width: Numbers) -> NDArray[np.bool_]:
        """Whether one of each buffer fits its memory, for tiles of sizes [n]."""
        rows, columns = self._most_seen(height, width)
        found: NDArray[np.bool_] = (rows <= _MOST_ROWS) & (columns <= _MOST_COLUMNS)
        for buffer in self._buffers(height, width):
            found = found & (buffer.vectors <= self.config.depth(buffer.memory))
        return found

    def deepest(self, height: int, width: int, lag: int) -> ChainDepths | None:
        """The depths of most use that fit tiles of a size; None if none do."""
        return _deepest(self, height, width, lag)

    def all_deepest(self, height: Numbers, width: Numbers, lag: int) -> Numbers:
        """Their numbers among `depths` for sizes [n], or `NO_ROOM`."""
        found, left = np.full(len(height), NO_ROOM, np.int64), self.may_fit(height, width)
        memories = _Memories(self.config, self._buffers(height, width))
        for number, depths in enumerate(self.depths(lag)):
            if not left.any():
                break
            fitting = memories.fit(depths, left)
            found[fitting] = number
            left = left & ~fitting
        return found

    def depths(self, lag: int) -> list[ChainDepths]:
        """Those of most use first; the last ones are the least that the order of steps needs."""
        chain, config = self.chain, self.config
        weights = config.slices * config.rows * (chain.in_blocks * chain.expands + chain.out_blocks)
        keeps_weights = chain.blocks * weights <= config.weight_banks * config.weight_vectors
        vectors = config.parameter_banks * config.parameter_vectors - 2 * chain.result_vectors
        keeps_vectors = chain.blocks * chain.middle_vectors <= vectors
        return [
            ChainDepths(
                inputs=inputs,
                expanded=expanded,
                padded=2 if chain.expands or not ahead else 3,
                filtered=2,
                sums=sums,
                results=2,
                residuals=2,
                expand_weights=chain.blocks if keeps_weights else 1 + ahead,
                weights=chain.blocks if keeps_weights else 2 + lag + ahead,
                vectors=chain.blocks if keeps_vectors else 1 + lag + ahead,
                result_vectors=2,
            )
            for ahead in range(_AHEAD, -1, -1)
            for sums, expanded, inputs in product((2, 1), repeat=3)
        ]

    # --- buffers -------------------------------------------------------------------------------------------

    def _most_seen(self, height: Numbers, width: Numbers) -> tuple[Numbers, Numbers]:
        windows = self.chain.windows
        return windows.inputs(height, 0), windows.inputs(width, 1)

    def _buffers(self, height: Numbers, width: Numbers) -> list[_Buffer]:
        """All buffers of tiles of sizes [n]."""
        chain, results, tile = self.chain, height * width, self.config.slices * self.config.rows
        rows, columns = self._most_seen(height, width)
        inside = np.minimum(rows, chain.source[0]) * np.minimum(columns, chain.source[1])
        load, matrix, vector, store = Engine.LOAD, Engine.MATRIX, Engine.VECTOR, Engine.STORE
        activation, accumulator = Memory.ACTIVATION, Memory.ACCUMULATOR
        tiles = -(-chain.size[0] // height) * -(-chain.size[1] // width)
        steps, blocks = tiles * chain.blocks, tiles * chain.out_blocks
        found: list[tuple[str, Memory, Number, Numbers, set[Engine], Engine]] = [
            ("padded", activation, rows * columns, steps, {load, vector}, vector),
            ("filtered", activation, results, steps, {vector}, matrix),
            ("results", activation, results, blocks, {vector}, store),
            ("sums", accumulator, chain.out_blocks * results, tiles, {matrix}, vector),
            ("weights", Memory.WEIGHT, chain.out_blocks * tile, steps, {load}, matrix),
            ("vectors", Memory.PARAMETER, chain.middle_vectors, steps, {load}, vector),
            ("result_vectors", Memory.PARAMETER, chain.result_vectors, blocks, {load}, vector),
        ]
        if chain.expands:
            found += [
                ("inputs", activation, chain.in_blocks * inside, tiles, {load}, matrix),
                ("expanded", accumulator, inside, steps, {matrix}, vector),
                ("expand_weights", Memory.WEIGHT, chain.in_blocks * tile, steps, {load}, matrix),
            ]
        if chain.residual:
            found.append(("residuals", activation, results, blocks, {load}, vector))
        one = np.ones_like(results)
        return [
            _Buffer(name, memory, vectors * one, count, frozenset(writers), reader)
            for name, memory, vectors, count, writers, reader in found
        ]


@lru_cache(maxsize=_REMEMBERED)
def _deepest(room: ChainRoom, height: int, width: int, lag: int) -> ChainDepths | None:
    number = int(room.all_deepest(np.array([height]), np.array([width]), lag)[0])
    return None if number == NO_ROOM else room.depths(lag)[number]


_CHEAP_FIRST = (Memory.WEIGHT, Memory.PARAMETER, Memory.ACCUMULATOR, Memory.ACTIVATION)
_UNKNOWN, _NO, _YES = -1, 0, 1


class _Memories:
    """Which tiles have room for buffers of some depths: what is known of a memory is not asked again."""

    def __init__(self, config: Config, buffers: list[_Buffer]) -> None:
        self._config = config
        self._buffers = {memory: [b for b in buffers if b.memory == memory] for memory in _CHEAP_FIRST}
        self._known: dict[tuple[Memory, tuple[int, ...]], NDArray[np.int8]] = {}

    def fit(self, depths: ChainDepths, asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Those of the tiles `asked` [n] for which all memories have room."""
        for memory, buffers in self._buffers.items():
            slots = tuple([getattr(depths, buffer.name) for buffer in buffers])
            asked = asked & (self._answers(memory, slots, asked) == _YES)
            if not asked.any():
                break
        return asked

    def _answers(self, memory: Memory, depths: tuple[int, ...], asked: NDArray[np.bool_]) -> NDArray[np.int8]:
        """Of a memory, for tiles [n]; known of those that are asked for."""
        known = self._known.get((memory, depths))
        if known is None:
            known = self._known[memory, depths] = np.full(len(asked), _UNKNOWN, np.int8)
        places = np.flatnonzero(asked & (known == _UNKNOWN))
        if not len(places):
            return known
        buffers = self._buffers[memory]
        sizes = [buffer.vectors[places] for buffer in buffers]
        slots = [
            np.minimum(buffer.count[places], depth) for buffer, depth in zip(buffers, depths, strict=True)
        ]
        rows = list(zip(*(each.tolist() for each in (*sizes, *slots)), strict=True))
        answers = {row: self._has_room(memory, row) for row in set(rows)}
        known[places] = [answers[row] for row in rows]
        return known

    def _has_room(self, memory: Memory, row: tuple[int, ...]) -> bool:
        """Of vectors, and then slots, of each buffer."""
        buffers, config = self._buffers[memory], self._config
        count, names = len(buffers), [buffer.name for buffer in buffers]
        demands = tuple(b.demand(*sizes) for b, *sizes in zip(buffers, row[:count], row[count:], strict=True))
        pairs = [(names.index(a), names.index(b)) for a, b in _APART if {a, b} <= set(names)]
        return has_room(demands, frozenset(pairs), config.banks(memory), config.depth(memory))
