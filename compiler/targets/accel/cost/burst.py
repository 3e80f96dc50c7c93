"""How long the bus takes for blocks in the memory outside: their beats, or their bursts in a slow memory."""

from dataclasses import dataclass

import numpy as np

from tilewright.compiler.targets.accel.cost.problem import Number
from tilewright.isa.config import Config
from tilewright.isa.timing import GENERATOR_SETUP

_BURST_CYCLES = 8
"""Cycles for which a burst's room is taken beside its beats and the memory's latency."""
_INSTRUCTION_CYCLES = GENERATOR_SETUP
"""Cycles that load and store lose from one instruction to the next."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A block in the memory outside, in rows that are dense each; or many such, as arrays.

    Members:
        count: of rows.
        row_bytes: of each.
        origin_bytes: rows begin at multiples of this many, and at any of these.
    """

    count: Number
    row_bytes: Number
    origin_bytes: Number


def many_read_cycles(config: Config, rows: Rows, latency_cycles: int) -> Number:
    """`read_cycles` of many."""
    cycles = _bus_cycles(config, rows, config.outstanding_reads, latency_cycles)
    return np.maximum(*cycles) + _INSTRUCTION_CYCLES


def read_cycles(config: Config, rows: Rows, latency_cycles: int) -> int:
    """Cycles of the bus for a load."""
    beats, bursts = _bus_cycles(config, rows, config.outstanding_reads, latency_cycles)
    return int(max(beats, bursts)) + _INSTRUCTION_CYCLES


def many_write_cycles(config: Config, rows: Rows, latency_cycles: int) -> Number:
    """`write_cycles` of many."""
    return np.maximum(*_bus_cycles(config, rows, config.outstanding_writes, latency_cycles))


def write_cycles(config: Config, rows: Rows, latency_cycles: int) -> int:
    """Cycles of the bus for a store."""
    return int(max(_bus_cycles(config, rows, config.outstanding_writes, latency_cycles)))


def _bus_cycles(config: Config, rows: Rows, outstanding: int, latency_cycles: int) -> tuple[Number, Number]:
    """Cycles for the beats of rows, and for their bursts, `outstanding` at a time: the larger counts.

    A burst ends at a multiple of `burst_bytes`, and takes its room for the memory's latency and its beats. Of
    rows that begin at any multiple of `origin` in a burst, the mean one meets as many bursts as it is longer,
    rounded up to such multiples, than what is left of the first one at most.
    """
    burst, length = config.burst_bytes, rows.row_bytes
    origin = np.gcd(rows.origin_bytes, burst)
    bursts = rows.count * (-(-length // origin) * origin + burst - origin) // burst
    beats = rows.count * length // min(config.bus_bytes, config.cols)
    return beats, (bursts * (latency_cycles + _BURST_CYCLES) + beats) // outstanding
