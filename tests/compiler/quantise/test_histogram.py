"""Counts of values by the upper half of their bits, whatever order they come in."""

import numpy as np
import pytest

from tilewright.compiler.quantise.histogram import Histogram

RNG = np.random.default_rng(3)


def histogram(*parts):
    made = Histogram()
    for part in parts:
        made.add(np.asarray(part, np.float32))
    return made


def test_every_value_is_counted_once_in_whatever_order_it_comes():
    values = RNG.normal(0, 1, 5000).astype(np.float32) * np.geomspace(0.001, 300, 5000, dtype=np.float32)
    whole = histogram(values)
    assert whole.counts.sum() == values.size
    for order in (values, values[::-1]):
        parts = histogram(*np.array_split(order, 17))
        np.testing.assert_array_equal(parts.counts, whole.counts)
    both = histogram(values[:100]).joined(histogram(values[100:]))
    np.testing.assert_array_equal(both.counts, whole.counts)


def test_bins_are_in_order_and_hold_what_lies_between_their_ends():
    values = np.sort(np.concatenate([RNG.normal(0, 10, 300), [0.0, 1e-40, 3.0e38, -3.0e38]])).astype(
        np.float32
    )
    found = histogram(values).distribution()
    assert found.total == values.size
    assert (found.lower < found.upper).all()
    assert (np.diff(found.middles) > 0).all()
    for lower, upper, count in zip(found.lower, found.upper, found.counts, strict=True):
        # A positive bin has its lower end, a negative one its upper end.
        inside = (lower <= values) & (values < upper) if upper > 0 else (lower < values) & (values <= upper)
        assert inside.sum() == count, (lower, upper)


def test_bins_are_narrow():
    found = histogram(RNG.normal(0, 1, 1000)).distribution()
    assert (found.upper - found.lower <= np.abs(found.middles) * 2**-7).all()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02])
def test_at_most_a_share_lies_outside_of_percentiles(share):
    values = RNG.standard_t(3, 20_000).astype(np.float32)
    low, high = histogram(values).distribution().percentiles(share)
    for outside in ((values < low).sum(), (values > high).sum()):
        assert share * values.size * 0.8 - 1 <= outside <= share * values.size


def test_counts_below_an_end_are_those_of_the_values_within_a_bin():
    values = np.sort(RNG.normal(0, 1, 50_000).astype(np.float32))
    ends = np.linspace(-6, 6, 101)
    found = histogram(values).distribution().counts_below(ends)
    assert found[0] == 0
    assert found[-1] == values.size
    np.testing.assert_allclose(found, np.searchsorted(values, ends), atol=values.size * 0.004)
