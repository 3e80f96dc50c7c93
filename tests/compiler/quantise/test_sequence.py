"""Networks of sequences (batch, channels, length) run as feature maps of height 1."""

import numpy as np
import pytest
from tests.onnx_network import TINY, OnnxNetwork, check_close, check_devices, integers, load, meaning
from tests.random_onnx import random_model

from tilewright.compiler.network.split import placed_network
from tilewright.compiler.network.target import ACCELERATOR
from tilewright.compiler.targets.accel.layer_schedule import legal_network
from tilewright.runtime.rtl_toolchain import find_toolchain

SHAPE = (1, 5, 23)
X = {"x": np.random.default_rng(3).normal(0.3, 1, (4, *SHAPE[1:])).astype(np.float32)}


def convolved(network, x, inputs, outputs, size=3, **attributes):
    rng = np.random.default_rng(inputs * outputs + size)
    inputs //= attributes.get("group", 1)
    weight = rng.normal(0, 1.2 / np.sqrt(inputs * size), (outputs, inputs, size))
    return network.add("Conv", x, weight, rng.normal(0, 0.3, outputs), **({"pads": [1, 1]} | attributes))


def norm(network, x, channels):
    rng = np.random.default_rng(channels)
    numbers = rng.uniform(0.5, 1.5, channels), rng.normal(0, 0.3, channels), rng.normal(0, 0.3, channels)
    return network.add("BatchNormalization", x, *numbers, rng.uniform(0.5, 2, channels))


def dense(network, x, inputs, outputs):
    rng = np.random.default_rng(outputs)
    return network.add("Gemm", x, rng.normal(0, 1 / np.sqrt(inputs), (inputs, outputs)), np.zeros(outputs))


def tanh(network):
    return network.add("Tanh", convolved(network, "x", 5, 6, 5, pads=[2, 2]))


def audio(network):
    """Of a classifier of sounds."""
    x = network.add("Relu", norm(network, convolved(network, "x", 5, 8, 5, pads=[2, 2]), 8))
    x = network.add("MaxPool", x, kernel_shape=[3], strides=[2])
    x = network.add("Relu", convolved(network, convolved(network, x, 8, 8, group=8), 8, 11, 1, pads=[0, 0]))
    x = network.add("Add", x, convolved(network, x, 11, 11))
    x = network.add("GlobalAveragePool", x)
    return dense(network, network.add("Flatten", x), 11, 6)


NETWORKS = {
    "a classifier of sounds": audio,
    "steps": lambda n: convolved(n, "x", 5, 6, 4, strides=[2], dilations=[2], pads=[3, 1]),
    "depthwise": lambda n: n.add("Clip", convolved(n, "x", 5, 5, group=5), -0.5, 0.9),
    "groups": lambda n: convolved(n, convolved(n, "x", 5, 8), 8, 12, group=4),
    "a pooled input": lambda n: n.add("MaxPool", "x", kernel_shape=[4], strides=[3], pads=[1, 2]),
    "an averaged input": lambda n: n.add("AveragePool", "x", kernel_shape=[4], strides=[3], pads=[1, 2]),
    "counted borders": lambda n: n.add(
        "AveragePool", "x", kernel_shape=[3], pads=[1, 1], count_include_pad=1
    ),
    "a norm of its own": lambda n: norm(n, "x", 5),
    "a function": lambda n: n.add("Sigmoid", convolved(n, "x", 5, 6)),
    "a product": lambda n: n.add("Mul", convolved(n, "x", 5, 6), tanh(n)),
    "the largest": lambda n: n.add("ReduceMax", convolved(n, "x", 5, 6), np.array([2]), keepdims=0),
    "joined": lambda n: convolved(n, n.add("Concat", convolved(n, "x", 5, 4), "x", axis=1), 9, 3),
    "joined in time": lambda n: n.add("Concat", convolved(n, "x", 5, 5), "x", axis=2),
    "a part in time": lambda n: n.add("Slice", convolved(n, "x", 5, 5), *(np.array([k]) for k in (2, 15, 2))),
    "border": lambda n: n.add("Pad", convolved(n, "x", 5, 5), np.array([0, 0, 2, 0, 0, 3]), 0.5),
    "all features": lambda n: dense(n, n.add("Flatten", convolved(n, "x", 5, 4)), 92, 7),
    "maps of it": lambda n: n.add("Relu", n.add("Unsqueeze", convolved(n, "x", 5, 4), np.array([2]))),
}  # fmt: skip


def model(case):
    network = OnnxNetwork({"x": SHAPE}, opset=20)
    return network.model(NETWORKS[case](network))


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_of_sequences_is_close_and_alike(case):
    check_close(model(case), X, steps=6)


def test_a_classifier_of_sounds_is_one_program():
    (kernel,) = placed_network(load(model("a classifier of sounds")), TINY).named.function.equations
    assert kernel.operator.target == ACCELERATOR


def test_a_classifier_of_sounds_is_fused_as_one_of_pictures():
    found = legal_network(integers(model("a classifier of sounds"), X), TINY)
    kinds = [unit.operator.name for unit in found.layers]
    assert kinds == ["qconv2d"] * 4 + ["qaverage_pool2d", "qconv2d"]
    assert found.layers[0].operator.pool is not None


@pytest.mark.skipif(find_toolchain() is None, reason="needs Verilator and a C++ compiler")
def test_a_classifier_of_sounds_on_the_gates():
    check_devices(integers(model("a classifier of sounds"), X), {"x": X["x"][:1]}, devices=("rtl",))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_random_networks_of_sequences_answer_what_they_mean(part):
    for number in range(part, 40, 2):
        rng = np.random.default_rng((8, number))
        model = random_model(rng, sequence=True)
        shapes, _ = load(model).sample_shapes
        samples = {name: rng.normal(0.3, 1, (4, *shape)) for name, shape in shapes.items()}
        check_devices(integers(model, samples), samples)


def test_scales_of_the_model_are_kept():
    network = OnnxNetwork({"x": SHAPE}, opset=20)

    def passed(x, scale, zero):
        given = np.float32(scale), np.array(zero, np.int8)
        return network.add("DequantizeLinear", network.add("QuantizeLinear", x, *given), *given)

    x = passed(convolved(network, passed("x", 0.04, 3), 5, 6), 0.05, -2)
    x = passed(network.add("MaxPool", x, kernel_shape=[3], strides=[2]), 0.05, -2)
    result = network.model(passed(convolved(network, x, 6, 4), 0.06, 3))
    found, expected = check_devices(integers(result), X), meaning(load(result), X)
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=0.13)
