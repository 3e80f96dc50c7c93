"""The noise of layers, against networks in which one layer alone is integers."""

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork

from tilewright.compiler.network.calibrated import calibrated_network
from tilewright.compiler.network.layer_noise import layer_noise
from tilewright.compiler.network.split import placed_network
from tilewright.compiler.pipeline import load_onnx
from tilewright.compiler.quantise.distance import decibels, noise_share
from tilewright.compiler.quantise.recipe import Recipe
from tilewright.isa.config import PRESETS
from tilewright.numerics.progress import unheard

SHAPE = (3, 8, 8)
PLAIN = Recipe()


def network(between="Relu", coarse=False):
    """Three convolutions; `coarse`: of the second one's results a channel that nobody reads is far larger."""
    rng, made = np.random.default_rng(3), OnnxNetwork({"x": (1, *SHAPE)})
    x = made.add("Relu", made.add("Conv", "x", rng.normal(0, 0.5, (8, 3, 3, 3)), pads=[1] * 4))
    weight, last = rng.normal(0, 0.5, (8, 8, 1, 1)), rng.normal(0, 0.5, (4, 8, 3, 3))
    if coarse:
        weight[0], last[:, 0] = 500 * weight[0], 0.0
    x = made.add(between, made.add("Conv", x, weight), **({"axis": 1} if between == "Softmax" else {}))
    return load_onnx(made.model(made.add("Conv", x, last, pads=[1] * 4)).SerializeToString())


def measured(named, count=6, recipe=PLAIN):
    samples = {"x": np.random.default_rng(1).normal(0, 1, (count, *SHAPE)).astype(np.float32)}
    split = placed_network(named, PRESETS["tiny"]).named
    found = calibrated_network(split, samples, unheard)
    prepared = {value: part.prepared(recipe) for value, part in found.parts.items()}
    return found, prepared, layer_noise(found, prepared)


def test_every_layer_is_there_with_its_products():
    _, _, layers = measured(network())
    assert [each.label for each in layers] == ["n0", "n2", "n4"]
    assert [each.macs for each in layers] == [64 * 8 * 27, 64 * 64, 64 * 4 * 72]
    for each in layers:
        assert 30 < decibels(each.within) < 60
        assert 30 < decibels(each.alone) < 60


def test_the_last_layer_has_the_noise_of_the_network():
    found, prepared, layers = measured(network())
    ((value, part),) = found.parts.items()
    results = prepared[value].integers().run(part.all.inputs)
    assert layers[-1].within == pytest.approx(noise_share(found.ends, results), rel=1e-6)


def test_noise_of_single_layers_adds_up_to_that_of_the_network():
    _, _, layers = measured(network())
    assert sum(each.alone for each in layers) == pytest.approx(layers[-1].within, rel=0.5)


def test_coarse_integers_cost_the_layer_that_makes_them_and_the_one_that_reads_them():
    _, _, (first, second, third) = measured(network(coarse=True))
    assert second.alone > 20 * first.alone
    assert third.alone > 20 * first.alone


def test_layers_of_several_parts_are_measured_at_the_ends_of_the_network():
    found, _, layers = measured(network("Softmax"))
    assert len(found.parts) == 2
    assert [each.label for each in layers] == ["n0", "n2", "n4"]
    part = list(found.parts.values())[-1]
    results = part.prepared(PLAIN).integers().run(part.all.inputs)
    assert layers[-1].alone == noise_share(found.ends, results)
    first = next(iter(found.parts))
    made = found.parts[first].prepared(PLAIN).integers()
    both = noise_share(found.ends, found.run_behind(first, made.run(found.inputs)))
    assert layers[0].alone + layers[1].alone == pytest.approx(both, rel=0.5)


def test_the_same_samples_are_taken_alone_whatever_more_there_are():
    one, more = (measured(network(), count)[2] for count in (8, 20))
    assert [each.label for each in one] == [each.label for each in more]
    assert one[0].within != more[0].within


def test_refined_layers_are_measured_as_they_are():
    refined = Recipe(is_equalised=True, is_corrected=True)
    found, prepared, layers = measured(network(), recipe=refined)
    assert [each.label for each in layers] == ["n0", "n2", "n4"]
    ((value, part),) = found.parts.items()
    results = prepared[value].integers().run(part.all.inputs)
    assert layers[-1].within == pytest.approx(noise_share(found.ends, results), rel=1e-6)
    for each in layers:
        assert decibels(each.within) > 30
        assert decibels(each.alone) > 30
