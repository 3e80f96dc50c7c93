"""`tilewright.accuracy`, and budgets in `tilewright.compile`."""

import json
import math

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork

import tilewright
from tilewright.api.accuracy import Accuracy, LayerAccuracy
from tilewright.numerics.error import TilewrightError

SHAPE = (3, 8, 8)
X = {"x": np.random.default_rng(1).normal(0, 1, (6, *SHAPE)).astype(np.float32)}


def network(factor=1e7, *, is_quantised=False):
    """Three convolutions; a channel that nobody reads makes the second one's integers as much too coarse."""
    rng, made = np.random.default_rng(3), OnnxNetwork({"x": (1, *SHAPE)})
    x = "x"
    if is_quantised:
        x = made.add("DequantizeLinear", made.add("QuantizeLinear", x, 0.02, np.int8(0)), 0.02, np.int8(0))
    x = made.add("Relu", made.add("Conv", x, rng.normal(0, 0.5, (8, 3, 3, 3)), pads=[1] * 4))
    weight, last = rng.normal(0, 0.5, (8, 8, 1, 1)), rng.normal(0, 0.5, (4, 8, 3, 3))
    weight[0], last[:, 0] = factor * weight[0], 0.0
    x = made.add("Conv", made.add("Relu", made.add("Conv", x, weight)), last, pads=[1] * 4)
    return made.model(x)


def test_figures_are_those_of_the_compiled_network():
    model = network(1.0)
    found = tilewright.accuracy(model, X, config="tiny", ranges="min-max")
    integers = tilewright.compile(model, calibration=X, config="tiny", ranges="min-max").run(X, device="cpu")
    floats = tilewright.compile(model, accelerator=False).run(X)
    (name,) = floats.outputs
    expected, result = floats.outputs[name], integers.outputs[name]
    ratio = (expected.astype(np.float64) ** 2).sum() / ((expected.astype(np.float64) - result) ** 2).sum()
    assert found.snr_db == pytest.approx(10 * math.log10(ratio), abs=0.01)
    same = expected.argmax(axis=1) == result.argmax(axis=1)
    assert found.same_share == pytest.approx(same.mean())
    assert found.samples == 6
    assert found.layers[-1].snr_db == pytest.approx(found.snr_db, abs=0.01)


def test_what_is_exact_is_null_as_json():
    layer = LayerAccuracy(label="a", operator="qconv2d", macs=1, snr_db=math.inf, alone_snr_db=3.0)
    found = Accuracy(samples=1, snr_db=math.inf, same_share=1.0, layers=(layer,)).to_json()
    assert json.loads(json.dumps(found, allow_nan=False))["layers"][0]["snr_db"] is None
    assert found["snr_db"] is None
    assert found["layers"][0]["alone_snr_db"] == 3.0


def test_networks_without_floats_or_samples_are_refused():
    with pytest.raises(TilewrightError, match="must be of a network of floats: this one has scales"):
        tilewright.accuracy(network(is_quantised=True), X)
    with pytest.raises(TilewrightError, match="an accuracy budget must be of a network of floats"):
        tilewright.compile(network(is_quantised=True), accuracy_budget="30dB", accelerator=True)


@pytest.mark.parametrize("device", ["sim", "cpu"])
def test_a_network_within_a_budget_runs_on_every_device(device):
    model = network()
    ruined = tilewright.compile(model, calibration=X, config="tiny")
    assert ruined.noise > 0.5
    package = tilewright.compile(model, calibration=X, config="tiny", accuracy_budget="30dB")
    floats = tilewright.compile(model, accelerator=False).run(X)
    (name,) = floats.outputs
    expected, result = floats.outputs[name], package.run(X, device=device).outputs[name]
    ratio = (expected.astype(np.float64) ** 2).sum() / ((expected.astype(np.float64) - result) ** 2).sum()
    assert 10 * math.log10(ratio) >= 30
    assert package.parts
