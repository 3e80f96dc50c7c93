"""The memories of a chip as the compiled executor sees them: bytes, and room to work in."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.memory import Memory
from tilewright.isa.register import BASE_REGISTERS
from tilewright.isa.state import State
from tilewright.sim.compiled import compiled, inlined
from tilewright.sim.lane import LANES, copy_bytes, load_bytes, load_words, store_bytes, store_words
from tilewright.sim.nest import Loops, first_outside
from tilewright.sim.record import NEVER, Records, instruction_record, record

INSTRUCTION = instruction_record("opcode")
SIZES = record("rows cols slices", depth=(len(Memory),), vector_bytes=(len(Memory),))
_STAGE_BYTES = 4 * LANES

Bytes = NDArray[np.uint8]


class ChipRecord(NamedTuple):
    """What instructions read and write.

    Members:
        sizes: one record of `SIZES`.
        memories: the bytes of each `Memory`.
        activations, parameters: the same elements as int8 and int32.
        tables: the bytes of the look-up tables, 256 a lane.
        dram, bases: the memory outside, and the base registers modulo 2**64 as int64.
        stage: room for the lanes of one vector.
        shorts: room for the activations of a matrix instruction.
        starts, steps: room for where the slices of its results begin, and those of its tiles from there.
        weights, sums: room for its weights and results, where the array has fewer than 16 columns.
        before, after: room for the factors of a requantisation.
    """

    sizes: Records
    memories: tuple[Bytes, Bytes, Bytes, Bytes]
    activations: NDArray[np.int8]
    parameters: NDArray[np.int32]
    tables: Bytes
    dram: Bytes
    bases: NDArray[np.int64]
    stage: Bytes
    shorts: NDArray[np.int16]
    starts: NDArray[np.int64]
    steps: NDArray[np.int64]
    weights: Bytes
    sums: Bytes
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def chip_of(state: State) -> ChipRecord:
    """The memories of `state`, which are changed in place, with no memory outside."""
    config = state.config
    results, weights = (config.depth(memory) for memory in (Memory.ACCUMULATOR, Memory.WEIGHT))
    narrow = config.cols < LANES
    activations, parameters = (state.memories[memory] for memory in (Memory.ACTIVATION, Memory.PARAMETER))
    return ChipRecord(
        sizes=_sizes(state),
        memories=tuple(memory.reshape(-1).view(np.uint8) for memory in state.memories),  # type: ignore[arg-type]
        activations=activations.reshape(-1),
        parameters=parameters.reshape(-1),
        tables=state.tables.reshape(-1).view(np.uint8),
        dram=np.zeros(0, np.uint8),
        bases=np.zeros(BASE_REGISTERS, np.int64),
        stage=np.zeros(_STAGE_BYTES, np.uint8),
        shorts=np.empty(config.depth(Memory.ACTIVATION) * config.cols, np.int16),
        starts=np.empty(results, np.int64),
        steps=np.empty(weights, np.int64),
        weights=np.zeros(LANES * weights if narrow else 0, np.uint8),
        sums=np.zeros(_STAGE_BYTES * results if narrow else 0, np.uint8),
        before=np.zeros(max(config.cols, LANES)),
        after=np.zeros(max(config.cols, LANES)),
    )


def _sizes(state: State) -> Records:
    sizes, config = np.zeros(1, SIZES), state.config
    for name in ("rows", "cols", "slices"):
        sizes[name] = getattr(config, name)
    sizes["depth"] = state.depths
    sizes["vector_bytes"] = [config.vector_bytes(memory) for memory in Memory]
    return sizes


@compiled
def stays_inside(m: ChipRecord, memory: int, first: int, counts: Loops, strides: Loops, unit: int) -> bool:
    """Whether a nest never leaves the bank of its first address, in units of 1 / `unit` vector."""
    length = m.sizes[0].depth[memory] * unit
    low = first // length * length
    return first_outside(first, counts, strides, low, low + length) == NEVER


@inlined
def load_lanes(m: ChipRecord, data: Bytes, index: int, words: bool, count: int) -> Any:
    """The first `count` lanes at a byte of a memory; others hold anything."""
    if count < LANES:
        copy_bytes(m.stage, 0, data, index, count * (4 if words else 1))
        return load_words(m.stage, 0) if words else load_bytes(m.stage, 0)
    return load_words(data, index) if words else load_bytes(data, index)


@inlined
def store_lanes(m: ChipRecord, data: Bytes, index: int, lanes: Any, words: bool, count: int) -> None:
    """Lanes to `count` elements at a byte of a memory, as int32 or as their low bytes."""
    if count < LANES:
        if words:
            store_words(m.stage, 0, lanes)
        else:
            store_bytes(m.stage, 0, lanes)
        copy_bytes(data, index, m.stage, 0, count * (4 if words else 1))
    elif words:
        store_words(data, index, lanes)
    else:
        store_bytes(data, index, lanes)
