"""The place of the first address outside of a bank, against a walk over all of them."""

import itertools

import numba
from hypothesis import given
from hypothesis import strategies as st

from tilewright.sim.nest import ONE, ZERO, first_outside
from tilewright.sim.record import NEVER

SPACE = 64
BANK = 16


@numba.njit
def place_of(first, counts, strides, low, high):
    """The compiled function cannot be called from here, only from compiled code."""
    return first_outside(first, counts, strides, low, high)


def walk(first, counts, strides, bank):
    for place, steps in enumerate(itertools.product(*(range(count) for count in counts))):
        address = first + sum(step * stride for step, stride in zip(steps, strides, strict=True))
        if address % SPACE // BANK != bank:
            return place
    return NEVER


@given(
    first=st.integers(0, SPACE - 1),
    counts=st.tuples(*[st.integers(1, 4)] * 5),
    strides=st.tuples(*[st.integers(-SPACE // 2, SPACE // 2 - 1) | st.integers(-2, 2)] * 5),
)
def test_the_first_place_outside_is_the_one_that_a_walk_finds(first, counts, strides):
    bank = first // BANK
    found = place_of(first, counts, strides, bank * BANK, (bank + 1) * BANK)
    assert found == walk(first, counts, strides, bank)


def test_the_numbers_of_the_core_are_plain():
    assert (ZERO, ONE) == (0, 1)
