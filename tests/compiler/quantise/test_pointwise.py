"""Functions of single elements become tables, a chain of them one; every device has the bytes."""

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork, check_close, integers

from tilewright.compiler.targets.accel.legalise import legalise
from tilewright.isa.config import PRESETS

SHAPE = (1, 9, 6, 5)
FUNCTIONS = {
    "sigmoid": lambda n, x: n.add("Sigmoid", x),
    "tanh": lambda n, x: n.add("Tanh", x),
    "hard swish": lambda n, x: n.add("HardSwish", x),
    "gelu": lambda n, x: n.add("Gelu", x),
    "silu of two nodes": lambda n, x: n.add("Mul", x, n.add("Sigmoid", x)),
    "hard swish of four nodes": lambda n, x: n.add(
        "Div", n.add("Mul", x, n.add("Clip", n.add("Add", x, 3.0), 0.0, 6.0)), 6.0
    ),
    "leaky relu": lambda n, x: n.add("LeakyRelu", x, alpha=0.2),
    "elu": lambda n, x: n.add("Elu", x),
    "exp": lambda n, x: n.add("Exp", n.add("Clip", x, -9.0, 1.0)),
    "square": lambda n, x: n.add("Pow", x, 2.0),
    "reciprocal": lambda n, x: n.add("Reciprocal", n.add("Add", n.add("Abs", x), 1.0)),
    "without a value below 0": lambda n, x: n.add("Max", n.add("Log", x), 0.0),
}


def samples():
    return {"x": np.random.default_rng(3).normal(0.3, 1, (4, *SHAPE[1:])).astype(np.float32)}


def convolved(network, x, inputs, outputs, seed):
    """A convolution over pads of 1."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 1.2 / np.sqrt(inputs * 9), (outputs, inputs, 3, 3))
    return network.add("Conv", x, weight, rng.normal(0, 0.3, outputs), pads=[1, 1, 1, 1])


def operators(named):
    return [each.operator.name for each in named.function.equations if each.operands]


def units(named):
    """What the machine runs."""
    legal = named.with_function(legalise(named.function, PRESETS["tiny"]))
    return [name for name in operators(legal) if name.startswith("q")]


@pytest.mark.parametrize("kind", [kind for kind in FUNCTIONS if "without" not in kind])
def test_a_function_is_one_table_at_the_end_of_a_convolution(kind):
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    y = FUNCTIONS[kind](network, convolved(network, "x", 9, 11, 1))
    model = network.model(convolved(network, y, 11, 5, 2))
    named = integers(model, samples())
    assert operators(named) == ["quantise", "qconv2d", "qlookup", "qconv2d", "dequantise"]
    assert units(named) == ["quantise", "qconv2d_table", "qconv2d"]
    check_close(model, samples(), steps=6)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_function_of_an_input_is_one_table(kind):
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    model = network.model(FUNCTIONS[kind](network, "x"))
    inputs = samples()
    if "without" in kind:
        inputs = {"x": np.abs(inputs["x"]) + np.float32(0.1)}
    assert operators(integers(model, inputs)) == ["quantise", "qlookup", "dequantise"]
    # Next to 0 a logarithm is steep: one step of the input is many of the result.
    check_close(model, inputs, steps=6 if "without" not in kind else 12)


def test_a_value_inside_of_a_chain_that_others_read_is_a_table_too():
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    gate = network.add("Sigmoid", "x")
    wide = convolved(network, gate, 9, 9, 1)
    model = network.model(network.add("Add", network.add("Mul", "x", gate), wide))
    named = integers(model, samples())
    assert sorted(units(named)) == ["qconv2d", "qlookup", "qlookup", "quantise"]
    check_close(model, samples(), steps=4)


def test_sums_factors_and_limits_keep_their_units():
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    y = network.add("Clip", network.add("Mul", network.add("Add", "x", 0.5), 0.3), -0.2, 0.4)
    assert "qlookup" not in operators(integers(network.model(y), samples()))


def test_a_network_with_scales_has_one_table_for_a_chain():
    network = OnnxNetwork({"x": SHAPE})

    def rounded(x, scale, zero):
        scale, zero = np.float32(scale), np.array(zero, np.int8)
        return network.add("DequantizeLinear", network.add("QuantizeLinear", x, scale, zero), scale, zero)

    x = rounded("x", 0.03, 3)
    y = rounded(network.add("Sigmoid", x), 0.004, -128)
    z = rounded(network.add("Exp", y), 0.012, -128)
    named = integers(network.model(z), {})
    assert operators(named) == ["quantise", "qlookup", "dequantise"]
    x8 = np.clip(np.rint(samples()["x"] / np.float32(0.03)) + 3, -128, 127)
    gate = np.rint(1 / (1 + np.exp(-(x8 - 3) * 0.03)) / np.float32(0.004)) * 0.004
    expected = np.minimum(np.rint(np.exp(gate) / np.float32(0.012)), 255) * 0.012
    (found,) = named.run(samples()).values()
    np.testing.assert_allclose(found, expected, atol=0.0121)
