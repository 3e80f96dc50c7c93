"""Scales are as fine, and integer factors as near, as they can be."""

import numpy as np
import pytest

from tilewright.compiler.quantise.parameter import (
    QuantParams,
    Requantisation,
    add_factors,
    choose_parameters,
    requantisation,
    residual_factors,
    scale_words,
    weight_scales,
)
from tilewright.numerics.requantise import requantise

X, Y = QuantParams(0.02, 3), QuantParams(0.05, -7)


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [(-1.0, 3.0, (-128, 127)), (0.5, 4.0, (-128, 127)), (-9.0, -2.0, (-128, 127)), (0.0, 0.0, (0, 0))],
)
def test_a_range_that_holds_0_takes_all_integers(low, high, ends):
    parameters = choose_parameters(low, high)
    assert tuple(map(parameters.quantised, (min(low, 0.0), max(high, 0.0)))) == ends
    assert parameters.quantised(0.0) == parameters.zero_point


def test_an_integer_is_the_nearest_and_stays_in_int8():
    assert [Y.quantised(x) for x in (0.0, 0.12, -0.13, 99.0, -float("inf"))] == [-7, -5, -10, 127, -128]


def test_each_channel_has_a_scale_of_its_own():
    weight = np.float32([[1.0, -2.0], [0.5, 0.1], [-4.0, 0.0]])
    scale = weight_scales(weight, np.zeros(3), X, Y)
    np.testing.assert_allclose(scale * 127, [2.0, 0.5, 4.0])


def test_a_residuals_factor_is_the_nearest():
    factor = residual_factors(QuantParams(1.0, 0), 1 / np.array([300.4, 300.6, 1.5001]))
    assert factor.tolist() == [300, 301, 2]


def test_the_factors_of_a_sum_keep_the_ratio():
    for ratio in (1.0, 1.37, 250.3, 9000.0):
        ka, kb, unit = add_factors(0.01, 0.01 * ratio)
        assert abs(kb / ka / ratio - 1) < 1e-3
        assert unit * ka == pytest.approx(0.01)


def test_a_scale_word_is_right_up_to_the_reach():
    """Within half a step and what 17 bits of multiplier cost; never the word that saturates too early."""
    for ratio in np.geomspace(1e-6, 0.5, 97):
        for reach in (127, 128, 200, 255):
            t = np.rint(np.linspace(-reach, reach, 1001) / ratio)
            got = requantise(t, scale_words(ratio, reach))
            assert np.abs(got - t * ratio).max() < 0.52


RELU = QuantParams(0.05, -128)
FINE = np.geomspace(2.0**-15.9, 2.0**-11.1, 23)


def wrong(end, ratio, y):
    """The share of results that differ from those that are rounded once."""
    t = np.arange(-(1 << 20), 1 << 20, 37)
    exact = np.clip(np.floor(t * ratio + y.zero_point + 0.5), -128, 127)
    sums = (t + int(end.bias[0])).astype(np.int32)
    found = np.clip(requantise(sums, end.words) + end.zero_point, -128, 127)
    kept = (exact > -128) & (exact < 127)
    assert np.abs(found - exact).max() <= 1
    return (found != exact)[kept].mean()


def test_behind_a_relu_results_are_about_0_with_half_the_errors():
    ends = [requantisation(np.zeros(1), np.array([ratio]), RELU) for ratio in FINE]
    shares = [wrong(end, ratio, RELU) for end, ratio in zip(ends, FINE, strict=True)]
    words = [scale_words([ratio], RELU.reach) for ratio in FINE]
    plain = [Requantisation(np.zeros(1), each, RELU.zero_point) for each in words]
    before = [wrong(end, ratio, RELU) for end, ratio in zip(plain, FINE, strict=True)]
    # Now and then the multiplier that the finer x asks for lies too far from the real one.
    assert sum(end.zero_point == 0 for end in ends) > 0.8 * len(FINE)
    assert 0 < np.mean(shares) < 0.6 * np.mean(before) < 6e-4


@pytest.mark.parametrize(
    ("ratio", "bias", "y"),
    [
        pytest.param([2.0**-8], [0.0], RELU, id="sums-that-are-not-rounded"),
        pytest.param([5e-3, 5e-3, 5e-3, 1.8e-3], [0.0] * 4, RELU, id="most-sums-are-not-rounded"),
        pytest.param([3 * 2.0**-14, 2.0**-30], [0.0, 0.0], RELU, id="zero-point-beyond-the-bias"),
        pytest.param([3 * 2.0**-14, 2.0**-60], [0.0, 0.0], RELU, id="a-channel-that-vanishes"),
        pytest.param([3 * 2.0**-14], [-(2.0**31) + 1], RELU, id="bias-that-is-large-already"),
        pytest.param([1e-4], [7.0], QuantParams(0.05, 0), id="zero-point-0"),
    ],
)
def test_elsewhere_the_bias_stays_and_results_are_about_the_zero_point(ratio, bias, y):
    end = requantisation(np.array(bias), np.array(ratio), y)
    assert (end.bias.tolist(), end.zero_point) == (bias, y.zero_point)
    np.testing.assert_array_equal(end.words, scale_words(ratio, y.reach))
