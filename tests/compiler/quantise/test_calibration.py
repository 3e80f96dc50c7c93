"""What samples show of a function, whatever parts they come in."""

import numpy as np
import pytest
from tests.compiler.random_network import Builder, conv2d, random_input, relu

from tilewright.compiler.quantise import calibration
from tilewright.compiler.quantise.calibration import calibrate
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.range_method import Range, all_seen
from tilewright.compiler.quantise.recognise import recognise


@pytest.fixture
def named():
    builder = Builder(np.random.default_rng(0), (1, 6, 8, 8))
    builder.emit(conv2d(), builder.last, *builder.weights(5, 6, 3, 3))
    builder.emit(relu, builder.last)
    return recognise(builder.network())


def part_of(samples, first, last):
    return {name: array[first:last] for name, array in samples.items()}


def assert_same(one, other):
    assert one.seen == other.seen
    assert one.histograms.keys() == other.histograms.keys()
    for value, histogram in one.histograms.items():
        np.testing.assert_array_equal(histogram.counts, other.histograms[value].counts)
    for value, array in one.sums.items():
        np.testing.assert_allclose(array, other.sums[value], rtol=1e-12)
    for name, array in one.results.items():
        np.testing.assert_array_equal(array, other.results[name])


def test_data_in_parts_show_what_the_whole_shows(named, monkeypatch):
    samples = random_input(np.random.default_rng(1), named, 20)
    whole = calibrate(named, samples)
    parts = calibrate(named, part_of(samples, 0, 7)).joined(calibrate(named, part_of(samples, 7, 20)))
    assert_same(whole, parts)
    monkeypatch.setattr(calibration, "_CHUNK_BYTES", 1)
    assert_same(whole, calibrate(named, samples))


def test_results_and_ranges_are_those_of_the_function(named):
    samples = random_input(np.random.default_rng(1), named, 9)
    found = calibrate(named, samples)
    (expected,) = named.run(samples).values()
    (result,) = found.results.values()
    np.testing.assert_array_equal(result, expected)
    (value,) = named.function.results
    assert found.range_of(value, all_seen) == Range(float(expected.min()), float(expected.max()))
    assert found.histograms[value].counts.sum() == expected.size


@pytest.mark.parametrize(
    ("filling", "reason"), [(0.0, "'x' is 0 in all samples"), (np.inf, "must stay finite")]
)
def test_data_that_say_nothing_are_refused(named, filling, reason):
    samples = {name: np.full((4, 6, 8, 8), filling, np.float32) for name in named.inputs}
    with pytest.raises(QuantiseError, match=reason):
        calibrate(named, samples)
