"""Saturation and rounding shifts agree with Python's integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.numerics.saturate import round_shift, saturate, saturating_add

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
INT32 = st.integers(INT32_MIN, INT32_MAX) | st.sampled_from([INT32_MIN, INT32_MAX, -1, 0, 1])


def clamp(value, bits):
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))


@given(st.lists(INT32, min_size=1), st.integers(1, 32))
def test_saturation_is_the_nearest_value_of_the_width(values, bits):
    result = saturate(np.array(values, np.int32), bits)
    assert result.dtype == np.int32
    assert result.tolist() == [clamp(value, bits) for value in values]


@pytest.mark.parametrize("bits", [0, 33])
def test_a_width_that_the_type_does_not_have_is_refused(bits):
    with pytest.raises(ValueError, match=r"bits must be from 1 to 32 \(the width of int32\)"):
        saturate(np.zeros(1, np.int32), bits)


@given(INT32, st.lists(INT32, min_size=1))
def test_a_sum_saturates_at_both_ends(a, values):
    result = saturating_add(np.array(a, np.int32), np.array(values, np.int32))
    assert result.dtype == np.int32
    assert result.tolist() == [clamp(a + b, 32) for b in values]


@given(INT32, st.integers(-32, 31))
def test_a_shift_rounds_half_up_and_is_exact(t, shift):
    # floor(t / 2^shift + 1/2) with numerator and denominator in whole numbers.
    exact = t << -shift if shift <= 0 else (2 * t + (1 << shift)) // (2 << shift)
    assert round_shift(np.array([t], np.int32), shift).tolist() == [exact]


def test_shifts_differ_from_lane_to_lane():
    lanes = np.array([-2, -1, 0, 1, 31])
    assert round_shift(np.full((2, 5), 3, np.int32), lanes).tolist() == [[12, 6, 3, 2, 0]] * 2


def test_scalars_are_arrays_without_axes():
    assert saturating_add(np.int32(INT32_MAX), np.int32(1)).shape == ()
