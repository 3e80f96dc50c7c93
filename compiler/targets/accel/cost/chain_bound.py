"""The cycles of the engines for the parts of a tiled chain, and of all of it in closed form.

Sizes of tiles may be arrays, one element a tile or a tiling.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.targets.accel.cost.bound import many_read_cycles, many_write_cycles
from tilewright.compiler.targets.accel.cost.chain import BlockedChain, ChainTile, ChainTiling, parts_of
from tilewright.compiler.targets.accel.cost.occupancy import Occupancy
from tilewright.compiler.targets.accel.cost.problem import Number
from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.timing import item_interval, tile_period, vector_occupancy

_TILE_CYCLES = 1500
"""Of a tile, in which engines wait for one another: about."""
_STEP_CYCLES = 60
"""The same of a step of the vector engine, whose second instruction reads what the first one wrote."""
_REMEMBERED = 1 << 14
"""Sizes of tiles whose kinds are kept."""
Numbers = NDArray[np.int64]


class StepCosts(NamedTuple):
    """Cycles of a step.

    Members:
        fill: of the bus, for the border, or for the input of windows without an expansion; 0 for none.
        expand_weights, weights, vectors: of the bus, for what is loaded.
        expand: of the array, for each weight tile; 0 for nothing to expand.
        requantise, filter: of the vector engine.
        project: of the array, for each weight tile.
    """

    fill: Number
    expand_weights: Number
    weights: Number
    vectors: Number
    expand: Number
    requantise: Number
    filter: Number
    project: Number

    @property
    def load(self) -> Number:
        """Of the bus."""
        return self.fill + self.expand_weights + self.weights + self.vectors

    @property
    def vector(self) -> Number:
        """Of the vector engine."""
        return self.requantise + self.filter


class TileCosts(NamedTuple):
    """Cycles of a tile.

    Members:
        step: of each of its steps.
        inputs: of the bus, for the input of all steps; 0 without an expansion.
        result_vectors, residual: of the bus, for each block of results.
        result: of the vector engine, for each.
        store: of the bus, for each.
        results: vectors of each.
    """

    step: StepCosts
    inputs: Number
    result_vectors: Number
    residual: Number
    result: Number
    store: Number
    results: Number


def tile_costs(tile: ChainTile, chain: BlockedChain, config: Config, latency_cycles: int) -> TileCosts:
    """The cycles of the engines for a tile of this size, or for many."""

    def read(rows: Number, row_bytes: Number) -> Number:
        return many_read_cycles(config, rows, row_bytes, latency_cycles)

    results, interval = tile.results[0] * tile.results[1], config.requant_interval
    seen, inside = tile.seen[0] * tile.seen[1], tile.inside[0] * tile.inside[1]
    items, least_items = chain.windows.items(*tile.results, config), chain.windows.least_items(config)
    row_bytes, tile_bytes = tile.inside[1] * config.cols, config.slices * config.rows * config.cols
    # Without an expansion the input itself is between.
    fill = (
        np.where(seen > inside, seen, 0) if chain.expands else read(tile.inside[0], row_bytes) + seen - inside
    )
    has_work = chain.expands & (inside > 0)
    step = StepCosts(
        fill=fill,
        expand_weights=read(1, chain.in_blocks * tile_bytes) * chain.expands,
        weights=read(chain.out_blocks, tile_bytes),
        vectors=read(1, 4 * config.cols * chain.middle_vectors),
        expand=np.maximum(inside, tile_period(0, config.rows)) * has_work,
        requantise=vector_occupancy(2, inside * interval, 1, 0) * has_work,
        filter=vector_occupancy(2 + chain.taps, items, item_interval(1, least_items, interval), 0),
        project=np.maximum(results, tile_period(0, config.rows)),
    )
    return TileCosts(
        step=step,
        inputs=read(chain.in_blocks * tile.inside[0], row_bytes) * chain.expands,
        result_vectors=read(1, 4 * config.cols * chain.result_vectors),
        residual=read(tile.results[0], tile.results[1] * config.cols) * chain.residual,
        result=vector_occupancy(chain.result_vectors, results * interval, 1, 0),
        store=many_write_cycles(config, tile.results[0], tile.results[1] * config.cols, latency_cycles),
        results=results,
    )


def costs_of_tiles(
    tiles: Sequence[ChainTile], chain: BlockedChain, config: Config, latency_cycles: int
) -> list[TileCosts]:
    """The same of each tile, in ints."""
    places = {tile: place for place, tile in enumerate(dict.fromkeys(tiles))}
    sizes = np.array([(tile.results, tile.seen, tile.inside) for tile in places], np.int64)
    results, seen, inside = ((each[:, 0], each[:, 1]) for each in sizes.transpose(1, 0, 2))
    step, *others = tile_costs(
        ChainTile(results=results, seen=seen, inside=inside), chain, config, latency_cycles
    )
    columns = np.stack(np.broadcast_arrays(*step, *others), axis=1).tolist()
    count = len(StepCosts._fields)
    found = [TileCosts(StepCosts(*row[:count]), *row[count:]) for row in columns]
    return [found[places[tile]] for tile in tiles]


# --- all tiles ---------------------------------------------------------------------------------------------


class ChainBusy(NamedTuple):
    """Cycles for which engines are busy: the bus with loads, array, vector engine, the bus with stores."""

    load: Number
    matrix: Number
    vector: Number
    store: Number


def _busy(cost: TileCosts, chain: BlockedChain, config: Config) -> ChainBusy:
    """Of a tile."""
    blocks, out = chain.blocks, chain.out_blocks
    fetch = _instructions(chain, config) * INSTRUCTION_BYTES // config.bus_bytes
    return ChainBusy(
        load=blocks * cost.step.load + cost.inputs + out * (cost.result_vectors + cost.residual) + fetch,
        matrix=blocks * config.slices * (chain.in_blocks * cost.step.expand + out * cost.step.project),
        vector=blocks * cost.step.vector + out * cost.result,
        store=out * cost.store,
    )


def _instructions(chain: BlockedChain, config: Config) -> int:
    """Of a tile, about."""
    return chain.blocks * (chain.out_blocks * config.slices + 6) + 4 * chain.out_blocks + 1


def _kinds_of_tiles(chain: BlockedChain, height: Numbers, width: Numbers) -> tuple[ChainTile, Numbers]:
    """The different tiles of tilings [n, kinds of heights, kinds of widths], and how often each comes.

    What only fills the arrays comes 0 times.
    """
    rows = np.moveaxis(_kinds(chain, 0, height), 2, 0)[:, :, :, None]
    columns = np.moveaxis(_kinds(chain, 1, width), 2, 0)[:, :, None, :]
    results, seen, inside = zip(rows[:3], columns[:3], strict=True)
    return ChainTile(results=results, seen=seen, inside=inside), rows[3] * columns[3]


def _kinds(chain: BlockedChain, axis: int, sizes: Numbers) -> Numbers:
    """Along an axis the different parts of each size [n, kinds, 4]: as `parts_of` has them, and how often."""
    distinct, places = np.unique(sizes, return_inverse=True)
    # What does not decide them is left out, so that they are found once for many machines.
    alike = replace(chain, in_blocks=1, blocks=1, out_blocks=1, expands=True, residual=False)
    kinds = [_kinds_of_size(alike, axis, size) for size in distinct.tolist()]
    table = np.zeros((len(kinds), max(map(len, kinds), default=0), 4), np.int64)
    for row, found in zip(table, kinds, strict=True):
        row[: len(found)] = found
    return table[places]


@lru_cache(maxsize=_REMEMBERED)
def _kinds_of_size(chain: BlockedChain, axis: int, size: int) -> list[tuple[int, int, int, int]]:
    return [(*part, count) for part, count in Counter(parts_of(chain, axis, size)).items()]


def whole_busy(
    chain: BlockedChain, config: Config, height: Numbers, width: Numbers, latency_cycles: int
) -> ChainBusy:
    """Of all tiles of tilings [n]."""
    tile, count = _kinds_of_tiles(chain, height, width)
    busy = _busy(tile_costs(tile, chain, config, latency_cycles), chain, config)
    return ChainBusy(*((each * count).sum(axis=(1, 2)) for each in busy))


def chain_cycles(
    chain: BlockedChain, config: Config, height: Numbers, width: Numbers, latency_cycles: int
) -> Numbers:
    """Cycles of whole chains [n]: engines side by side, tile by tile."""
    tile, count = _kinds_of_tiles(chain, height, width)
    cycles = tile_cycles(tile_costs(tile, chain, config, latency_cycles), chain, config)
    found: Numbers = (cycles * count).sum(axis=(1, 2))
    return found


def tile_cycles(cost: TileCosts, chain: BlockedChain, config: Config) -> Number:
    """Cycles of a tile: engines side by side."""
    busy = _busy(cost, chain, config)
    vector = busy.vector + chain.blocks * _STEP_CYCLES
    return _TILE_CYCLES + np.maximum(np.maximum(busy.load, busy.matrix), np.maximum(vector, busy.store))


def chain_occupancy(tiling: ChainTiling) -> Occupancy:
    """The work of each engine."""
    chain, config = tiling.chain, tiling.config
    height, width = np.array([tiling.height]), np.array([tiling.width])
    busy = whole_busy(chain, config, height, width, tiling.latency_cycles)
    load, matrix, vector, store = (int(each[0]) for each in busy)
    return Occupancy(load=load, matrix=matrix, vector=vector, store=store, moved_bytes=_moved_bytes(tiling))


def _moved_bytes(tiling: ChainTiling) -> int:
    """Over the bus: what is kept on the chip is loaded once, all else for each tile."""
    chain, config, depths, tiles = tiling.chain, tiling.config, tiling.depths, len(tiling.tiles)
    inside = sum(int(tile.inside[0] * tile.inside[1]) for tile in tiling.tiles)
    results = chain.out_blocks * chain.size[0] * chain.size[1]
    weights = config.slices * config.rows * (chain.in_blocks * chain.expands + chain.out_blocks)
    loads = {
        name: 1 if getattr(depths, name) >= count else tiles
        for name, count in (
            ("weights", chain.blocks),
            ("vectors", chain.blocks),
            ("result_vectors", chain.out_blocks),
        )
    }
    vectors = 4 * (
        loads["vectors"] * chain.blocks * chain.middle_vectors
        + loads["result_vectors"] * chain.out_blocks * chain.result_vectors
    )
    maps = inside * (chain.in_blocks if chain.expands else chain.blocks) + results * (1 + chain.residual)
    moved = config.cols * (maps + loads["weights"] * chain.blocks * weights + vectors)
    return moved + tiles * _instructions(chain, config) * INSTRUCTION_BYTES


def instructions_of(tiling: ChainTiling) -> int:
    """Instructions that a tiling makes, at least."""
    chain = tiling.chain
    step = chain.out_blocks * tiling.config.slices + 1 + chain.expands * (1 + tiling.config.slices)
    return tiling.steps * step + len(tiling.tiles) * chain.out_blocks * 2
