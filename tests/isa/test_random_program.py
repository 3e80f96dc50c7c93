"""Random programs are held against plain, slow readings of what makes a program legal."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.isa.address import memory_block, operands
from tilewright.isa.checker import check
from tilewright.isa.config import PRESETS
from tilewright.isa.encoding import decode_table, encode_program
from tilewright.isa.instruction import (
    INSTRUCTIONS,
    Destination,
    Finish,
    Load,
    Matrix,
    Store,
    Vector,
    specs,
)
from tilewright.isa.legality import dispatch_faults
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.random_program import fill_program, random_config, random_program
from tilewright.isa.semantics import apply
from tilewright.isa.state import Dram, State

MEMORY_BYTES = 4096


def draw(seed: int, length: int = 24):
    rng = np.random.default_rng(seed)
    config = random_config(rng, large_share=0.3)
    return config, random_program(rng, config, instructions=length, memory_bytes=MEMORY_BYTES)


@pytest.fixture(scope="module")
def programs():
    return [draw(seed) for seed in range(160)]


def test_every_instruction_is_defined_and_the_length_is_as_asked(programs):
    for config, program in programs:
        assert len(program) == 24
        assert not dispatch_faults(decode_table(encode_program(program)), config).any()


def test_no_address_leaves_its_bank(programs):
    for config, program in programs:
        for operand in (operand for instruction in program for operand in operands(instruction, config)):
            vectors = operand.nest.addresses() // operand.slices
            depth = config.depth(operand.memory)
            assert vectors.min() >= 0
            assert (vectors // depth == operand.first_vector // depth).all()


def test_no_byte_outside_of_the_regions_is_touched(programs):
    for config, program in programs:
        for instruction in program:
            if isinstance(instruction, Load | Store) and 0 not in memory_block(instruction).counts:
                low, high = memory_block(instruction).bounds()
                assert low >= 0
                assert high + config.vector_bytes(Memory(instruction.memory)) <= MEMORY_BYTES


# --- tokens ------------------------------------------------------------------------------------------------


def by_engine(program):
    return {engine: [i for i in program if i.engine == engine] for engine in Engine}


def tokens(program):
    """(giver engine, place, taker engine, place) of every token: the k-th given is the k-th taken."""
    queues, result = by_engine(program), []
    for giver, taker in product(Engine, Engine):
        given = [place for place, i in enumerate(queues[giver]) if i.signal >> taker & 1]
        taken = [place for place, i in enumerate(queues[taker]) if i.wait >> giver & 1]
        result += [(giver, one, taker, other) for one, other in zip(given, taken, strict=True)]
    return result


def started_after(engine, place, links):
    """For each engine the first place that surely starts after instruction `place` of `engine` finished."""
    giving, after = {engine: place}, {}
    changed = True
    while changed:
        changed = False
        for giver, one, taker, other in links:
            if one >= giving.get(giver, 1 << 30) and other < after.get(taker, 1 << 30):
                after[taker] = other
                giving[taker] = min(other, giving.get(taker, 1 << 30))
                changed = True
    return after


def touched(instruction, config):
    """(place, address, write) of everything that an instruction touches."""
    result = set()
    for operand in operands(instruction, config):
        vectors = operand.nest.addresses().ravel() // operand.slices
        result |= {(operand.memory, int(vector), operand.write) for vector in vectors}
    if isinstance(instruction, Load | Store):
        write = isinstance(instruction, Store)
        size = instruction.bytes if write else config.vector_bytes(Memory(instruction.memory))
        for first in memory_block(instruction).addresses().ravel():
            result |= {(f"base {instruction.base}", int(first) + step, write) for step in range(size)}
    return result


def conflict(one, other):
    written = {place[:2] for place in one if place[2]}, {place[:2] for place in other if place[2]}
    return any(place[:2] in written[1] for place in one) or any(place[:2] in written[0] for place in other)


@pytest.mark.slow
@given(st.integers(0, 1 << 32))
def test_conflicts_of_two_engines_are_ordered_by_tokens(seed):
    config, program = draw(seed, 16)
    links, places = tokens(program), Counter()
    place_of = {}
    for index, instruction in enumerate(program[:-1]):
        place_of[index] = places[instruction.engine]
        places[instruction.engine] += 1
    data = [touched(instruction, config) for instruction in program]
    for index, instruction in enumerate(program[:-1]):
        after = started_after(instruction.engine, place_of[index], links)
        for later in range(index + 1, len(program) - 1):
            other = program[later].engine
            if other != instruction.engine and conflict(data[index], data[later]):
                assert after.get(other, 1 << 30) <= place_of[later], (index, later)


def runs(config, program, order):
    """Run a program without time, engines in the given order: whether it ends, all tokens taken."""
    queues, left = {engine: [] for engine in Engine}, list(program[:-1])
    counters, before = Counter(), -1
    while before != len(left) + sum(map(len, queues.values())):
        before = len(left) + sum(map(len, queues.values()))
        if left and len(queues[left[0].engine]) < config.queue_depth:
            queues[left[0].engine].append(left.pop(0))
            before = -1
        for engine in order:
            if queues[engine] and step(config, queues[engine][0], engine, counters):
                queues[engine].pop(0)
                before = -1
                break
    return before == 0 and not any(counters.values())


def step(config, head, engine, counters):
    waits = [(other, engine) for other in Engine if head.wait >> other & 1]
    gives = [(engine, other) for other in Engine if head.signal >> other & 1]
    if not all(counters[pair] for pair in waits):
        return False
    if any(counters[pair] >= config.token_capacity for pair in gives):
        return False
    counters.subtract(waits)
    counters.update(gives)
    return True


def test_no_program_jams_or_leaves_tokens(programs):
    for config, program in programs:
        assert runs(config, program, list(Engine))
        assert runs(config, program, list(Engine)[::-1])


# --- diversity ---------------------------------------------------------------------------------------------


def test_every_field_takes_many_values_and_every_choice(programs):
    for kind in INSTRUCTIONS:
        members = [i for _, program in programs for i in program if isinstance(i, kind)]
        for name, spec in specs(kind).items():
            seen = {getattr(instruction, name) for instruction in members}
            known = {item.value for item in spec.values or ()}
            assert known <= seen, name
            assert len(seen) >= min(4, 1 << spec.bits) or known, name
            assert not spec.signed or min(seen) < 0 < max(seen), name


def test_what_is_hard_occurs(programs):
    everything = [(config, i) for config, program in programs for i in program]
    hard = {
        "pure fill": lambda c, i: isinstance(i, Load) and 0 in (i.n_y, i.n_x),
        "padding around data": lambda c, i: isinstance(i, Load) and 0 not in (i.pad_top, i.pad_right, i.n_x),
        "dense runs": lambda c, i: (
            isinstance(i, Load) and i.n_x > 3 and i.stride_x == c.vector_bytes(Memory(i.memory))
        ),
        "tails": lambda c, i: isinstance(i, Store) and i.bytes < c.vector_bytes(Memory(i.memory)),
        "accumulation of one vector": lambda c, i: (
            isinstance(i, Matrix) and i.accumulate and i.n_y * i.n_x == 1
        ),
        "many tiles": lambda c, i: isinstance(i, Matrix) and i.n_ky * i.n_kx * i.n_ci > 2,
        "in place": lambda c, i: isinstance(i, Vector) and i.a == i.destination and i.to != Destination.TABLE,
        "reductions": lambda c, i: isinstance(i, Vector) and i.n_2 * i.n_3 > 4,
        "look-ups": lambda c, i: isinstance(i, Vector) and i.lookup and i.to == Destination.ACTIVATION,
        "whole tables": lambda c, i: (
            isinstance(i, Vector) and i.to == Destination.TABLE and i.n_0 * i.n_1 > 60
        ),
        "three tokens": lambda c, i: max(i.wait.bit_count(), i.signal.bit_count()) == 3,
    }
    for name, holds in hard.items():
        assert sum(bool(holds(config, i)) for config, i in everything) >= 5, name


def test_tokens_go_forward_and_backward(programs):
    forward = backward = 0
    for _, program in programs:
        at = {engine: [k for k, i in enumerate(program) if i.engine == engine] for engine in Engine}
        for giver, one, taker, other in tokens(program):
            forward += at[giver][one] < at[taker][other]
            backward += at[giver][one] > at[taker][other]
    assert forward > 500
    assert backward > 40


@pytest.mark.parametrize("memory_bytes", [64, 200, 1 << 14])
@pytest.mark.parametrize("seed", range(6))
def test_a_filled_chip_holds_data_in_every_bank_and_table(seed, memory_bytes):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    program = fill_program(rng, config, memory_bytes=memory_bytes, vectors=16)
    assert check(program, config, region_bytes=dict.fromkeys(range(8), memory_bytes)).ok
    state = State(config)
    data = rng.integers(0, 256, 8 * memory_bytes, dtype=np.uint8)
    apply(program, state, Dram(data, [memory_bytes * base for base in range(8)]))
    for memory in Memory:
        for bank in np.split(state.memories[memory], config.banks(memory)):
            assert (bank[:16] != 0).mean() > 0.5
    assert (state.tables != 0).mean() > 0.5


@pytest.mark.slow
@given(st.integers(0, 1 << 32), st.sampled_from([64, 4096, 1 << 18]))
def test_the_checker_has_nothing_to_say(seed, memory_bytes):
    rng = np.random.default_rng(seed)
    config = random_config(rng, large_share=0.3 if memory_bytes > 64 else 0)
    program = random_program(rng, config, instructions=int(rng.choice([3, 20])), memory_bytes=memory_bytes)
    report = check(program, config, region_bytes=dict.fromkeys(range(8), memory_bytes))
    assert report.ok, report.format()


def test_large_machines_are_drawn_when_asked_for():
    rng = np.random.default_rng(4)
    small = [random_config(rng) for _ in range(200)]
    drawn = [random_config(rng, large_share=1) for _ in range(400)]
    assert max(config.cols for config in small) == 16
    assert {(32, 32), (64, 64), (128, 128), (4, 128)} <= {(config.rows, config.cols) for config in drawn}
    assert {2048, 4096} <= {config.burst_bytes for config in drawn}
    assert 16 in {config.activation_banks for config in drawn}
    assert any(config.burst_bytes == 4096 and config.bus_bytes == 16 for config in drawn), "256 beats"


def test_a_program_is_a_function_of_its_seed():
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_the_shortest_program_is_a_finish():
    rng = np.random.default_rng(0)
    assert random_program(rng, PRESETS["tiny"], instructions=1, memory_bytes=64) == [Finish()]
    with pytest.raises(ValueError, match="instructions must be at least 1"):
        random_program(rng, PRESETS["tiny"], instructions=0, memory_bytes=64)
    with pytest.raises(ValueError, match="memory_bytes must be at least 16"):
        random_program(rng, PRESETS["tiny"], instructions=1, memory_bytes=8)


@pytest.mark.parametrize("name", ["tiny", "reference", "large-32"])
def test_presets_have_random_programs_too(name):
    rng = np.random.default_rng(3)
    program = random_program(rng, PRESETS[name], instructions=40, memory_bytes=1 << 16)
    assert not dispatch_faults(decode_table(encode_program(program)), PRESETS[name]).any()
