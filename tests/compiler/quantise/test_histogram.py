"""Counts of values, and the range of integers that loses least of them."""

import numpy as np
import pytest

from tilewright.compiler.quantise.histogram import Histogram

RNG = np.random.default_rng(3)


def histogram(*parts):
    made = Histogram()
    for part in parts:
        made.add(np.asarray(part, np.float32))
    return made


def mean_square(values, low, high):
    """What 256 integers from low to high lose of values."""
    step = (high - low) / 255
    rounded = np.clip(np.rint((values - low) / step), 0, 255) * step + low
    return float(((rounded - values) ** 2).mean())


def test_every_value_is_counted_once_in_whatever_order_it_comes():
    values = RNG.normal(0, 1, 5000).astype(np.float32) * np.geomspace(0.001, 300, 5000, dtype=np.float32)
    whole = histogram(values)
    assert whole.counts.sum() == values.size
    for order in (values, values[::-1]):
        parts = histogram(*np.array_split(order, 17))
        assert parts.limit == whole.limit
        np.testing.assert_array_equal(parts.counts, whole.counts)


def test_bins_hold_what_lies_between_their_ends():
    made = histogram([-4.0, -3.9, -0.001, 0.0, 0.001, 3.999])
    assert made.limit == 4.0
    assert np.flatnonzero(made.counts).tolist() == [0, 51, 2047, 2048, 4095]
    assert made.counts[2048] == 2


def test_zeros_alone_have_a_range_of_nothing():
    assert histogram(np.zeros(5)).best_range(0.0, 0.0) == (0.0, 0.0)


def test_even_values_keep_their_whole_range():
    values = np.linspace(-1, 3, 4000)
    assert histogram(values).best_range(-1.0, 3.0) == (-1.0, 3.0)


@pytest.mark.parametrize("seed", range(6))
def test_rare_large_values_are_left_out_where_that_loses_less(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, rng.uniform(0.1, 10), 400_000).astype(np.float32)
    values[:2] *= 12 / np.abs(values[:2] / values.std())
    if seed % 2:
        values = np.abs(values)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    found = histogram(values).best_range(low, high)
    assert low <= found[0] <= 0
    assert 0 < found[1] <= high
    best = mean_square(values, *found)
    assert best < 0.8 * mean_square(values, low, high)
    for factor in (0.8, 1.25):
        assert best < 1.02 * mean_square(values, found[0] * factor, found[1] * factor)


def test_the_range_holds_zero():
    assert histogram([2.0, 3.0]).best_range(2.0, 3.0)[0] == 0.0
