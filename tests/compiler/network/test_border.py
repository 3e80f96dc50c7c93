"""What one program quantises and another one reads has the same integers in both."""

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork, load

import tilewright

X = np.random.default_rng(3).normal(0, 1, (6, 3, 6, 6)).astype(np.float32)


NONE, STEP = np.int8(0), 0.02


def quantised(made, x, scale, zero=NONE):
    """A value behind a pair of nodes."""
    integers = made.add("QuantizeLinear", x, np.float32(scale), zero)
    return made.add("DequantizeLinear", integers, np.float32(scale), zero)


def network(zero, moved=False):
    """A convolution whose result a softmax reads, and a product of both before another convolution."""
    rng, made = np.random.default_rng(5), OnnxNetwork({"x": (1, 3, 6, 6)})
    weight = made.add("DequantizeLinear", rng.integers(-127, 128, (8, 3, 3, 3), np.int8), np.float32(0.004))
    x = quantised(made, "x", 0.03)
    y = quantised(made, made.add("Conv", x, weight, pads=[1] * 4), 0.05, zero)
    share = quantised(made, made.add("Softmax", y, axis=1), 1 / 127)
    if moved:
        y = made.add("Reshape", y, np.array([-1, 8, 6, 6]))
    both = quantised(made, made.add("Mul", share, y), 0.04)
    weight = made.add("DequantizeLinear", rng.integers(-127, 128, (4, 8, 1, 1), np.int8), np.float32(0.004))
    return made.model(quantised(made, made.add("Conv", both, weight), STEP))


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("zero", [np.int8(0), np.int8(-11), np.uint8(140)])
def test_what_is_read_behind_the_host_is_quantised_as_before(zero, moved):
    model = network(zero, moved)
    package = tilewright.compile(model, config="tiny")
    places = {each.label: each.target for each in package.explain().placements}
    names = {node.op_type: node.name for node in model.graph.node}
    assert (places[names["Mul"]], places[names["Softmax"]]) == ("accelerator", "cpu")
    assert package.explain().share("accelerator") == 1
    simulated, host = (package.run({"x": X}, device=device).outputs for device in ("sim", "cpu"))
    (expected,) = load(model).run({"x": X}).values()
    for found in (simulated, host):
        (values,) = found.values()
        # Steps of the result: the machine's multipliers have 17 bits.
        assert np.abs(values - expected).max() < 2.01 * STEP
        assert (np.abs(values - expected) > STEP / 2).mean() < 0.03
    np.testing.assert_array_equal(*(next(iter(each.values())) for each in (simulated, host)))


def test_a_network_of_floats_has_no_such_borders():
    rng, made = np.random.default_rng(5), OnnxNetwork({"x": (1, 3, 6, 6)})
    y = made.add("Conv", "x", rng.normal(0, 0.3, (8, 3, 3, 3)), pads=[1] * 4)
    model = made.model(made.add("Mul", made.add("Softmax", y, axis=1), y))
    package = tilewright.compile(model, config="tiny", calibration={"x": X}, ranges="min-max")
    assert not any("quantise" in each.operator for each in package.explain().placements)
