"""How long the bus takes for blocks in the memory outside: their beats, or their bursts in a slow memory."""

from dataclasses import dataclass
from math import gcd

from tilewright.compiler.targets.accel.cost.problem import TileSizes
from tilewright.isa.config import Config
from tilewright.isa.timing import GENERATOR_SETUP

BURST_CYCLES = 8
"""Cycles for which a burst's room is taken beside its beats and the memory's latency."""
INSTRUCTION_CYCLES = GENERATOR_SETUP
"""Cycles that load and store lose from one instruction to the next."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A block in the memory outside, in rows that are dense each.

    Members:
        count: of rows.
        row_bytes: of each.
        origin_bytes: rows begin at multiples of this many, and at any of these.
    """

    count: int
    row_bytes: int
    origin_bytes: int


def read_cycles(config: Config, rows: Rows, latency_cycles: int) -> int:
    """Cycles of the bus for a load."""
    return _bus_cycles(config, rows, config.outstanding_reads, latency_cycles) + INSTRUCTION_CYCLES


def write_cycles(config: Config, rows: Rows, latency_cycles: int) -> int:
    """Cycles of the bus for a store."""
    return _bus_cycles(config, rows, config.outstanding_writes, latency_cycles)


def _bus_cycles(config: Config, rows: Rows, outstanding: int, latency_cycles: int) -> int:
    """Cycles for the beats of rows, or for their bursts, `outstanding` at a time: the larger counts.

    A burst ends at a multiple of `burst_bytes`, and takes its room for the memory's latency and its beats. Of
    rows that begin at any multiple of `origin` in a burst, the mean one meets as many bursts as it is longer,
    rounded up to such multiples, than what is left of the first one at most.
    """
    burst, origin = config.burst_bytes, gcd(rows.origin_bytes, config.burst_bytes)
    length = -(-rows.row_bytes // origin) * origin
    bursts = rows.count * (length + burst - origin) // burst
    beats = rows.count * rows.row_bytes // min(config.bus_bytes, config.cols)
    return max(beats, (bursts * (latency_cycles + BURST_CYCLES) + beats) // outstanding)


def result_rows(tile_sizes: TileSizes, height: int, width: int) -> Rows:
    """The results of a block of a tile, which begin where tiles do.

    Args:
        tile_sizes: of all tiles.
        height, width: of this one.
    """
    cols, origin = tile_sizes.config.cols, gcd(tile_sizes.convolution.out_width, tile_sizes.width)
    return Rows(count=height, row_bytes=width * cols, origin_bytes=origin * cols)


def input_rows(tile_sizes: TileSizes, height: int, width: int, taps: tuple[int, int], blocks: int) -> Rows:
    """What a reduction tile loads of the input.

    Args:
        tile_sizes: of all tiles.
        height, width: of its tile.
        taps, blocks: of the reduction tile.
    """
    convolution, cols = tile_sizes.convolution, tile_sizes.config.cols
    # With padding, or between taps, rows begin anywhere.
    is_pointwise = convolution.kernel == (1, 1) and not convolution.pools
    step = convolution.strides[1]
    origin = gcd(convolution.out_width * step, tile_sizes.width * step) if is_pointwise else 1
    return Rows(
        count=blocks * convolution.inputs(height, taps[0], 0),
        row_bytes=convolution.inputs(width, taps[1], 1) * cols,
        origin_bytes=origin * cols,
    )
