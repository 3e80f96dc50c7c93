"""Networks that are trained: fake-quantised where the quantiser makes integers, and then those integers."""

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork, load
from tests.trained_network import CONFIG, inputs, layers, with_host

import tilewright
from tilewright.api.compile import prepared_network
from tilewright.compiler.finetune.error import FinetuneError
from tilewright.compiler.finetune.network import TrainableNetwork
from tilewright.compiler.finetune.part import MOST_DRIFT
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.ops.nn.fake_quantise import FakeQuantise
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.quantise.distance import decibels, noise_share
from tilewright.compiler.quantise.range_method import RangeMethod
from tilewright.isa.config import load_config

X = inputs(24)
MANY = inputs(480)
"""Enough that the share of results which round to the other side is no matter of a few."""


def trainable(model, x=X, method=RangeMethod.MIN_MAX):
    return TrainableNetwork.of(prepared_network(load(model)), {"x": x}, method, load_config(CONFIG))


def starts(network):
    return [each.start for each in network.trainables]


def moved(network, seed=1):
    """Weights and scales behind some training: all a little elsewhere."""
    rng = np.random.default_rng(seed)
    return [(each * rng.uniform(0.9, 1.1, each.shape)).astype(np.float32) for each in starts(network)]


def outputs(network, trained, device="cpu", x=X):
    package = tilewright.compile(network.in_integers(trained), config=CONFIG)
    assert package.explain().share("accelerator") == 1
    return next(iter(package.run({"x": x}, device=device).outputs.values()))


@pytest.fixture(scope="module")
def network():
    return trainable(layers())


def test_integers_at_the_start_are_those_of_the_quantiser(network):
    package = tilewright.compile(load(layers()), config=CONFIG, calibration={"x": X}, ranges="min-max")
    expected = package.run({"x": X}, device="cpu").outputs
    found = outputs(network, starts(network))
    # Scales of weights are float32 here, and float64 there: some bits of biases differ.
    step = float(starts(network)[-1])
    np.testing.assert_allclose(found, *expected.values(), rtol=0, atol=1.01 * step)
    assert decibels(noise_share(expected, dict.fromkeys(expected, found))) > 45


@pytest.mark.parametrize("shift", [starts, moved])
def test_integers_are_what_the_fake_quantised_network_says(shift):
    network = trainable(layers(), MANY)
    trained = shift(network)
    (said,) = run(network.fake_quantised(), MANY, *trained)
    found = outputs(network, trained, x=MANY)
    (floats,) = run(network.in_floats(), MANY)
    step = float(trained[-1])
    # Biases are whole units of the sums, so that results round to the other side in places.
    assert np.abs(found - said).max() < 2.01 * step
    apart, noise = (noise_share({"y": floats}, {"y": floats + found - other}) for other in (said, floats))
    assert apart < 0.25 * noise


def test_simulator_and_cpu_have_the_same_bytes(network):
    trained = moved(network)
    np.testing.assert_array_equal(*(outputs(network, trained, device, X[:2]) for device in ("sim", "cpu")))


def test_every_value_that_becomes_integers_is_fake_quantised_and_no_other(network):
    (part,) = network.parts.values()
    ends = sum(isinstance(each.operator, Dequantise) for each in part.scaled.equations)
    fakes = [each for each in network.fake_quantised().equations if isinstance(each.operator, FakeQuantise)]
    of_weights = [each for each in fakes if each.operands[0] in network.fake_quantised().parameters[1:]]
    assert len(of_weights) == 5
    assert len(fakes) - len(of_weights) == ends
    assert {(each.operator.low, each.operator.high) for each in of_weights} == {(-127, 127)}


def test_what_is_joined_keeps_one_scale(network):
    (part,) = network.parts.values()
    ends = sum(isinstance(each.operator, Dequantise) for each in part.scaled.equations)
    scales = [each for each in network.trainables if each.start.ndim == 0]
    # Both operands of the concatenation and its result.
    assert 0 < len(scales) < ends
    assert sum(each.name.endswith("_scale") for each in network.trainables) == 5


def test_scales_stay_near_those_of_the_calibration(network):
    for each in network.trainables:
        if "scale" in each.name:
            np.testing.assert_array_equal(each.optimiser.low.array, each.start / np.float32(MOST_DRIFT))
            np.testing.assert_array_equal(each.optimiser.high.array, each.start * np.float32(MOST_DRIFT))


def test_the_host_between_two_parts_is_part_of_what_is_trained():
    network = trainable(with_host())
    assert len(network.parts) == 2
    assert len(network.ends) == 1
    function = network.fake_quantised()
    verify(function)
    # The softmax behind the last part is no part of it.
    assert [each.operator.name for each in function.equations].count("softmax") == 1
    trained = moved(network)
    (said,) = run(function, X, *trained)
    found = outputs(network, trained)
    scores = said.reshape(len(X), -1).astype(np.float64)
    shares = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(found, shares / shares.sum(1, keepdims=True), atol=0.02)


def test_the_host_in_front_of_a_fixed_batch_is_refused():
    network = trainable(with_host(batch=1))
    with pytest.raises(FinetuneError, match="export the model with an open batch"):
        network.fake_quantised()


def test_a_fixed_batch_without_the_host_between_is_trained_all_the_same():
    network = trainable(with_host(between=None, batch=1))
    trained = starts(network)
    assert run(network.fake_quantised(), X, *trained)[0].shape[0] == len(X)
    assert network.in_integers(trained).input_types["x"].shape == (1, 3, 8, 8)
    assert outputs(network, trained).shape == (len(X), 4)


def test_a_network_without_layers_on_the_accelerator_is_refused():
    made = OnnxNetwork({"x": (1, 3, 8, 8)})
    with pytest.raises(FinetuneError, match="must have layers that become integers"):
        trainable(made.model(made.add("Softmax", made.add("Relu", "x"), axis=1)))
