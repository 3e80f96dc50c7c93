"""A footprint is exactly what an instruction touches, and its claims are the ports it does that with."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operand_strategy import SPLIT, loads, matrices, random_machine, stores, vectors
from tilewright.isa.address import AddressLoops
from tilewright.isa.config import PRESETS, Config
from tilewright.isa.encoding import decode_table, encode_program
from tilewright.isa.footprint import blocking_writes, claim_masks, claims, footprint, port_mask
from tilewright.isa.instruction import (
    Destination,
    Finish,
    Load,
    Matrix,
    Nop,
    SourceA,
    SourceB,
    Store,
    Vector,
    VectorOp,
)
from tilewright.isa.memory import Memory, Port
from tilewright.isa.semantics import execute
from tilewright.isa.span import Spans, spans_of

TINY = PRESETS["tiny"]
WIDEST = Config(
    rows=4,
    cols=4,
    activation_banks=16,
    activation_vectors=16,
    weight_banks=4,
    weight_vectors=16,
    accumulator_banks=8,
    accumulator_vectors=16,
    parameter_banks=4,
    parameter_vectors=16,
)
CONFIGS = pytest.mark.parametrize("config", [TINY, SPLIT], ids=["tiny", "split"])
KINDS = pytest.mark.parametrize("kind", [loads, stores, matrices, vectors])

NESTS = st.lists(st.tuples(st.integers(0, 4), st.integers(-9, 9)), max_size=4).flatmap(
    lambda loops: st.builds(
        AddressLoops,
        st.integers(-20, 20),
        st.just(tuple(count for count, _ in loops)),
        st.just(tuple(stride for _, stride in loops)),
    )
)


def members(nest, length=1):
    """The addresses of a nest, loop by loop."""
    loops = itertools.product(*(range(count) for count in nest.counts))
    firsts = {nest.first + sum(map(lambda i, s: i * s, steps, nest.strides)) for steps in loops}
    return sorted({first + k for first in firsts for k in range(length)})


@given(NESTS, st.integers(1, 5), st.integers(1, 4))
def test_spans_are_the_set_of_addresses(nest, length, unit):
    spans = spans_of(nest, length)
    wanted = members(nest, length)
    assert spans.addresses().tolist() == wanted
    assert (spans.starts[1:] > spans.stops[:-1]).all()
    assert spans.coarser(unit).addresses().tolist() == sorted({address // unit for address in wanted})


@given(NESTS)
def test_a_nest_knows_its_hull_its_order_and_its_repetitions(nest):
    wanted = members(nest)
    low, high = nest.bounds()
    assert (low, high) == (wanted[0], wanted[-1]) if wanted else high < low
    flat = nest.addresses().ravel().tolist()
    assert sorted(set(flat)) == wanted
    if nest.surely_distinct():
        assert len(flat) == len(set(flat))


@given(NESTS, NESTS, st.integers(1, 3))
def test_common_addresses_are_found(one, other, length):
    both = sorted(set(members(one, length)) & set(members(other)))
    wanted = (both[0], both[-1]) if both else None
    assert spans_of(one, length).common(spans_of(other)) == wanted
    assert spans_of(other).common(spans_of(one, length)) == wanted


def test_dense_blocks_are_one_span():
    assert spans_of(AddressLoops(0, (64, 32, 16), (512, 16, 1))) == Spans(np.array([0]), np.array([1 << 15]))


def test_accesses_say_where_they_are():
    load = Load(
        base=2, offset=64, memory=Memory.ACTIVATION, address=256, n_y=2, n_x=3, stride_y=16, stride_x=4
    )
    chip, memory = footprint(load, TINY)
    assert (chip.place, chip.unit, chip.write, chip.bounds) == (
        "activation bank 1",
        "vector",
        True,
        (256, 258),
    )
    assert (memory.place, memory.unit, memory.write) == ("memory of base register 2", "byte", False)
    assert memory.addresses().tolist() == [*range(64, 76), *range(80, 92)]
    assert memory.bounds == (64, 91)


def test_slices_of_a_matrix_instruction_count_as_their_vectors():
    activation, weight, accumulator = footprint(Matrix(activation=37, n_x=3, stride_x=4, n_ci=2), SPLIT)
    assert (activation.bank, activation.addresses().tolist()) == (1, [18, 20, 22])
    assert activation.bounds == (18, 22)
    assert weight.addresses().tolist() == list(range(8))
    assert (accumulator.write, accumulator.addresses().tolist()) == (True, [0, 1, 2])


def in_bounds(instruction, config, dram):
    """Whether an instruction stays in its banks and in the memory outside."""
    for access in footprint(instruction, config):
        low, high = access.bounds
        first, length = 0, dram.size
        if access.memory is not None:
            length = config.depth(access.memory)
            first = access.bank * length
        else:
            first -= dram.bases[access.bank]
        if low < first or high >= first + length:
            return False
    return True


def masks_of(accesses, state, dram, *, write):
    """For each memory, the memory outside last, which rows (bytes) the accesses touch."""
    masks = [np.zeros(len(memory), bool) for memory in (*state.memories, dram.data)]
    for access in accesses:
        if access.write == write:
            if access.memory is None:
                masks[-1][access.addresses() + dram.bases[access.bank]] = True
            else:
                masks[access.memory][access.addresses()] = True
    return masks


@CONFIGS
@KINDS
@given(data=st.data())
def test_nothing_outside_of_the_footprint_matters_or_changes(config, kind, data):
    instruction = data.draw(kind(config))
    state, dram = random_machine(config, 0)
    dram.bases[3] = 0
    if not in_bounds(instruction, config, dram):
        return
    accesses = footprint(instruction, config)
    reads, writes = (masks_of(accesses, state, dram, write=write) for write in (False, True))
    other, other_dram = random_machine(config, 1)
    other_dram.bases[3] = 0
    # Accumulators that are added to are listed as written only.
    added = [write if memory == Memory.ACCUMULATOR else False for memory, write in enumerate(writes)]
    arrays = zip((*state.memories, dram.data), (*other.memories, other_dram.data), strict=True)
    for (mine, theirs), read, also in zip(arrays, reads, added, strict=True):
        theirs[read | also] = mine[read | also]
    other.tables[...] = state.tables
    before = [array.copy() for array in (*other.memories, other_dram.data)]
    execute(instruction, state, dram)
    execute(instruction, other, other_dram)
    arrays = zip((*state.memories, dram.data), (*other.memories, other_dram.data), strict=True)
    for (mine, theirs), write, old in zip(arrays, writes, before, strict=True):
        np.testing.assert_array_equal(mine[write], theirs[write])
        np.testing.assert_array_equal(theirs[~write], old[~write])


# --- ports -------------------------------------------------------------------------------------------------


def ports(mask, config):
    """The ports of a claim mask by name."""
    names = {
        config.port_index(memory, bank, port): (memory, bank, port)
        for memory in Memory
        for bank in range(config.banks(memory))
        for port in Port
    }
    return {names[bit] for bit in range(config.port_count) if mask >> bit & 1}


READ, WRITE = Port
ACTIVATION, WEIGHT, ACCUMULATOR, PARAMETER = Memory


@pytest.mark.parametrize(
    ("instruction", "wanted"),
    [
        (Load(memory=WEIGHT), {(WEIGHT, 0, WRITE)}),
        (Store(memory=ACCUMULATOR, address=64), {(ACCUMULATOR, 1, READ)}),
        (
            Matrix(activation=3 * 256, accumulator=64),
            {(ACTIVATION, 3, READ), (WEIGHT, 0, READ), (ACCUMULATOR, 1, READ), (ACCUMULATOR, 1, WRITE)},
        ),
        (
            Vector(a=256, destination=512, requantise=1),
            {(ACTIVATION, 1, READ), (PARAMETER, 0, READ), (ACTIVATION, 2, WRITE)},
        ),
        (
            Vector(
                op=VectorOp.ADD, b_from=SourceB.PARAMETER, a_from=SourceA.ACCUMULATOR, to=Destination.TABLE
            ),
            {(ACCUMULATOR, 0, READ), (PARAMETER, 0, READ)},
        ),
        (Vector(op=VectorOp.PASS, to=Destination.TABLE), {(ACTIVATION, 0, READ)}),
        (Nop(), set()),
        (Finish(), set()),
    ],
)
def test_claims_are_those_of_the_contract(instruction, wanted):
    assert ports(claims(instruction, TINY), TINY) == wanted


@pytest.mark.parametrize("config", [SPLIT, WIDEST], ids=["split", "widest"])
@KINDS
@settings(max_examples=20)
@given(data=st.data())
def test_claims_of_a_program_are_those_of_its_instructions(config, kind, data):
    program = [Nop(), data.draw(kind(config)), Finish()]
    masks = claim_masks(decode_table(encode_program(program)), config)
    assert masks.dtype == np.uint64
    assert masks.tolist() == [claims(instruction, config) for instruction in program]
    assert ports(masks[1].item(), config) == touched_ports(program[1], config)


def touched_ports(instruction, config):
    """The ports of the accesses on the chip; an accumulator that is added to is read as well."""
    result = set()
    for access in footprint(instruction, config):
        if access.memory is None or access.bank >= config.banks(access.memory):
            continue
        kinds = {WRITE if access.write else READ}
        if isinstance(instruction, Matrix) and access.write:
            kinds.add(READ)
        result |= {(access.memory, access.bank, kind) for kind in kinds}
    return result


def test_beyond_its_memory_an_operand_claims_nothing():
    program = [Load(memory=PARAMETER, address=1 << 19), Finish()]
    assert claim_masks(decode_table(encode_program(program)), TINY).tolist() == [0, 0]
    assert claims(program[0], TINY) == 0


def test_a_vector_instruction_waits_for_writes_of_the_banks_it_reads():
    first, second = Vector(a=0, destination=256), Vector(a=256, destination=512)
    assert blocking_writes(claims(second, TINY), TINY) & claims(first, TINY)
    assert not blocking_writes(claims(first, TINY), TINY) & claims(second, TINY)
    assert port_mask(TINY, READ) << 1 == port_mask(TINY, WRITE)
