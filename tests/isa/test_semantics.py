"""The meaning of each instruction is that of docs/machine.md, spelt out once more in Python integers."""

import itertools
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operand_strategy import SPLIT, loads, matrices, random_machine, stores, vectors
from tilewright.isa.config import PRESETS, Config
from tilewright.isa.error import TilewrightError
from tilewright.isa.instruction import (
    Destination,
    Load,
    Matrix,
    Nop,
    ReduceMode,
    SourceA,
    SourceB,
    Store,
    Vector,
    VectorOp,
)
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.semantics import apply, execute, execute_fields
from tilewright.isa.state import Dram, State

TINY = PRESETS["tiny"]
# A memory that fills all 20 address bits.
FULL = Config(
    rows=4,
    cols=4,
    activation_banks=4,
    activation_vectors=1 << 18,
    weight_vectors=16,
    accumulator_vectors=16,
    parameter_vectors=16,
)


# --- the contract in Python integers -----------------------------------------------------------------------


def wrap(value, bits=32):
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def clamp(value, low, high):
    return min(max(value, low), high)


class Plain:
    """The machine's state before an instruction, and the writes that it makes, in order."""

    def __init__(self, state, dram):
        self.config = state.config
        self.memories = [memory.copy() for memory in state.memories]
        self.tables = state.tables.copy()
        self.dram = dram.data.copy()
        self.bases = dram.bases
        self.after = [memory.copy() for memory in state.memories]
        self.tables_after = state.tables.copy()
        self.dram_after = dram.data.copy()

    def bank(self, memory, first):
        return first // self.config.depth(Memory(memory))

    def read(self, memory, first, address):
        place = address % (1 << 20)
        if self.bank(memory, place) != self.bank(memory, first):
            return [0] * self.config.cols
        return self.memories[memory][place].tolist()

    def write(self, memory, first, address, values):
        place = address % (1 << 20)
        if self.bank(memory, place) == self.bank(memory, first):
            self.after[memory][place] = values

    def slice(self, first, address):
        place, part = divmod(address % (1 << 25), self.config.slices)
        start = part * self.config.rows
        first_vector = first // self.config.slices
        return self.read(Memory.ACTIVATION, first_vector, place)[start : start + self.config.rows]

    # --- instructions ---

    def load(self, i):
        elements = self.memories[i.memory].dtype
        length = self.config.vector_bytes(Memory(i.memory))
        rows, row = i.pad_top + i.n_y + i.pad_bottom, i.pad_left + i.n_x + i.pad_right
        for z, y, x in itertools.product(range(i.n_z), range(rows), range(row)):
            values = [i.pad_value] * self.config.cols
            y_in, x_in = y - i.pad_top, x - i.pad_left
            if 0 <= y_in < i.n_y and 0 <= x_in < i.n_x:
                first = self.bases[i.base] + i.offset + z * i.stride_z + y_in * i.stride_y + x_in * i.stride_x
                places = [(first + k) % (1 << 64) for k in range(length)]
                data = bytes(self.dram[p] if p < len(self.dram) else 0 for p in places)
                values = np.frombuffer(data, elements).tolist()
            self.write(i.memory, i.address, i.address + z * i.chip_stride_z + y * i.chip_stride_y + x, values)

    def store(self, i):
        for z, y, x in itertools.product(range(i.n_z), range(i.n_y), range(i.n_x)):
            place = i.address + z * i.chip_stride_z + y * i.chip_stride_y + x * i.chip_stride_x
            if self.bank(i.memory, place % (1 << 20)) != self.bank(i.memory, i.address):
                continue
            values = np.array(self.read(i.memory, i.address, place), self.memories[i.memory].dtype)
            first = self.bases[i.base] + i.offset + z * i.stride_z + y * i.stride_y + x * i.stride_x
            for k, byte in enumerate(values.tobytes()[: i.bytes]):
                if (first + k) % (1 << 64) < len(self.dram):
                    self.dram_after[(first + k) % (1 << 64)] = byte

    def matrix(self, i):
        rows = self.config.rows
        tiles = list(itertools.product(range(i.n_ky), range(i.n_kx), range(i.n_ci)))
        for m, (y, x) in enumerate(itertools.product(range(i.n_y), range(i.n_x))):
            place = i.accumulator + m
            total = self.read(2, i.accumulator, place) if i.accumulate else [0] * self.config.cols
            for k, (ky, kx, ci) in enumerate(tiles):
                address = i.activation + y * i.stride_y + x * i.stride_x
                address += ky * i.stride_ky + kx * i.stride_kx + ci * i.stride_ci
                for r, factor in enumerate(self.slice(i.activation, address)):
                    weights = self.read(1, i.weight, i.weight + k * rows + r)
                    total = [t + factor * w for t, w in zip(total, weights, strict=True)]
            self.write(2, i.accumulator, place, [wrap(t) for t in total])

    def vector(self, i):
        outer = itertools.product(range(i.n_0), range(i.n_1))
        parameters = [self.read(3, i.parameter, i.parameter + k) for k in range(3)]
        bias = parameters.pop(0) if i.bias else None
        scale = parameters.pop(0) if i.requantise else None
        factor = parameters.pop(0)
        for entry, (i_0, i_1) in enumerate(outer):
            items = [
                self.item(i, (i_0, i_1, i_2, i_3), factor)
                for i_2, i_3 in itertools.product(range(i.n_2), range(i.n_3))
            ]
            t = [self.reduce(i.reduce, lane) for lane in zip(*items, strict=True)]
            if bias:
                t = [clamp(v + b, -(2**31), 2**31 - 1) for v, b in zip(t, bias, strict=True)]
            if scale:
                t = [requantised(v, s) + i.zero_point for v, s in zip(t, scale, strict=True)]
            place = i.destination + i_0 * i.destination_stride_0 + i_1 * i.destination_stride_1
            self.put(i, entry, place, t)

    def item(self, i, loops, factor):
        a_memory = {SourceA.ACTIVATION: 0, SourceA.ACCUMULATOR: 2}[i.a_from]
        b_memory = {SourceB.ACTIVATION: 0, SourceB.ACCUMULATOR: 2, SourceB.PARAMETER: 3}.get(i.b_from)
        a = self.read(a_memory, i.a, i.a + sum(n * getattr(i, f"a_stride_{k}") for k, n in enumerate(loops)))
        b = [i.immediate] * self.config.cols
        if b_memory is not None:
            b = self.read(
                b_memory, i.b, i.b + sum(n * getattr(i, f"b_stride_{k}") for k, n in enumerate(loops))
            )
        return [wrap(combine(i.op, *lane)) for lane in zip(a, b, factor, strict=True)]

    def reduce(self, function, lane):
        return {
            ReduceMode.NONE: lambda: lane[0],
            ReduceMode.ADD: lambda: wrap(sum(lane)),
            ReduceMode.MAXIMUM: lambda: max(lane),
            ReduceMode.MINIMUM: lambda: min(lane),
        }[function]()

    def put(self, i, entry, place, y):
        if i.to == Destination.ACCUMULATOR:
            self.write(2, i.destination, place, y)
            return
        narrow = [wrap(min(max(v, i.lo), i.hi), 8) for v in y]
        if i.lookup:
            narrow = [int(self.tables[lane][v + 128]) for lane, v in enumerate(narrow)]
        if i.to == Destination.TABLE:
            self.tables_after[:, entry % 256] = narrow
        else:
            self.write(0, i.destination, place, narrow)


def combine(op, a, b, factor):
    def product(left, right):
        return clamp(left, -(2**15), 2**15 - 1) * clamp(right, -128, 127)

    return {
        VectorOp.PASS: lambda: a,
        VectorOp.ADD: lambda: a + b,
        VectorOp.SUBTRACT: lambda: a - b,
        VectorOp.MAXIMUM: lambda: max(a, b),
        VectorOp.MINIMUM: lambda: min(a, b),
        VectorOp.MULTIPLY: lambda: product(a, b),
        VectorOp.MULTIPLY_ADD: lambda: a + product(factor, b),
    }[op]()


def requantised(t, scale):
    m, pre = scale & 0x1FFFF, wrap(scale >> 17, 6)
    x = clamp(floor(t * Fraction(2) ** -pre + Fraction(1, 2)), -131072, 131071)
    return (x * m + (1 << 24)) >> 25


# --- every instruction, at random ------------------------------------------------------------------------


def assert_means_the_same(config, instruction, seed):
    state, dram = random_machine(config, seed)
    plain = Plain(state, dram)
    getattr(plain, instruction.opcode.name.lower())(instruction)
    execute(instruction, state, dram)
    for memory in Memory:
        np.testing.assert_array_equal(state.memories[memory], plain.after[memory])
    np.testing.assert_array_equal(state.tables, plain.tables_after)
    np.testing.assert_array_equal(dram.data, plain.dram_after)


CONFIGS = pytest.mark.parametrize("config", [TINY, SPLIT], ids=["tiny", "split"])
SEED = st.integers(0, 3)


@CONFIGS
@pytest.mark.parametrize("kind", [loads, stores, matrices, vectors])
@given(data=st.data())
def test_every_instruction_means_what_the_contract_says(config, kind, data):
    assert_means_the_same(config, data.draw(kind(config)), data.draw(SEED))


# --- what random instructions hardly meet ------------------------------------------------------------------


def test_sums_of_more_products_than_float32_holds_are_exact():
    state = State(PRESETS["reference"])
    # One odd product, else every sum is a multiple of a power of two and fits all the same.
    state.memories[Memory.ACTIVATION][...] = -128
    state.memories[Memory.ACTIVATION][:, 5] = 127
    state.memories[Memory.WEIGHT][...] = -128
    state.memories[Memory.WEIGHT][5, 0] = 127
    tiles = 144
    state.memories[Memory.ACCUMULATOR][0] = 2**31 - 1
    execute(Matrix(n_ci=tiles, accumulate=1), state, Dram(np.zeros(0, np.uint8)))
    total = tiles * (15 * 2**14 - 127 * 128)
    assert state.memories[Memory.ACCUMULATOR][0, 1] == wrap(2**31 - 1 + total)
    assert state.memories[Memory.ACCUMULATOR][0, 0] == wrap(2**31 - 1 + total + 127 * 255)


def test_a_bias_saturates_at_both_ends():
    state = State(TINY)
    state.memories[Memory.ACCUMULATOR][0] = [2**31 - 1, -(2**31), 2**31 - 1, 5]
    state.memories[Memory.PARAMETER][0] = [1, -1, -1, -7]
    there = TINY.depth(Memory.ACCUMULATOR)
    add = Vector(a_from=SourceA.ACCUMULATOR, bias=1, to=Destination.ACCUMULATOR, destination=there)
    execute(add, state, Dram(np.zeros(0, np.uint8)))
    assert state.memories[Memory.ACCUMULATOR][there].tolist() == [2**31 - 1, -(2**31), 2**31 - 2, -2]


def test_addresses_wrap_at_20_bits_into_the_bank_they_then_lie_in():
    state = State(FULL)
    dram = Dram(np.arange(64, dtype=np.uint8))
    last_bank = 3 << 18
    execute(Load(address=(1 << 20) - 2, n_x=4, stride_x=4), state, dram)
    assert state.memories[0][-2:].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    # What wraps lies in bank 0: dropped. A stride beyond all banks comes back into the first one's.
    assert not state.memories[0][:last_bank].any()
    execute(
        Store(
            address=(1 << 20) - 2, n_y=2, n_x=2, chip_stride_y=-(1 << 19), stride_x=4, stride_y=16, bytes=4
        ),
        state,
        dram,
    )
    assert dram.data[:8].tolist() == list(range(8))
    assert dram.data[16:24].tolist() == list(range(16, 24))


def test_a_table_is_filled_round_and_round():
    state, dram = random_machine(TINY, 1)
    execute(Vector(to=Destination.TABLE, n_0=2, n_1=200, a=0, a_stride_0=20, a_stride_1=1), state, dram)
    written = [state.memories[0][(20 * i_0 + i_1) % 1024] for i_0 in range(2) for i_1 in range(200)]
    assert (written[256:] == state.tables[:, :144].T).all()
    assert (written[144:256] == state.tables[:, 144:].T).all()


def test_a_nop_and_a_finish_change_nothing_and_a_program_runs_in_its_order():
    state, dram = random_machine(TINY, 2)
    before = state.copy()
    apply([Nop(runs_on=Engine.MATRIX)], state, dram)
    assert all((a == b).all() for a, b in zip(state.memories, before.memories, strict=True))
    apply([Load(n_x=2, stride_x=4), Store(address=0, n_x=2, stride_x=4, offset=64, bytes=4)], state, dram)
    assert (dram.data[64:72] == dram.data[:8]).all()


def test_decoded_fields_mean_the_same():
    state, dram = random_machine(TINY, 3)
    other, other_dram = random_machine(TINY, 3)
    load = Load(n_x=3, stride_x=8, pad_left=1)
    execute(load, state, dram)
    execute_fields(load.opcode, dict(vars(load)), other, other_dram)
    assert (state.memories[0] == other.memories[0]).all()


@pytest.mark.parametrize(
    ("data", "bases", "message"),
    [
        (np.zeros(4, np.int8), (), "must be a contiguous uint8 array with one axis, not int8"),
        (np.zeros(4, np.uint8), [-1], "bases must be at most 8 addresses of 64 bits"),
        (np.zeros(4, np.uint8), [0] * 9, "bases must be at most 8 addresses"),
    ],
)
def test_a_memory_outside_of_another_form_is_refused(data, bases, message):
    with pytest.raises(TilewrightError, match=message):
        Dram(data, bases)


def test_slices_wrap_at_25_bits_whatever_the_vectors_need():
    config = PRESETS["tiny"]
    state = State(config)
    state.memories[Memory.ACTIVATION][0] = 1
    state.memories[Memory.WEIGHT][: config.rows] = 1
    dram = Dram(np.zeros(64, np.uint8))
    # One slice a vector: slice 2**20 is beyond the memory, not its first again; slice 2**25 is.
    execute(Matrix(n_x=2, stride_x=1 << 20), state, dram)
    execute(Matrix(accumulator=2, n_x=3, stride_x=-(1 << 24)), state, dram)
    sums = state.memories[Memory.ACCUMULATOR][:5, 0]
    assert sums.tolist() == [config.rows, 0, config.rows, 0, config.rows]
