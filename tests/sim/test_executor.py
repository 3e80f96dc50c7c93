"""The compiled executor does what `isa.semantics` says, byte for byte, on every machine."""

import random
from dataclasses import replace
from math import prod

import numpy as np
import pytest

from tilewright.isa.config import PRESETS
from tilewright.isa.encoding import decode_table, encode_program
from tilewright.isa.instruction import (
    Destination,
    Finish,
    Load,
    Matrix,
    ReduceMode,
    SourceA,
    SourceB,
    Store,
    Vector,
    VectorOp,
    specs,
)
from tilewright.isa.legality import dispatch_faults
from tilewright.isa.memory import Memory
from tilewright.isa.random_instruction import random_instructions
from tilewright.isa.random_program import random_config
from tilewright.isa.random_value import Taste, anything
from tilewright.isa.register import BASE_REGISTERS
from tilewright.isa.semantics import apply
from tilewright.isa.state import Dram, State
from tilewright.sim import core, executor
from tilewright.sim.compiled import source_stamp
from tilewright.sim.executor import Executor, operations

REGION = 4096
SIZE = REGION * BASE_REGISTERS
BASES = [REGION * base for base in range(BASE_REGISTERS)]
MOST_STEPS = 3000
WIDE = [(4, 16), (16, 32), (32, 32), (8, 64), (64, 64), (128, 128)]


def machine(rng, shape=None):
    """A random configuration, of the given array if any."""
    config = random_config(rng, large_share=0.3)
    if shape is None:
        return config
    rows, cols = shape
    return replace(config, rows=rows, cols=cols, weight_vectors=256)


def filled(config, rng):
    """A chip with anything in it, extremes more often."""
    state = State(config)
    for memory in state.memories:
        limits = np.iinfo(memory.dtype)
        memory[...] = rng.integers(limits.min, limits.max, memory.shape, memory.dtype, endpoint=True)
        memory[rng.random(memory.shape) < 0.2] = limits.min
        memory[rng.random(memory.shape) < 0.2] = limits.max
        memory[rng.random(memory.shape) < 0.3] //= 1 << 7 * (memory.itemsize - 1)
    state.tables[...] = rng.integers(-128, 128, state.tables.shape, np.int8)
    return state


def legal(rng, config, count):
    """Defined instructions that stay inside their banks and regions, each class as often as the others."""
    r = random.Random(int(rng.integers(1 << 62)))
    taste = Taste(
        config=config,
        memory_bytes=REGION,
        budget=60,
        hot=0.5,
        bases=tuple(range(BASE_REGISTERS)),
        weights=dict.fromkeys((Load, Store, Matrix, Vector), 1.0),
    )
    return [item for _ in range(count) for item in random_instructions(r, taste)]


def steps(instruction):
    """Of all its loops, roughly; pads included."""
    values = vars(instruction)
    return prod(max(1, value) for name, value in values.items() if name[:2] == "n_") * prod(
        1 + value // 8 for name, value in values.items() if name[:4] == "pad_" and name != "pad_value"
    )


def changed(rng, config, instruction):
    """The instruction with fields that hold anything, defined still; it may leave banks and memory."""
    r = random.Random(int(rng.integers(1 << 62)))
    table = specs(type(instruction))
    for _ in range(50):
        chosen = r.sample(sorted(table), r.choice((1, 1, 2, 3)))
        candidate = replace(instruction, **{name: anything(r, table[name]) for name in chosen})
        if (
            steps(candidate) <= MOST_STEPS
            and not dispatch_faults(decode_table(encoded([candidate])), config)[0]
        ):
            return candidate
    return instruction


def encoded(program):
    return encode_program([*program, Finish()])


def assert_as_meant(config, program, rng, bases=BASES):
    state = filled(config, rng)
    # What lies behind the memory is not seen either.
    around = rng.integers(1, 256, 2 * SIZE, np.uint8)
    data, behind = around[:SIZE], around[SIZE:].copy()
    expected, expected_data = state.copy(), data.copy()
    table = decode_table(encoded(program))
    Executor(state).apply(operations(table, np.ones(len(table), np.bool_)), Dram(data, bases))
    apply(program, expected, Dram(expected_data, bases))
    assert (data == expected_data).all()
    assert (around[SIZE:] == behind).all()
    assert (state.tables == expected.tables).all()
    for memory in Memory:
        assert (state.memories[memory] == expected.memories[memory]).all(), memory


@pytest.fixture
def compiled_alone(monkeypatch):
    """Nothing is left to the meaning itself."""

    def refuse(operation, *_):
        raise AssertionError(f"{operation} is left to others")

    monkeypatch.setattr(executor, "execute_one", refuse)


@pytest.mark.parametrize("seed", range(60))
def test_usual_instructions_do_what_they_mean_in_compiled_code(seed, compiled_alone):
    rng = np.random.default_rng(seed)
    config = machine(rng, WIDE[seed % len(WIDE)] if seed % 3 == 0 else None)
    program = [item for item in legal(rng, config, 25) if not _repeats(item)]
    assert_as_meant(config, program, rng)


@pytest.mark.parametrize("seed", range(60))
def test_any_defined_instructions_do_what_they_mean(seed):
    rng = np.random.default_rng(1000 + seed)
    config = machine(rng, WIDE[seed % len(WIDE)] if seed % 3 == 0 else None)
    program = [changed(rng, config, item) for item in legal(rng, config, 25)]
    assert_as_meant(config, program, rng)


def _repeats(item):
    """Whether a vector instruction visits a destination twice: in place, that is a race with itself."""
    if not isinstance(item, Vector) or item.to == Destination.TABLE:
        return False
    places = {
        i * item.destination_stride_0 + j * item.destination_stride_1
        for i in range(item.n_0)
        for j in range(item.n_1)
    }
    return len(places) < item.n_0 * item.n_1


@pytest.mark.parametrize("shape", [(4, 4), (8, 8), (16, 16), (8, 32)])
@pytest.mark.parametrize("op", VectorOp)
def test_every_operation_fold_source_and_destination(shape, op, compiled_alone):
    rng = np.random.default_rng(op)
    config = replace(PRESETS["reference"], rows=shape[0], cols=shape[1], activation_vectors=64)
    program = []
    for reduce in ReduceMode:
        for a_from in SourceA:
            for b_from in [SourceB.CONSTANT] if op == VectorOp.PASS else SourceB:
                for to in Destination:
                    for flags in range(8):
                        program.append(_vector(rng, config, op, reduce, a_from, b_from, to, flags))
    assert not dispatch_faults(decode_table(encoded(program)), config).any()
    assert_as_meant(config, program, rng)


def _vector(rng, config, op, reduce, a_from, b_from, to, flags):
    reduced = (1, 1) if reduce == ReduceMode.NONE else (2, 3)
    memory_of_a = config.activation_vectors if a_from == SourceA.ACTIVATION else config.accumulator_vectors
    depth = {
        SourceB.ACTIVATION: config.activation_vectors,
        SourceB.ACCUMULATOR: config.accumulator_vectors,
    }.get(b_from, 0)
    # Each operand in a bank of its own, as far as there are banks.
    busy_accumulator = a_from == SourceA.ACCUMULATOR or b_from == SourceB.ACCUMULATOR
    both = a_from == SourceA.ACCUMULATOR and b_from == SourceB.ACCUMULATOR
    if both and to == Destination.ACCUMULATOR:
        to = Destination.ACTIVATION
    bank = {Destination.ACTIVATION: 2, Destination.ACCUMULATOR: 1 if busy_accumulator else 0}.get(to, 0)
    own = {
        Destination.ACTIVATION: config.activation_vectors,
        Destination.ACCUMULATOR: config.accumulator_vectors,
    }
    b_bank = 1 if a_from.name == b_from.name else 0
    return Vector(
        op=op,
        reduce=reduce,
        a_from=a_from,
        b_from=b_from,
        to=to,
        a=int(rng.integers(0, min(memory_of_a, 8))),
        b=depth * b_bank + int(rng.integers(0, 8)),
        parameter=int(rng.integers(0, 8)),
        destination=bank * own.get(to, 0) + int(rng.integers(0, 8)),
        n_0=2,
        n_1=3,
        n_2=reduced[0],
        n_3=reduced[1],
        destination_stride_0=5,
        destination_stride_1=1,
        a_stride_0=6,
        a_stride_1=2,
        a_stride_2=3,
        a_stride_3=1,
        b_stride_0=4,
        b_stride_1=1,
        b_stride_2=2,
        b_stride_3=5,
        immediate=int(rng.choice([-(2**31), 2**31 - 1, -3, 100, 300])),
        zero_point=int(rng.integers(-128, 128)),
        lo=int(rng.integers(-128, 0)),
        hi=int(rng.integers(0, 128)),
        bias=flags & 1,
        requantise=flags >> 1 & 1,
        lookup=flags >> 2 & 1 if to != Destination.TABLE else 0,
    )


def test_a_scale_of_any_bits_requantises_any_sum_as_it_means(compiled_alone):
    config = PRESETS["reference"]
    rng = np.random.default_rng(5)
    vectors = 200
    state = filled(config, rng)
    state.memories[Memory.PARAMETER][...] = rng.integers(
        -(2**31), 2**31, state.memories[Memory.PARAMETER].shape
    )
    expected = state.copy()
    program = [
        Vector(
            a_from=SourceA.ACCUMULATOR,
            to=Destination.ACCUMULATOR,
            destination=config.accumulator_vectors,
            n_1=vectors,
            a_stride_1=1,
            destination_stride_1=1,
            parameter=parameter,
            requantise=1,
            bias=parameter % 2,
        )
        for parameter in range(60)
    ]
    # Sums keep changing: what was scaled is the next source.
    program = [replace(item, a=item.parameter) for item in program]
    table = decode_table(encoded(program))
    for item, operation in zip(program, operations(table, np.ones(len(table), np.bool_)), strict=True):
        data = np.zeros(64, np.uint8)
        Executor(state).apply(operation.reshape(1), Dram(data))
        apply([item], expected, Dram(data))
        assert (state.memories[Memory.ACCUMULATOR] == expected.memories[Memory.ACCUMULATOR]).all()


@pytest.mark.parametrize("strides", [(0, 0), (0, 1), (1, 0), (1, 1), (2, -1), (-2, 1), (1, 2)])
@pytest.mark.parametrize("counts", [(1, 3), (3, 1), (2, 3)])
def test_an_instruction_in_place_sees_nothing_of_what_it_writes(strides, counts):
    # Where it visits a vector twice this is a race with itself, which only unchecked programs have.
    outer, inner = strides
    item = Vector(
        op=VectorOp.ADD,
        a=20,
        destination=20,
        n_0=counts[0],
        n_1=counts[1],
        a_stride_0=outer,
        a_stride_1=inner,
        destination_stride_0=outer,
        destination_stride_1=inner,
        immediate=3,
    )
    assert not dispatch_faults(decode_table(encoded([item])), PRESETS["tiny"]).any()
    assert_as_meant(PRESETS["tiny"], [item], np.random.default_rng(3))


@pytest.mark.parametrize("name", ["tiny", "reference"])
@pytest.mark.parametrize("base", [0, SIZE - 64, SIZE, (1 << 63) - 64, 1 << 63, (1 << 64) - 64])
def test_transfers_at_the_ends_of_the_address_space(base, name):
    config = PRESETS[name]
    rng = np.random.default_rng(7)
    strides = [-(1 << 31), -64, -8, 0, 8, 16, 24, 32, 40, 48, 56, (1 << 31) - 8]
    program = [
        kind(offset=offset, n_z=2, n_y=2, n_x=3, stride_y=stride, stride_z=8, stride_x=8, **more)
        for stride in strides
        for offset in (0, 8, 64, (1 << 48) - 8)
        for kind, more in (
            (Load, {"chip_stride_y": 5}),
            (Store, {"chip_stride_y": 5, "bytes": config.cols - 1}),
        )
    ]
    # Results side by side, as far as there is room.
    places = range(0, 20 * len(program), 20)
    program = [
        replace(item, address=place % (config.activation_vectors - 20))
        for item, place in zip(program, places, strict=True)
    ]
    assert_as_meant(config, program, rng, [base] * BASE_REGISTERS)


def test_a_load_of_nothing_but_pads_never_looks_outside(compiled_alone):
    config, rng = PRESETS["tiny"], np.random.default_rng(8)
    program = [
        Load(n_x=0, pad_left=2, pad_right=1, n_y=2, chip_stride_y=4, pad_value=-5, memory=memory, base=1)
        for memory in Memory
    ]
    program += [replace(item, n_x=3, n_y=0, pad_top=1, pad_bottom=1, address=8) for item in program]
    assert_as_meant(config, program, rng, [0, 1 << 63])


def test_instructions_left_to_their_meaning_are_few(monkeypatch):
    left = []
    really = executor.execute_one

    def count(operation, state, outside):
        left.append(operation)
        really(operation, state, outside)

    monkeypatch.setattr(executor, "execute_one", count)
    rng = np.random.default_rng(9)
    config = machine(rng)
    program = [changed(rng, config, item) for item in legal(rng, config, 200)]
    assert_as_meant(config, program, rng)
    assert 0 < len(left) < len(program)


def test_compiled_code_of_other_sources_is_not_even_opened():
    # numba's index holds types of the sources that it was made from, and cannot be read without them.
    names = [kept.py_func.__qualname__ for kept in (executor._execute, core.run_machine)]
    assert all(name.endswith(source_stamp()[:16]) for name in names)
