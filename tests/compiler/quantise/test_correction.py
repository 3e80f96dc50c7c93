"""Biases that take back the mean error of integer weights."""

import numpy as np
import pytest
from tests.compiler.random_network import Builder, conv2d, flatten, relu

from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.quantise.calibration import calibrate
from tilewright.compiler.quantise.distance import noise_share
from tilewright.compiler.quantise.recipe import Recipe, prepare
from tilewright.compiler.quantise.recognise import recognise

SHAPE = (1, 4, 6, 6)


def network(kind="convolution", depth=1):
    """Layers of positive activations whose weights are far smaller than the largest one of their channel."""
    builder = Builder(np.random.default_rng(4), SHAPE)
    x = builder.x
    for _ in range(depth):
        weight = builder.rng.uniform(0.2, 0.45, (4, 4, 3, 3)).astype(np.float32) / 127
        weight[:, 0, 0, 0] = 1.0
        operands = builder.b.constant(weight), builder.b.constant(np.zeros(4, np.float32))
        x = builder.emit(relu, builder.emit(conv2d(pads=(1, 1, 1, 1)), x, *operands))
    if kind == "dense":
        weight = builder.rng.uniform(0.2, 0.45, (3, 144)).astype(np.float32) / 127
        weight[:, 0] = 1.0
        operands = builder.b.constant(weight), builder.b.constant(np.zeros(3, np.float32))
        builder.emit(Dense(), builder.emit(flatten, x), *operands)
    return recognise(builder.network())


def measured(named, **options):
    """The results in floats and in integers, and what calibration saw."""
    x = np.random.default_rng(7).uniform(0, 2, (30, *SHAPE[1:])).astype(np.float32)
    found = calibrate(named, dict.fromkeys(named.inputs, x))
    integers = prepare(named, found, Recipe(**options)).integers().run(found.inputs)
    return found, integers


@pytest.mark.parametrize(("kind", "depth"), [("convolution", 1), ("convolution", 3), ("dense", 1)])
def test_channels_have_no_mean_error_any_more(kind, depth):
    named = network(kind, depth)
    found, plain = measured(named)
    _, better = measured(named, is_corrected=True)
    for name, expected in found.results.items():
        axes = (0, *range(2, expected.ndim))
        before, after = (np.abs((each[name] - expected).mean(axis=axes)).max() for each in (plain, better))
        assert after < 0.25 * before
    assert noise_share(found.results, better) < 0.5 * noise_share(found.results, plain)


def test_means_are_those_of_all_samples_and_halves_join():
    named = network()
    x = np.random.default_rng(1).normal(1, 1, (10, *SHAPE[1:])).astype(np.float32)
    samples = dict.fromkeys(named.inputs, x)
    whole = calibrate(named, samples)
    (value,) = named.function.parameters
    np.testing.assert_allclose(whole.mean(value)[0], x.mean(axis=0, dtype=np.float64), rtol=1e-12)
    first, last = (calibrate(named, dict.fromkeys(samples, each)) for each in (x[:3], x[3:]))
    np.testing.assert_allclose(first.joined(last).mean(value), whole.mean(value), rtol=1e-12)


def test_weights_and_values_keep_their_places():
    named = network()
    found, _ = measured(named)
    prepared = prepare(named, found, Recipe(is_corrected=True))
    assert prepared.floats == named
    assert prepared.named.function.results == named.function.results
    assert prepared.ranges == prepare(named, found, Recipe()).ranges
