"""What a program does to data after a time-out: of its stores only what reached the memory."""

from collections.abc import Mapping

from tilewright.isa.address import ADDRESS_BITS, memory_block, store_block
from tilewright.isa.instruction import Opcode, Store
from tilewright.isa.memory import Memory
from tilewright.isa.semantics import execute_fields
from tilewright.isa.state import Dram, State
from tilewright.sim.executor import execute_one, fields_of
from tilewright.sim.record import Records

Fields = Mapping[str, int]


def apply_abandoned(done: Records, state: State, dram: Dram, store_beats: int) -> None:
    """Execute operations in their order, but of the stores only the first `store_beats` beats."""
    for operation in done:
        if operation["opcode"] != Opcode.STORE:
            execute_one(operation, state, dram)
            continue
        fields = fields_of(operation)
        beats = fields["n_z"] * fields["n_y"] * fields["n_x"] * _beats_each(fields, state)
        if beats <= store_beats:
            execute_one(operation, state, dram)
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
