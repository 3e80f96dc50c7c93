"""Products of two activations become integers that every device computes alike."""

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork, check_close, integers

SHAPE = (1, 9, 6, 5)


def convolved(network, x, inputs, outputs, size=3):
    rng = np.random.default_rng(inputs * outputs + size)
    weight = rng.normal(0, 1.2 / np.sqrt(inputs * size**2), (outputs, inputs, size, size))
    return network.add("Conv", x, weight, rng.normal(0, 0.3, outputs), pads=[size // 2] * 4)


def gate(network, x, channels):
    """One factor for each channel, from the whole picture."""
    few = network.add("Relu", convolved(network, network.add("GlobalAveragePool", x), channels, 4, 1))
    return network.add("Sigmoid", convolved(network, few, 4, channels, 1))


def features(network, x):
    rng = np.random.default_rng(2)
    return network.add("Gemm", x, rng.normal(0, 0.1, (270, 7)), rng.normal(0, 0.1, 7))


def squeeze_and_excite(network):
    x = convolved(network, "x", 9, 11)
    return network.add("Mul", x, gate(network, x, 11))


def factors_before(network):
    x = convolved(network, "x", 9, 11)
    return network.add("Relu", network.add("Mul", gate(network, x, 11), x))


def dense(network):
    x = network.add("Flatten", "x")
    return network.add("Mul", features(network, x), network.add("Sigmoid", features(network, x)))


PRODUCTS = {
    "two convolutions": lambda n: n.add("Mul", convolved(n, "x", 9, 11), convolved(n, "x", 9, 11, 1)),
    "squeeze and excite": squeeze_and_excite,
    "factors before, a limit behind": factors_before,
    "of an input": lambda n: n.add("Mul", "x", gate(n, "x", 9)),
    "of factors": lambda n: n.add(
        "Mul", gate(n, "x", 9), n.add("GlobalAveragePool", convolved(n, "x", 9, 9))
    ),
    "pooled": lambda n: n.add(
        "MaxPool", n.add("Mul", convolved(n, "x", 9, 11), convolved(n, "x", 9, 11, 1)), kernel_shape=[2, 2]
    ),
}


@pytest.mark.parametrize("case", PRODUCTS)
def test_a_product_is_close_and_alike(case):
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    model = network.model(PRODUCTS[case](network))
    inputs = {"x": np.random.default_rng(3).normal(0.3, 1, (5, *SHAPE[1:])).astype(np.float32)}
    named = integers(model, inputs)
    assert [each.operator.name for each in named.function.equations].count("qmul") == 1
    check_close(model, inputs, steps=5)


def test_a_product_of_features_is_a_function_of_one_value_where_it_is_one():
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    named = integers(network.model(dense(network)), {"x": np.ones((1, *SHAPE[1:]), np.float32)})
    # Both layers are one, so that the product is a table of it.
    assert [each.operator.name for each in named.function.equations if each.operands][-3:-1] == [
        "qlookup",
        "dequantise",
    ]
