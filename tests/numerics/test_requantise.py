"""Requantisation is the formula of docs/machine.md, for every int32 and every scale."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tilewright.numerics.requantise import (
    MULTIPLIER_MAXIMUM,
    X_MAXIMUM,
    X_MINIMUM,
    pack_scale,
    quantise_multiplier,
    requantise,
    unpack_scale,
)

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
INT32 = st.integers(INT32_MIN, INT32_MAX) | st.sampled_from([INT32_MIN, INT32_MAX, -1, 0, 1])
MULTIPLIER = st.integers(0, 131071)
SHIFT = st.integers(-32, 31)


def exact(t, m, pre):
    """The contract in whole numbers: floor(t · 2^−pre + 1/2), as int18, (x · m + 2²⁴) >> 25."""
    x = t << -pre if pre <= 0 else (2 * t + (1 << pre)) // (2 << pre)
    x = max(-131072, min(131071, x))
    return (x * m + (1 << 24)) >> 25


@given(st.lists(st.tuples(INT32, MULTIPLIER, SHIFT), min_size=1))
@example([(INT32_MIN, 131071, -32), (INT32_MAX, 131071, -32), (INT32_MIN, 131071, 31), (INT32_MAX, 1, 31)])
def test_it_is_the_formula_in_whole_numbers(lanes):
    t, m, pre = (list(column) for column in zip(*lanes, strict=True))
    result = requantise(np.array(t, np.int32), pack_scale(m, pre))
    assert result.dtype == np.int32
    assert result.tolist() == [exact(*lane) for lane in lanes]


def test_it_is_the_formula_near_every_rounding_and_saturation():
    around = np.arange(-2, 3)
    for pre in range(-32, 32):
        edge = 2.0 ** (17 + pre)
        centres = np.array([0, 2.0**pre / 2, edge, -edge, 2.0**52, -(2.0**52), INT32_MAX, INT32_MIN])
        t = np.clip((centres[:, None] + around).ravel(), INT32_MIN, INT32_MAX).astype(np.int64)
        # The last two round the largest and the least x to a result that their neighbours do not have.
        for m in (0, 1, 65536, 131071, 65664, 65665):
            got = requantise(t.astype(np.int32), pack_scale(m, pre))
            assert got.tolist() == [exact(int(value), m, pre) for value in t]


@given(MULTIPLIER, SHIFT)
def test_packing_keeps_both_fields_where_the_contract_has_them(m, pre):
    packed = pack_scale(m, pre)
    assert (int(packed) & 0x1FFFF, int(packed) >> 17 & 0x3F) == (m, pre & 0x3F)
    assert [int(part) for part in unpack_scale(packed)] == [m, pre]


@given(INT32, st.integers(0, 511))
def test_the_bits_outside_of_the_fields_mean_nothing(t, above):
    scale = np.array([pack_scale(54321, 6)])
    noisy = scale | np.array([above << 23], np.uint32).view(np.int32)
    assert requantise(np.array([t], np.int32), noisy) == requantise(np.array([t], np.int32), scale)


@pytest.mark.parametrize(
    ("m", "pre", "message"),
    [
        (131072, 0, "multiplier must be from 0 to 131071, not 131072"),
        (1, [0, 32], "shift must be from -32 to 31, not 32"),
    ],
)
def test_what_does_not_fit_is_refused(m, pre, message):
    with pytest.raises(ValueError, match=message):
        pack_scale(m, pre)


@given(st.floats(2.0**-56, 131071 * 128))
def test_the_multiplier_is_the_nearest_one(scale):
    m, pre = (int(part) for part in quantise_multiplier(scale))
    step = Fraction(1, 2**25) / Fraction(2) ** pre
    assert abs(m * step - Fraction(scale)) <= step / 2
    assert pre == 31 or 65536 <= m <= 131071


@given(st.floats(2.0**-30, 1.0), INT32)
def test_the_product_is_off_by_one_step_at_most_where_int8_can_see_it(scale, t):
    wanted = t * scale
    y = int(requantise(np.array([t], np.int32), pack_scale(*quantise_multiplier(scale)))[0])
    if abs(wanted) < 255:
        assert abs(y - wanted) <= 1
    else:
        assert abs(y) >= 255
        assert y * wanted > 0


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (0.0, "take it as 0, not 0"),
        (-1.0, "must be positive .* not -1"),
        (2.0**-57, "must be positive and above"),
        ([1.0, 2e7], "raise the scale of the result, not 2e\\+07"),
        (float("nan"), "not nan"),
    ],
)
def test_scales_out_of_reach_are_refused(scale, message):
    with pytest.raises(ValueError, match=message):
        quantise_multiplier(scale)


def test_products_have_35_bits_and_results_reach_512():
    ends = [(x, m) for x in (X_MINIMUM, X_MAXIMUM) for m in (0, MULTIPLIER_MAXIMUM)]
    assert all(-(1 << 34) <= x * m < 1 << 34 for x, m in ends)
    t, scale = np.array([INT32_MIN, INT32_MAX], np.int32), pack_scale([MULTIPLIER_MAXIMUM] * 2, -32)
    assert requantise(t, scale).tolist() == [-512, 512]
