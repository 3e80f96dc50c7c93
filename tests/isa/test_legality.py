"""Undefined instructions, held against a second reading of docs/machine.md in plain Python."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruction_strategy import instructions
from tilewright.isa.config import PRESETS, Config
from tilewright.isa.encoding import decode_table, encode, encode_program
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import (
    Destination,
    Finish,
    Instruction,
    Load,
    Matrix,
    Nop,
    ReduceMode,
    SourceA,
    SourceB,
    Store,
    Vector,
    VectorOp,
    specs,
)
from tilewright.isa.legality import dispatch_faults, explain, explain_row
from tilewright.isa.memory import Engine, Memory

TINY = PRESETS["tiny"]
WIDE = PRESETS["ecp5-85f"]
LEGAL = [
    Load(offset=8, memory=Memory.ACCUMULATOR, stride_x=16, stride_y=-8),
    Load(n_y=0, n_x=0, pad_top=1, pad_left=1),
    Store(bytes=4, wait=1 << Engine.MATRIX),
    Matrix(activation=1023, weight=255, accumulator=127),
    Vector(a=256, destination=0, op=VectorOp.ADD),
    Vector(a=5, destination=5, a_stride_0=3, destination_stride_0=3),
    Vector(a_from=SourceA.ACCUMULATOR, b_from=SourceB.ACCUMULATOR, b=64, op=VectorOp.MAXIMUM),
    Vector(to=Destination.TABLE, destination=1 << 19, parameter=1 << 19, b=1 << 19),
    Nop(runs_on=Engine.STORE, wait=0b0111),
]
UNDEFINED = [
    (Load(n_z=0), "n_z must be at least 1"),
    (Load(n_y=0), r"n_y \+ pad_top \+ pad_bottom must be at least 1"),
    (Load(n_x=0), r"n_x \+ pad_left \+ pad_right must be at least 1"),
    (Load(offset=2), "offset must be a multiple of 4 bytes"),
    (Load(stride_z=-6), "stride_z must be a multiple of 4 bytes"),
    (Load(memory=Memory.PARAMETER, stride_y=4), "stride_y must be a multiple of 8 bytes"),
    (Store(stride_x=1), "stride_x must be a multiple of 4 bytes"),
    (Store(bytes=0), "bytes must be from 1 to 4"),
    (Store(memory=Memory.ACCUMULATOR, bytes=17), "bytes must be from 1 to 16"),
    (Matrix(n_kx=0), "n_kx must be at least 1"),
    (Vector(a=256, op=VectorOp.PASS, b_from=SourceB.PARAMETER), "pass has no b"),
    (Vector(a=256, n_2=2), "n_2 and n_3 must be 1 with reduce = none, not 2 and 1"),
    (Vector(a=256, b=300, op=VectorOp.ADD, b_from=SourceB.ACTIVATION), "not both in bank 1"),
    (Vector(a=1), "destination must lie in another bank than a"),
    (Vector(a_stride_1=1), "destination must lie in another bank than a"),
    (Vector(n_3=2, reduce=ReduceMode.ADD), "destination must lie in another bank than a"),
    (Vector(a=256, b=1, op=VectorOp.ADD, b_from=SourceB.ACTIVATION), "another bank than b"),
    (Vector(a=256, lookup=1, to=Destination.TABLE), "lookup must be 0 with to = table"),
]
OUTSIDE = [
    (Load(address=1024), "address must be below 1024"),
    (Store(memory=Memory.ACCUMULATOR, address=128), "address must be below 128"),
    (Matrix(activation=1024), "activation must be below 1024"),
    (Matrix(weight=256), "weight must be below 256"),
    (Matrix(accumulator=128), "accumulator must be below 128"),
    (Vector(a=1024), "a must be below 1024"),
    (Vector(a=256, destination=1024), "destination must be below 1024"),
    (Vector(a=256, b=64, op=VectorOp.ADD, b_from=SourceB.PARAMETER), "b must be below 64"),
    (Vector(a=256, bias=1, parameter=64), "parameter must be below 64"),
    (Vector(a=256, op=VectorOp.MULTIPLY_ADD, parameter=64), "parameter must be below 64"),
]


def cause(instruction: Instruction, config: Config = TINY) -> Cause:
    return Cause(int(dispatch_faults(decode_table(encode_program([instruction, Finish()])), config)[0]))


@pytest.mark.parametrize("instruction", LEGAL, ids=repr)
def test_a_legal_instruction_is_fine(instruction):
    assert explain(instruction, TINY) == []
    assert cause(instruction) == Cause.NONE


@pytest.mark.parametrize(("instruction", "text"), UNDEFINED, ids=repr)
def test_an_undefined_instruction_is_illegal_and_says_why(instruction, text):
    assert cause(instruction) == Cause.ILLEGAL
    with pytest.raises(ValueError, match=text):
        raise ValueError("; ".join(explain(instruction, TINY)))


@pytest.mark.parametrize(("instruction", "text"), OUTSIDE, ids=repr)
def test_an_address_beyond_its_memory_is_an_address_fault(instruction, text):
    assert cause(instruction) == Cause.ADDRESS
    assert [reason[: len(text)] for reason in explain(instruction, TINY)] == [text]


def test_illegal_goes_before_address():
    assert cause(Load(n_z=0, address=1024)) == Cause.ILLEGAL
    assert len(explain(Load(n_z=0, address=1024), TINY)) == 2


def test_finish_stands_at_the_end_and_only_there():
    table = decode_table(encode_program([Finish(), Nop()]))
    assert dispatch_faults(table, TINY).tolist() == [Cause.ILLEGAL, Cause.ILLEGAL]
    assert explain_row(table, 0, TINY) == ["finish must be the last instruction: remove it, or what follows"]
    assert explain_row(table, 1, TINY) == ["the last instruction must be finish: add one"]


@pytest.mark.parametrize("place", [0, 2, 4, 9, 511])
def test_a_damaged_word_is_illegal_and_says_why(place):
    bits = int.from_bytes(encode(Load(wait=0b0010)), "little") ^ 1 << place
    if place == 9:
        bits ^= 1 << 8
    table = decode_table(bits.to_bytes(64, "little") + encode(Finish()))
    assert dispatch_faults(table, TINY).tolist() == [Cause.ILLEGAL, Cause.NONE]
    assert explain_row(table, 0, TINY)


def test_tokens_of_finish_are_illegal():
    bits = int.from_bytes(encode(Finish()), "little") | 1 << 9
    table = decode_table(bits.to_bytes(64, "little"))
    assert dispatch_faults(table, TINY).tolist() == [Cause.ILLEGAL]
    assert explain_row(table, 0, TINY) == ["wait must be empty: finish waits for every engine anyway"]


# --- the second reading -------------------------------


def read_block(i: Load | Store, config: Config) -> Iterator[Cause]:
    memory = Memory(i.memory)
    transfer = min(config.vector_bytes(memory), config.bus_bytes)
    if any(value % transfer for value in (i.offset, i.stride_z, i.stride_y, i.stride_x)):
        yield Cause.ILLEGAL
    if i.address >= config.vectors(memory):
        yield Cause.ADDRESS


def read_load(i: Load, config: Config) -> Iterator[Cause]:
    if 0 in (i.n_z, i.pad_top + i.n_y + i.pad_bottom, i.pad_left + i.n_x + i.pad_right):
        yield Cause.ILLEGAL
    yield from read_block(i, config)


def read_store(i: Store, config: Config) -> Iterator[Cause]:
    if 0 in (i.n_z, i.n_y, i.n_x, i.bytes) or i.bytes > config.vector_bytes(Memory(i.memory)):
        yield Cause.ILLEGAL
    yield from read_block(i, config)


def read_matrix(i: Matrix, config: Config) -> Iterator[Cause]:
    if 0 in (i.n_y, i.n_x, i.n_ci, i.n_ky, i.n_kx):
        yield Cause.ILLEGAL
    for vector, memory in (
        (i.activation // config.slices, Memory.ACTIVATION),
        (i.weight, Memory.WEIGHT),
        (i.accumulator, Memory.ACCUMULATOR),
    ):
        if vector >= config.vectors(memory):
            yield Cause.ADDRESS


def read_vector(i: Vector, config: Config) -> Iterator[Cause]:
    def bank(memory: Memory, address: int) -> tuple[Memory, int]:
        return memory, address // config.depth(memory)

    a = (Memory.ACTIVATION, Memory.ACCUMULATOR)[i.a_from], i.a
    b_memory = (Memory.ACTIVATION, None, Memory.ACCUMULATOR, Memory.PARAMETER)[i.b_from]
    to_memory = (Memory.ACTIVATION, None, Memory.ACCUMULATOR)[i.to]
    operands = {"a": a}
    if b_memory is not None:
        operands["b"] = (b_memory, i.b)
    reduces = i.n_2 * i.n_3 != 1
    illegal = 0 in (i.n_0, i.n_1, i.n_2, i.n_3)
    illegal |= i.op == VectorOp.PASS and i.b_from != SourceB.CONSTANT
    illegal |= i.reduce == ReduceMode.NONE and reduces
    illegal |= bool(i.lookup) and i.to == Destination.TABLE
    illegal |= "b" in operands and bank(*operands["a"]) == bank(*operands["b"])
    for name, place in operands.items():
        if to_memory is not None and bank(*place) == bank(to_memory, i.destination):
            strides = getattr(i, f"{name}_stride_0"), getattr(i, f"{name}_stride_1")
            to = i.destination, i.destination_stride_0, i.destination_stride_1
            illegal |= reduces or (place[1], *strides) != to
    if illegal:
        yield Cause.ILLEGAL
    if to_memory is not None:
        operands["destination"] = (to_memory, i.destination)
    if i.bias or i.requantise or i.op == VectorOp.MULTIPLY_ADD:
        operands["parameter"] = (Memory.PARAMETER, i.parameter)
    if any(address >= config.vectors(memory) for memory, address in operands.values()):
        yield Cause.ADDRESS


READ = {Load: read_load, Store: read_store, Matrix: read_matrix, Vector: read_vector}


def near_legal(kind: type[Instruction], seed: int) -> Instruction:
    """An instruction with small values in half of its fields, so that many rules almost hold."""
    r = random.Random(seed)
    values = {}
    for name, spec in specs(kind).items():
        if r.random() < 0.5:
            known = [item.value for item in spec.values or ()] or [0, 1, 1, 1, 4, 8, 16, 64, 256]
            values[name] = min(r.choice(known), spec.maximum)
    return kind(**values)


NEAR_LEGAL = st.builds(near_legal, st.sampled_from(list(READ)), st.integers(0, 1 << 64))


@given(
    st.lists(NEAR_LEGAL | instructions(tuple(READ)), min_size=1, max_size=8), st.sampled_from([TINY, WIDE])
)
def test_both_readings_agree(program, config):
    expected = [min([*READ[type(i)](i, config)], default=Cause.NONE) for i in program]
    table = decode_table(encode_program([*program, Finish()]))
    assert dispatch_faults(table, config).tolist() == [*expected, Cause.NONE]
    for index, instruction in enumerate(program):
        assert bool(explain(instruction, config)) == bool(expected[index])


@given(st.lists(st.binary(min_size=64, max_size=64), min_size=1, max_size=5))
def test_any_bytes_are_judged_and_explained(words):
    table = decode_table(b"".join(words))
    causes = dispatch_faults(table, TINY)
    assert causes.dtype == np.int64
    for index, found in enumerate(causes):
        assert bool(explain_row(table, index, TINY)) == bool(found)


def test_no_instructions_have_no_faults():
    assert dispatch_faults(decode_table(b""), TINY).shape == (0,)
