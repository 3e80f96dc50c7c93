"""The range of integers that each method chooses, against what integers lose of the values."""

import numpy as np
import pytest

from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.histogram import Histogram
from tilewright.compiler.quantise.range_method import (
    CANDIDATES,
    METHODS,
    Range,
    RangeMethod,
    least_divergence,
    least_squares,
    percentile,
    range_method,
)


def chosen(choose, values):
    values = np.asarray(values, np.float32)
    histogram = Histogram()
    histogram.add(values)
    return choose(histogram.distribution(), Range(float(values.min()), float(values.max())))


def mean_square(values, low, high):
    """What 256 integers from low to high lose of values."""
    step = (high - low) / 255
    rounded = np.clip(np.rint((values - low) / step), 0, 255) * step + low
    return float(((rounded - values) ** 2).mean())


def tailed(seed):
    """Normal values, two of them far outside; of odd seeds none is negative."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, rng.uniform(0.1, 10), 400_000).astype(np.float32)
    values[:2] *= 12 / np.abs(values[:2] / values.std())
    return np.abs(values) if seed % 2 else values


def test_every_method_has_its_choice_and_auto_tries_them_all():
    assert {RangeMethod.AUTO, *METHODS} == set(RangeMethod)
    assert set(METHODS.values()) - set(CANDIDATES) == {METHODS[RangeMethod.PERCENTILE]}
    assert len(CANDIDATES) == 6


def test_a_method_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(
        QuantiseError, match="one of auto, min-max, percentile, entropy, mean-square, not 'a'"
    ):
        range_method("a")


@pytest.mark.parametrize("choose", CANDIDATES)
def test_zeros_alone_have_a_range_of_nothing(choose):
    assert chosen(choose, np.zeros(5)) == Range(0.0, 0.0)


@pytest.mark.parametrize("choose", CANDIDATES)
def test_no_method_leaves_what_was_seen(choose):
    for seed in range(4):
        values = tailed(seed)
        found = chosen(choose, values)
        assert min(0.0, values.min()) <= found.low < found.high <= values.max()


def test_even_values_keep_their_whole_range():
    values = np.linspace(-1, 3, 4000)
    for choose in (least_squares, least_divergence):
        assert chosen(choose, values) == Range(-1.0, 3.0)


@pytest.mark.parametrize("seed", range(6))
def test_least_squares_leave_out_rare_large_values_where_that_loses_less(seed):
    values = tailed(seed)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    found = chosen(least_squares, values)
    best = mean_square(values, found.low, found.high)
    assert best < 0.8 * mean_square(values, low, high)
    for factor in (0.8, 1.25):
        assert best < 1.02 * mean_square(values, found.low * factor, found.high * factor)


def test_least_divergence_leaves_out_a_tail_and_keeps_a_body():
    rng = np.random.default_rng(0)
    values = np.abs(rng.standard_t(2, 100_000))
    found = chosen(least_divergence, values)
    assert np.quantile(values, 0.99) < found.high < values.max() / 2


def test_a_percentile_leaves_its_share_outside():
    values = np.random.default_rng(1).normal(0, 1, 100_000).astype(np.float32)
    found = chosen(percentile(0.001), values)
    for outside in ((values < found.low).sum(), (values > found.high).sum()):
        assert 80 <= outside <= 100
