"""Networks within a budget: which layers stay in floats, and what comes out of them."""

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork

from tilewright.compiler.network.budget import AccuracyBudget, BudgetError
from tilewright.compiler.network.quantised import Quantiser
from tilewright.compiler.network.split import accelerator_of
from tilewright.compiler.pipeline import load_onnx
from tilewright.isa.config import PRESETS

SHAPE = (3, 8, 8)
SAMPLES = {"x": np.random.default_rng(1).normal(0, 1, (6, *SHAPE)).astype(np.float32)}


def quantiser():
    """Of four convolutions: the integers of the second one's results are far too coarse for most channels."""
    rng, made = np.random.default_rng(3), OnnxNetwork({"x": (1, *SHAPE)})
    x = made.add("Relu", made.add("Conv", "x", rng.normal(0, 0.5, (8, 3, 3, 3)), pads=[1] * 4))
    weight, third = rng.normal(0, 0.5, (8, 8, 1, 1)), rng.normal(0, 0.5, (8, 8, 3, 3))
    weight[0], third[:, 0] = 500 * weight[0], 0.0
    x = made.add("Relu", made.add("Conv", made.add("Relu", made.add("Conv", x, weight)), third, pads=[1] * 4))
    last = made.add("Conv", x, rng.normal(0, 0.5, (4, 8, 1, 1)))
    named = load_onnx(made.model(last).SerializeToString())
    return Quantiser(named.one_sample(), SAMPLES)


def labels_in_floats(found):
    kernels = [each.operator for each in found.partition.function.equations]
    bodies = [each.body for each in kernels if each.target == "cpu"]
    return {label for body in bodies for equation in body.equations for label in equation.labels}


def test_a_network_that_is_within_its_budget_is_left_as_it_is():
    own = quantiser()
    target = accelerator_of(own.one, PRESETS["tiny"])
    found = own.within(target, AccuracyBudget(5.0))
    assert found.agreement() == own.quantised(target).agreement()
    assert len(found.parts.integers) == 1


def test_the_layer_that_ruins_a_network_stays_in_floats():
    own = quantiser()
    target = accelerator_of(own.one, PRESETS["tiny"])
    before = own.quantised(target).agreement()
    assert before.decibels < 20
    found = own.within(target, AccuracyBudget(30.0))
    assert found.agreement().decibels >= 30
    assert "n2" in labels_in_floats(found)
    assert "n0" not in labels_in_floats(found)
    reasons = {each.label: each.reason for each in found.partition.refusals if each.target == "accelerator"}
    assert f"the outputs are at {before}, and the accuracy budget is 30 dB" in reasons["n2"]


def test_no_network_of_integers_reaches_a_budget_that_only_floats_do():
    own = quantiser()
    found = own.within(accelerator_of(own.one, PRESETS["tiny"]), AccuracyBudget(150.0))
    assert not found.parts.integers
    assert found.agreement().decibels > 150


def test_a_budget_needs_floats_to_compare_with():
    own = quantiser()
    without = Quantiser(own.one, None)
    with pytest.raises(BudgetError, match="with calibration data"):
        without.within(accelerator_of(own.one, PRESETS["tiny"]), AccuracyBudget(30.0))
