"""What a program does to data, instruction after instruction, once its time is known."""

from collections.abc import Iterable, Mapping

from tilewright.isa.address import ADDRESS_BITS, memory_block, store_block
from tilewright.isa.encoding import BoolArray, ProgramTable
from tilewright.isa.instruction import Opcode, Store
from tilewright.isa.memory import Memory
from tilewright.isa.semantics import execute_fields
from tilewright.isa.state import Dram, State

Fields = Mapping[str, int]
Operation = tuple[Opcode, Fields]
"""What an instruction does to data."""


def operations(table: ProgramTable, chosen: BoolArray) -> tuple[Operation, ...]:
    """What the chosen instructions, bool[n], do to data, in their order; they must be defined."""
    found: dict[int, Operation] = {}
    for opcode in (Opcode.LOAD, Opcode.STORE, Opcode.MATRIX, Opcode.VECTOR):
        part = table.classes[opcode]
        own = chosen[part.rows]
        columns = [column[own].tolist() for column in part.fields.values()]
        rows = part.rows[own].tolist()
        for row, values in zip(rows, zip(*columns, strict=True), strict=True):
            found[row] = (opcode, dict(zip(part.fields, values, strict=True)))
    return tuple(found[row] for row in sorted(found))


def apply(done: Iterable[Operation], state: State, dram: Dram) -> None:
    """Execute operations in their order."""
    for opcode, fields in done:
        execute_fields(opcode, fields, state, dram)


def apply_abandoned(done: Iterable[Operation], state: State, dram: Dram, store_beats: int) -> None:
    """The same where of the stores only the first `store_beats` beats reach the memory."""
    for opcode, fields in done:
        if opcode != Opcode.STORE:
            execute_fields(opcode, fields, state, dram)
            continue
        beats = fields["n_z"] * fields["n_y"] * fields["n_x"] * _beats_each(fields, state)
        if beats <= store_beats:
            execute_fields(opcode, fields, state, dram)
        else:
            _store_some(fields, state, dram, store_beats)
        store_beats = max(0, store_beats - beats)


def _transfer_bytes(fields: Fields, state: State) -> int:
    return state.config.transfer_bytes(Memory(fields["memory"]))


def _beats_each(fields: Fields, state: State) -> int:
    return state.config.vector_bytes(Memory(fields["memory"])) // _transfer_bytes(fields, state)


def _store_some(fields: Fields, state: State, dram: Dram, beats: int) -> None:
    """The first beats of a store, vector by vector, each as a store of its own."""
    store = Store(**fields)
    memory, beat_bytes = Memory(store.memory), _transfer_bytes(fields, state)
    depth = state.config.depth(memory)
    sources = store_block(store).addresses().ravel() % (1 << ADDRESS_BITS)
    targets = memory_block(store).addresses().ravel()
    vectors = -(-beats // _beats_each(fields, state))
    for place in range(vectors):
        arrived = (beats - place * _beats_each(fields, state)) * beat_bytes
        if sources[place] // depth == store.address // depth:
            one = {"n_z": 1, "n_y": 1, "n_x": 1, "address": int(sources[place])}
            one |= {"offset": int(targets[place]), "bytes": min(store.bytes, arrived)}
            execute_fields(Opcode.STORE, {**fields, **one}, state, dram)
