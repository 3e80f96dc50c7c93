"""What the compiled core works on: int64 records, made from a configuration, a memory and a program.

Numbers of cycles are absolute. `NEVER` stands for what has not happened and may not happen.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.address import ADDRESS_BITS
from tilewright.isa.config import Config
from tilewright.isa.encoding import IntArray, ProgramTable
from tilewright.isa.footprint import Masks, blocking_writes, claim_masks
from tilewright.isa.instruction import ENGINE_OF, INSTRUCTIONS, Opcode, specs
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.operand import OPERANDS, PARAMETER_VECTORS, parameters_used
from tilewright.isa.register import BASE_REGISTERS
from tilewright.sim.compiled import constant
from tilewright.sim.memory import MAXIMUM_OUTSTANDING, MemoryModel

NEVER = constant(1 << 60)
ENGINES = len(Engine)
ADDRESSES = constant(1 << ADDRESS_BITS)
PORTS_EACH = max(sum(len(row.ports) for row in rows) for rows in OPERANDS.values())
"""Most ports that an instruction claims."""
MASK_BITS = 64
"""Bits of a mask of ports."""
TOKEN_RING = 256
"""Tokens of one pair of engines that are remembered: more than its counter holds."""
BURST_RING = 64
"""Bursts of load or store that are remembered: as many as can be in flight."""
NO_ENGINE = -1
NO_PORT = constant(-1)

Records = NDArray[Any]


def _distinct_fields() -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for kind in INSTRUCTIONS for name in specs(kind)))


def _shared_places() -> Mapping[str, int]:
    """A place for each field of any class: fields of one class lie apart, others share to save room."""
    together: dict[str, set[str]] = {name: set() for name in _distinct_fields()}
    for kind in INSTRUCTIONS:
        for name in specs(kind):
            together[name] |= set(specs(kind))
    places: dict[str, int] = {}
    for name, others in together.items():
        taken = {places[other] for other in others if other in places}
        places[name] = min(set(range(len(taken) + 1)) - taken)
    return MappingProxyType(places)


_PLACES = _shared_places()
_NONE: Mapping[str, int] = MappingProxyType({})


def record(*names: str, overlaid: Mapping[str, int] = _NONE, **shapes: tuple[int, ...]) -> np.dtype[np.void]:
    """A record of int64 fields.

    Args:
        names: fields, in words of texts.
        overlaid: further fields by their places after these; some share one.
        shapes: fields that hold several.
    """
    alone = [name for text in names for name in text.split()]
    offsets = {name: 8 * place for place, name in enumerate(alone)}
    offsets |= {name: 8 * (len(alone) + place) for name, place in overlaid.items()}
    end = max(offsets.values(), default=-8) + 8
    formats: list[Any] = [np.int64] * len(offsets)
    for name, shape in shapes.items():
        offsets[name] = end
        formats.append((np.int64, shape))
        end += 8 * prod(shape)
    return np.dtype(
        {"names": list(offsets), "formats": formats, "offsets": list(offsets.values()), "itemsize": end}
    )


def instruction_record(*names: str, **shapes: tuple[int, ...]) -> np.dtype[np.void]:
    """A record with the fields of any instruction, of which those of its own class hold what they should.

    Of a vector instruction, `parameters` holds the number of its parameter vectors, and `parameter_places`,
    for each of `PARAMETER_VECTORS`, where it lies from `parameter` on, if it is used.
    """
    places = {"parameter_places": (len(PARAMETER_VECTORS),)}
    return record("parameters", *names, overlaid=_PLACES, **places, **shapes)


def put_fields(records: Records, table: ProgramTable) -> None:
    """Write the fields of a program's instructions into records of them."""
    words = records.view(np.int64).reshape(len(records), records.itemsize // 8)
    kind = records.dtype.fields
    assert kind is not None
    for part in table.classes.values():
        if part.fields:
            places = [kind[name][1] // 8 for name in part.fields]
            words[part.rows[:, None], places] = np.stack(list(part.fields.values()), axis=1)
    vectors = table.classes[Opcode.VECTOR]
    used = np.stack(parameters_used(vectors.fields.__getitem__), axis=1).astype(np.int64)
    records["parameters"][vectors.rows] = used.sum(axis=1)
    records["parameter_places"][vectors.rows] = used.cumsum(axis=1) - used


_SIZES = (
    "rows cols slices bus_bytes burst_bytes outstanding_reads outstanding_writes queue_depth token_capacity "
    "requant_interval vector_taps fetch_buffer_instructions"
)
"""What the core needs of a `Config`, by its names there."""

STATE = record(
    _SIZES,
    # The memory outside, and the program's place in it.
    "latency outstanding memory_bytes silent_from program_address instructions",
    # The first fault; whether one was before the current cycle; since when load and store are abandoned.
    "fault_cycle fault_engine fault_instruction fault_cause halted abandoned_from",
    # Fetch.
    "requested fetch_request dispatched finish_dispatched checked fetch_faulted fetch_idle",
    # The read channel: bursts accepted, last beat, when its address register is free, who was granted last.
    "reads last_beat address_free load_granted_last",
    # Load: bursts granted, the next request; the landing: next action, actions done, first bad action.
    "load load_bursts load_request next_action actions bad_action",
    # Matrix: the last stream.
    "stream stream_vectors stream_base",
    # Store: bursts granted, when its address register is free, next action, beats taken in vain.
    "store_bursts store_address_free store_action store_beats_left",
    # Bursts of all, logged or not; bytes of fetch, load and store.
    "bursts",
    bytes_moved=(3,),
    bases=(BASE_REGISTERS,),
    vector_bytes=(len(Memory),),
    depth=(len(Memory),),
    # Each engine: instructions dispatched, started; when it can take another; last cycle in which it holds a
    # port.
    queued=(ENGINES,),
    started=(ENGINES,),
    free=(ENGINES,),
    held=(ENGINES, MASK_BITS),
    # Cycle of each possible event: starts, a dispatch, a granted read.
    event=(ENGINES + 2,),
    # Each pair of engines: tokens promised and taken, and by whom.
    promised=(ENGINES * ENGINES,),
    taken=(ENGINES * ENGINES,),
    givers=(ENGINES * ENGINES, TOKEN_RING),
    takers=(ENGINES * ENGINES, TOKEN_RING),
    # Rings: last beats of reads; cycles in which bursts of load and store are freed.
    read_end=(MAXIMUM_OUTSTANDING,),
    load_freed=(BURST_RING,),
    store_freed=(BURST_RING,),
)

CURSOR = record(
    "planes rows runs run_bytes stride_z stride_y stride_x beat_bytes",
    "z y x plane_address row_address address left",
)
"""A place among the bursts of a block in memory."""


_CYCLES = "arrived dispatched tokens_ready engine_ready start finish"
"""Last beat on the bus; dispatch; first cycle with its tokens, and with its engine; start; finish."""

INSTRUCTION = instruction_record(
    # Its engine (`NO_ENGINE`: finish or undefined), its header, its fault when it is dispatched.
    "engine nop wait signal cause",
    _CYCLES,
    # The ports that it claims, and those that it waits for while its own engine holds them.
    ports=(PORTS_EACH,),
    blocked_by_own=(PORTS_EACH,),
    # Beside instruction k: the k-th one of each engine.
    order=(ENGINES,),
)

BURST = record("traffic bytes pending accepted first last answered")
"""A burst on the bus: whose, how much; cycles of its address, its beats (last < first: none), its end."""


class MachineRecord(NamedTuple):
    """Everything that the core reads and writes: a state, the program, cursors of load and store, bursts."""

    state: Records
    instructions: Records
    cursors: Records
    log: Records


class ProgramMemory(NamedTuple):
    """What a program meets: the memory, its own first byte there, and the base registers."""

    memory: MemoryModel
    program_address: int
    bases: Sequence[int]


def build(
    config: Config, table: ProgramTable, causes: IntArray, placed: ProgramMemory, *, log: int = 0
) -> MachineRecord:
    """A machine before cycle 0.

    Args:
        config: its sizes.
        table: the program.
        causes: int64[n], with which each instruction faults when it is dispatched.
        placed: memory, addresses.
        log: bursts to be logged.
    """
    return MachineRecord(
        _state(config, len(table), placed),
        _instructions(config, table, causes),
        np.zeros(2, CURSOR),
        np.empty(log, BURST),
    )


def signed(address: int) -> int:
    """An address modulo 2**64 as int64 holds it: the upper half, beyond any memory, is negative."""
    return (address + (1 << 63)) % (1 << 64) - (1 << 63)


def _instructions(config: Config, table: ProgramTable, causes: IntArray) -> Records:
    result = np.zeros(len(table), INSTRUCTION)
    result["wait"], result["signal"], result["cause"] = table.wait, table.signal, causes
    result["engine"] = NO_ENGINE
    for name in _CYCLES.split():
        result[name] = NEVER
    masks = claim_masks(table, config)
    result["ports"] = _ports(masks)
    put_fields(result, table)
    for opcode, engine in ENGINE_OF.items():
        result["engine"][table.classes[opcode].rows] = engine
    nops = table.classes[Opcode.NOP]
    result["engine"][nops.rows] = nops.fields["runs_on"]
    result["nop"][nops.rows] = 1
    of_vector = result["engine"] == Engine.VECTOR
    result["blocked_by_own"] = np.where(of_vector[:, None], _own_writes(config)[result["ports"]], NO_PORT)
    return result


@cache
def _own_writes(config: Config) -> IntArray:
    """For each port the one that the vector engine must not hold to use it; the last entry is for NO_PORT."""
    writes = [blocking_writes(1 << port, config) for port in range(config.port_count)]
    none = [NO_PORT] * (MASK_BITS + 1 - config.port_count)
    return np.array([write.bit_length() - 1 for write in writes] + none, np.int64)


def _ports(masks: Masks) -> IntArray:
    """The ports of each mask, int64[n, PORTS_EACH], filled up with NO_PORT."""
    ports = np.full((len(masks), PORTS_EACH), NO_PORT, np.int64)
    for place in range(PORTS_EACH):
        lowest = masks & -masks
        ports[:, place] = np.where(lowest > 0, np.bitwise_count(lowest - np.uint64(1)), NO_PORT)
        masks = masks ^ lowest
    return ports


def _state(config: Config, instructions: int, placed: ProgramMemory) -> Records:
    state = np.zeros(1, STATE)
    for name in _SIZES.split():
        state[name] = getattr(config, name)
    state["vector_bytes"] = [config.vector_bytes(memory) for memory in Memory]
    state["depth"] = [config.depth(memory) for memory in Memory]
    memory = placed.memory
    state["latency"], state["outstanding"] = memory.latency, memory.outstanding
    state["memory_bytes"] = memory.size_bytes
    state["silent_from"] = NEVER if memory.silent_from is None else memory.silent_from
    state["program_address"] = signed(placed.program_address)
    state["bases"][0, : len(placed.bases)] = [signed(base) for base in placed.bases]
    state["instructions"] = instructions
    _settle(state)
    return state


def _settle(state: Records) -> None:
    """What is not 0 before cycle 0."""
    for name in ("fault_cycle", "abandoned_from", "finish_dispatched", "checked", "load_request"):
        state[name] = NEVER
    for name in ("read_end", "held", "last_beat", "stream"):
        state[name] = -1
    state["load_granted_last"] = 1
    # The first cycle in which fetch requests.
    state["fetch_request"] = 1
