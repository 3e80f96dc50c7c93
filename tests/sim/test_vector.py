"""sim.vector: a vector instruction over whose results a window slides, against the stepped machine."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.stepped.trial import Trial, simulated, stepped

from tilewright.isa.config import PRESETS
from tilewright.isa.instruction import Destination, Finish, ReduceMode, SourceA, SourceB, Vector, VectorOp
from tilewright.isa.sliding import WINDOW_TAPS, sliding_chunks
from tilewright.sim.memory import MemoryModel

SMALL = replace(PRESETS["tiny"], activation_vectors=32, accumulator_vectors=16, vector_taps=WINDOW_TAPS)
SMALL_STRIDES = st.integers(-3, 6)


@st.composite
def convolutions(draw):
    """Most leave the bank of an operand: with a first result, a further one, the weights or the results."""
    step, apart = draw(st.sampled_from([1, 1, 2])), draw(st.integers(-2, 3))
    counts = {f"n_{loop}": draw(st.integers(1, most)) for loop, most in enumerate((3, 5, 4, 7))}
    strides = {name: draw(SMALL_STRIDES) for name in ("a_stride_0", "a_stride_2", "b_stride_2", "b_stride_3")}
    results = {name: draw(SMALL_STRIDES) for name in ("destination_stride_0", "destination_stride_1")}
    return Vector(
        op=VectorOp.MULTIPLY,
        reduce=ReduceMode.ADD,
        a_from=SourceA.ACTIVATION,
        b_from=draw(st.sampled_from([SourceB.PARAMETER, SourceB.CONSTANT])),
        to=Destination.ACCUMULATOR,
        a=draw(st.integers(0, 31)),
        b=draw(st.integers(0, 63)),
        destination=draw(st.integers(0, 15)),
        parameter=draw(st.integers(0, 63)),
        a_stride_1=step * apart,
        a_stride_3=apart,
        requantise=draw(st.integers(0, 1)),
        bias=draw(st.integers(0, 1)),
        **counts,
        **strides,
        **results,
    )


def trial(vector, config):
    memory = MemoryModel(size_bytes=1 << 12)
    return Trial(config, [vector, Finish()], memory, [0] * 8, 0, 0, False)


@given(vector=convolutions(), interval=st.sampled_from([1, 2, 4]))
def test_windows_take_their_cycles_and_leave_a_bank_when_the_stepped_machine_does(vector, interval):
    drawn = trial(vector, replace(SMALL, requant_interval=interval))
    assert simulated(drawn) == stepped(drawn)


def test_a_window_leaves_its_bank_with_whatever_item_comes_first():
    """One of each: with a first result of a line, a further one, the weights, a result; and none."""
    fits = Vector(
        op=VectorOp.MULTIPLY,
        reduce=ReduceMode.ADD,
        a_from=SourceA.ACTIVATION,
        b_from=SourceB.PARAMETER,
        to=Destination.ACCUMULATOR,
        n_0=2,
        n_1=4,
        n_2=2,
        n_3=3,
        a_stride_0=6,
        a_stride_1=1,
        a_stride_2=6,
        a_stride_3=1,
        b_stride_2=3,
        b_stride_3=1,
        destination_stride_0=4,
        destination_stride_1=1,
    )
    items = Counter()
    for change in ({}, {"a": 30}, {"a": 22}, {"a": 18}, {"b": 59}, {"destination": 13}, {"destination": 11}):
        vector = replace(fits, **change)
        assert sliding_chunks(vector, 1, WINDOW_TAPS) == 1
        found = simulated(trial(vector, SMALL))
        assert found == stepped(trial(vector, SMALL))
        items[found.fault and found.fault[0]] += 1
    # All at different times.
    assert max(items.values()) == 1
