"""The cycles of the engines for the parts of a tiled chain, and of all of it in closed form."""

from typing import NamedTuple

from tilewright.compiler.targets.accel.cost.bound import many_read_cycles, many_write_cycles
from tilewright.compiler.targets.accel.cost.chain import BlockedChain, ChainTile, ChainTiling, tiles_of
from tilewright.compiler.targets.accel.cost.occupancy import Occupancy
from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.memory import Memory
from tilewright.isa.timing import item_interval, tile_period, vector_occupancy

_TILE_CYCLES = 1500
"""Of a tile, in which engines wait for one another: about."""
_STEP_CYCLES = 60
"""The same of a step of the vector engine, whose second instruction reads what the first one wrote."""


class StepCosts(NamedTuple):
    """Cycles of a step.

    Members:
        fill: of the bus, for the border, or for the input of windows without an expansion; 0 for none.
        expand_weights, weights, vectors: of the bus, for what is loaded.
        expand: of the array, for each weight tile; 0 for nothing to expand.
        requantise, filter: of the vector engine.
        project: of the array, for each weight tile.
    """

    fill: int
    expand_weights: int
    weights: int
    vectors: int
    expand: int
    requantise: int
    filter: int
    project: int

    @property
    def load(self) -> int:
        """Of the bus."""
        return self.fill + self.expand_weights + self.weights + self.vectors

    @property
    def vector(self) -> int:
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
    inputs: int
    result_vectors: int
    residual: int
    result: int
    store: int
    results: int


def tile_costs(tile: ChainTile, chain: BlockedChain, config: Config, latency_cycles: int) -> TileCosts:
    """The cycles of the engines for a tile of this size."""

    def read(rows: int, row_bytes: int) -> int:
        return int(many_read_cycles(config, rows, row_bytes, latency_cycles))

    results, interval = tile.results[0] * tile.results[1], config.requant_interval
    inside = tile.inside[0] * tile.inside[1]
    row_bytes, tile_bytes = tile.inside[1] * config.cols, config.slices * config.rows * config.cols
    padding = tile.seen[0] * tile.seen[1] - inside
    if chain.expands:
        fill = tile.seen[0] * tile.seen[1] if tile.has_border else 0
    else:
        fill = read(tile.inside[0], row_bytes) + padding
    step = StepCosts(
        fill=fill,
        expand_weights=read(1, chain.in_blocks * tile_bytes) if chain.expands else 0,
        weights=read(chain.out_blocks, tile_bytes),
        vectors=read(1, 4 * config.cols * chain.middle_vectors),
        expand=tile_period(inside, config.rows) if chain.expands and inside else 0,
        requantise=vector_occupancy(2, inside * interval, 1, 0) if chain.expands and inside else 0,
        filter=vector_occupancy(
            2 + chain.taps, results * chain.taps * item_interval(1, chain.taps, interval), 1, 0
        ),
        project=tile_period(results, config.rows),
    )
    return TileCosts(
        step=step,
        inputs=read(chain.in_blocks * tile.inside[0], row_bytes) if chain.expands else 0,
        result_vectors=read(1, 4 * config.cols * chain.result_vectors),
        residual=read(tile.results[0], tile.results[1] * config.cols) if chain.residual else 0,
        result=vector_occupancy(chain.result_vectors, results * interval, 1, 0),
        store=int(many_write_cycles(config, tile.results[0], tile.results[1] * config.cols, latency_cycles)),
        results=results,
    )


class ChainBusy(NamedTuple):
    """Cycles for which engines are busy: the bus with loads, array, vector engine, the bus with stores."""

    load: int
    matrix: int
    vector: int
    store: int


def _busy(cost: TileCosts, chain: BlockedChain, config: Config) -> ChainBusy:
    """Of a tile."""
    blocks, out = chain.blocks, chain.out_blocks
    instructions = blocks * (out * config.slices + 6) + 4 * out + 1
    fetch = instructions * INSTRUCTION_BYTES // config.bus_bytes
    return ChainBusy(
        load=blocks * cost.step.load + cost.inputs + out * (cost.result_vectors + cost.residual) + fetch,
        matrix=blocks * config.slices * (chain.in_blocks * cost.step.expand + out * cost.step.project),
        vector=blocks * cost.step.vector + out * cost.result,
        store=out * cost.store,
    )


def chain_busy(
    chain: BlockedChain, config: Config, height: int, width: int, latency_cycles: int
) -> list[ChainBusy]:
    """Of each tile."""
    known: dict[ChainTile, ChainBusy] = {}
    found = []
    for tile in tiles_of(chain, height, width):
        if tile not in known:
            known[tile] = _busy(tile_costs(tile, chain, config, latency_cycles), chain, config)
        found.append(known[tile])
    return found


def chain_cycles(chain: BlockedChain, config: Config, height: int, width: int, latency_cycles: int) -> int:
    """Cycles of the whole chain: engines side by side, tile by tile."""
    tiles = chain_busy(chain, config, height, width, latency_cycles)
    steps = chain.blocks * _STEP_CYCLES
    return sum(max(each.load, each.matrix, each.vector + steps, each.store) + _TILE_CYCLES for each in tiles)


def chain_occupancy(tiling: ChainTiling) -> Occupancy:
    """The work of each engine."""
    chain, config = tiling.chain, tiling.config
    tiles = chain_busy(chain, config, tiling.height, tiling.width, tiling.latency_cycles)
    load, matrix, vector, store = (sum(each) for each in zip(*tiles, strict=True))
    results = chain.out_blocks * chain.size[0] * chain.size[1]
    return Occupancy(
        load=load,
        matrix=matrix,
        vector=vector,
        store=store,
        moved_bytes=load * config.transfer_bytes(Memory.ACTIVATION) + results * config.cols,
    )


def instructions_of(tiling: ChainTiling) -> int:
    """Instructions that a tiling makes, at least."""
    chain = tiling.chain
    step = chain.out_blocks * tiling.config.slices + 1 + chain.expands * (1 + tiling.config.slices)
    return tiling.steps * step + len(tiling.tiles) * chain.out_blocks * 2
