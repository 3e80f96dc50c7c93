"""Channels of like sizes: the same floats to the bit, and less noise of integers."""

import numpy as np
import pytest
from tests.compiler.random_network import Builder, clip, conv2d, flatten, max_pool, relu

from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.quantise.calibration import calibrate
from tilewright.compiler.quantise.distance import noise_share
from tilewright.compiler.quantise.equalisation import equalised, values_between
from tilewright.compiler.quantise.recipe import Recipe, prepare
from tilewright.compiler.quantise.recognise import recognise

SHAPE = (1, 3, 8, 8)
SPREAD = np.geomspace(1, 1e-3, 8).astype(np.float32)


def layer(builder, x, outputs, inputs, kernel=1, spread=None, **options):
    """A convolution, or a dense layer for kernel 0; channels of its results of very different sizes."""
    shape = (outputs, inputs) if kernel == 0 else (outputs, inputs, kernel, kernel)
    weight = builder.rng.normal(0, 1, shape).astype(np.float32)
    bias = builder.rng.normal(0, 1, outputs).astype(np.float32)
    if spread is not None:
        weight, bias = weight * spread.reshape(-1, *[1] * (len(shape) - 1)), bias * spread
    operands = builder.b.constant(weight), builder.b.constant(bias)
    return builder.emit(Dense() if kernel == 0 else conv2d(**options), x, *operands)


def second(builder, x, kind):
    """What reads 8 channels: all of them, each by itself, or flattened. It multiplies what is small."""
    if kind == "dense":
        return layer(builder, builder.emit(flatten, x), 5, 8 * 64, 0)
    if kind == "depthwise":
        x = layer(builder, x, 8, 1, 3, spread=1 / SPREAD, groups=8)
    return layer(builder, x, 5, 8)


def network(kind="convolution", *between):
    builder = Builder(np.random.default_rng(2), SHAPE)
    x = layer(builder, builder.x, 8, 3, 3, spread=SPREAD, pads=(1, 1, 1, 1))
    for step in between or (relu,):
        x = builder.emit(step, x)
    second(builder, x, kind)
    return recognise(builder.network())


def samples(named, count=20):
    x = np.random.default_rng(7).normal(0, 1, (count, *SHAPE[1:])).astype(np.float32)
    return dict.fromkeys(named.inputs, x)


@pytest.mark.parametrize("kind", ["convolution", "depthwise", "dense"])
@pytest.mark.parametrize(
    "between", [(relu,), (max_pool((3, 3), (1, 1), (1, 1, 1, 1)), relu)], ids=["relu", "pool"]
)
def test_results_are_the_same_to_the_bit(kind, between):
    named = network(kind, *between)
    found = calibrate(named, samples(named))
    changed = equalised(named.function, found.largest)
    assert changed.divisors
    for name, array in named.with_function(changed.function).run(found.inputs).items():
        np.testing.assert_array_equal(array, found.results[name])


def test_channels_have_like_sizes_afterwards():
    named = network("depthwise")
    found = calibrate(named, samples(named))
    changed = equalised(named.function, found.largest)
    (first, *_) = changed.divisors
    before, after = found.largest[first], found.largest[first] / changed.divisors[first]
    assert before.max() / before.min() > 100
    assert after.max() / after.min() < 4


@pytest.mark.parametrize("kind", ["convolution", "depthwise", "dense"])
def test_integers_have_less_noise_for_it(kind):
    named = network(kind)
    found = calibrate(named, samples(named))
    plain, better = (
        noise_share(found.results, prepare(named, found, recipe).integers().run(found.inputs))
        for recipe in (Recipe(), Recipe(is_equalised=True))
    )
    assert better < (0.2 if kind == "depthwise" else 1.5) * plain


def test_nothing_passes_a_limit_that_is_not_0():
    assert not values_between(network("convolution", clip(0, 6)).function)
    assert values_between(network("convolution", relu).function)


def test_what_others_read_or_what_is_a_result_stays():
    builder = Builder(np.random.default_rng(2), SHAPE)
    x = builder.emit(relu, layer(builder, builder.x, 8, 3))
    y = layer(builder, x, 8, 8)
    builder.add(y, x)
    assert not values_between(recognise(builder.network()).function)


def test_chains_of_layers_are_equalised_one_after_the_other():
    builder = Builder(np.random.default_rng(2), SHAPE)
    x = builder.x
    for inputs in (3, 8, 8):
        x = builder.emit(relu, layer(builder, x, 8, inputs, spread=SPREAD))
    layer(builder, x, 5, 8)
    named = recognise(builder.network())
    found = calibrate(named, samples(named))
    changed = equalised(named.function, found.largest)
    assert len(changed.divisors) == 6
    for name, array in named.with_function(changed.function).run(found.inputs).items():
        np.testing.assert_array_equal(array, found.results[name])


def test_channels_that_are_0_say_nothing():
    builder = Builder(np.random.default_rng(2), SHAPE)
    dead = np.array([1, 0, 1, 1, 0, 1, 1, 1], np.float32)
    layer(builder, builder.emit(relu, layer(builder, builder.x, 8, 3, spread=dead)), 5, 8)
    named = recognise(builder.network())
    found = calibrate(named, samples(named))
    changed = equalised(named.function, found.largest)
    for divisor in changed.divisors.values():
        assert np.isfinite(divisor).all()
        assert (divisor > 0).all()
