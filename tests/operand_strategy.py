"""Random operands for hypothesis: short loops near the ends of banks, and a machine full of random bytes.

The instructions may leave their banks and break the rules about banks: their meaning is defined all the same.
"""

import numpy as np
from hypothesis import strategies as st

from tilewright.isa.config import Config
from tilewright.isa.instruction import (
    Destination,
    Load,
    Matrix,
    ReduceMode,
    SourceA,
    SourceB,
    Store,
    Vector,
    VectorOp,
)
from tilewright.isa.memory import Memory
from tilewright.isa.state import Dram, State

# Slices of half a vector, and shallow banks that addresses leave.
SPLIT = Config(
    rows=4,
    cols=8,
    activation_banks=2,
    activation_vectors=16,
    weight_vectors=64,
    accumulator_vectors=16,
    parameter_vectors=16,
)
DRAM_BYTES = 1024
BASES = [0, 64, 960, 2**64 - 64]


def near(config, memory):
    """First addresses in every bank, many of them close to its end."""
    depth = config.depth(memory)
    vector = st.integers(0, depth - 1) | st.integers(max(0, depth - 4), depth - 1)
    return st.builds(lambda bank, v: bank * depth + v, st.integers(0, config.banks(memory) - 1), vector)


STRIDE = st.integers(-3, 6)
SHORT = st.integers(1, 3)


@st.composite
def loads(draw, config):
    memory = draw(st.sampled_from(Memory))
    unit = config.transfer_bytes(memory)
    units = st.integers(-4, 8).map(lambda n: n * unit)
    pads = {name: draw(st.integers(0, 2)) for name in ("pad_top", "pad_bottom", "pad_left", "pad_right")}
    return Load(
        memory=memory,
        base=draw(st.integers(0, 3)),
        offset=draw(st.integers(0, 40)) * unit,
        address=draw(near(config, memory)),
        n_z=draw(SHORT),
        n_y=draw(st.integers(0 if pads["pad_top"] + pads["pad_bottom"] else 1, 3)),
        n_x=draw(st.integers(0 if pads["pad_left"] + pads["pad_right"] else 1, 3)),
        stride_z=draw(units),
        stride_y=draw(units),
        stride_x=draw(units),
        chip_stride_z=draw(STRIDE),
        chip_stride_y=draw(STRIDE),
        pad_value=draw(st.integers(-128, 127)),
        **pads,
    )


@st.composite
def stores(draw, config):
    memory = draw(st.sampled_from(Memory))
    unit = config.transfer_bytes(memory)
    units = st.integers(-4, 8).map(lambda n: n * unit)
    return Store(
        memory=memory,
        base=draw(st.integers(0, 3)),
        offset=draw(st.integers(0, 40)) * unit,
        address=draw(near(config, memory)),
        **{name: draw(SHORT) for name in ("n_z", "n_y", "n_x")},
        **{name: draw(units) for name in ("stride_z", "stride_y", "stride_x")},
        **{name: draw(STRIDE) for name in ("chip_stride_z", "chip_stride_y", "chip_stride_x")},
        bytes=draw(st.integers(1, config.vector_bytes(memory))),
    )


@st.composite
def matrices(draw, config):
    slice_ = draw(st.integers(0, config.slices - 1))
    return Matrix(
        activation=draw(near(config, Memory.ACTIVATION)) * config.slices + slice_,
        weight=draw(near(config, Memory.WEIGHT)),
        accumulator=draw(near(config, Memory.ACCUMULATOR)),
        **{name: draw(SHORT) for name in ("n_y", "n_x", "n_ci", "n_ky", "n_kx")},
        **{f"stride_{name}": draw(STRIDE) for name in ("y", "x", "ci", "ky", "kx")},
        accumulate=draw(st.integers(0, 1)),
    )


@st.composite
def vectors(draw, config):
    """Vector instructions; some break rules about banks, which have a meaning all the same."""
    op = draw(st.sampled_from(VectorOp))
    b_from = SourceB.CONSTANT if op == VectorOp.PASS else draw(st.sampled_from(SourceB))
    reduce = draw(st.sampled_from(ReduceMode))
    folded = st.just(1) if reduce == ReduceMode.NONE else SHORT
    a_from, to = draw(st.sampled_from(SourceA)), draw(st.sampled_from(Destination))
    places = {"a": Memory[a_from.name]}
    if b_from != SourceB.CONSTANT:
        places["b"] = Memory[b_from.name]
    if to != Destination.TABLE:
        places["destination"] = Memory[to.name]
    strides = [f"{name}_stride_{k}" for name in "ab" for k in range(4)]
    strides += ["destination_stride_0", "destination_stride_1"]
    flags = {name: draw(st.integers(0, 1)) for name in ("bias", "requantise")}
    flags["lookup"] = draw(st.integers(0, 1)) if to == Destination.ACTIVATION else 0
    bytes_ = {name: draw(st.integers(-128, 127)) for name in ("zero_point", "lo", "hi")}
    constants = st.integers(-(2**31), 2**31 - 1) | st.integers(-300, 300)
    return Vector(
        op=op,
        to=to,
        a_from=a_from,
        b_from=b_from,
        reduce=reduce,
        parameter=draw(near(config, Memory.PARAMETER)),
        n_0=draw(SHORT),
        n_1=draw(SHORT),
        n_2=draw(folded),
        n_3=draw(folded),
        immediate=draw(constants),
        **{name: draw(near(config, memory)) for name, memory in places.items()},
        **{name: draw(STRIDE) for name in strides},
        **flags,
        **bytes_,
    )


def random_machine(config, seed):
    rng = np.random.default_rng(seed)
    state = State(config)
    for memory in state.memories:
        bits = 8 * memory.itemsize
        memory[...] = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), memory.shape)
    # Half of the 32-bit values are small, so that not everything saturates.
    for memory in (Memory.ACCUMULATOR, Memory.PARAMETER):
        state.memories[memory][::2] >>= 18
    state.tables[...] = rng.integers(-128, 128, state.tables.shape)
    return state, Dram(rng.integers(0, 256, DRAM_BYTES, dtype=np.uint8), BASES)
