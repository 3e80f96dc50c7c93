"""Linear layers over tokens become integers that every device computes alike."""

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork, check_close, check_devices, integers, load, meaning
from tests.random_tokens import random_token_model

from tilewright.compiler.quantise.error import QuantiseError
from tilewright.runtime.rtl_toolchain import find_toolchain

RNG = np.random.default_rng(11)
QUICK = 6
"""Of the random networks, those among the unit tests."""
SPREAD = 0.04
"""Of errors, as a part of the result's span."""


def weights(*shape):
    return RNG.normal(0, 1.2 / np.sqrt(shape[0]), shape)


def linear(network, x, inputs, outputs):
    return network.add("Add", network.add("MatMul", x, weights(inputs, outputs)), RNG.normal(0, 0.3, outputs))


def drawn(seed):
    """A random model and inputs."""
    rng = np.random.default_rng((5, seed))
    model = random_token_model(rng)
    shapes, _ = load(model).sample_shapes
    return model, {name: rng.normal(0.2, 1, (4, *shape)).astype(np.float32) for name, shape in shapes.items()}


def operators(named):
    return [each.operator.name for each in named.function.equations if each.operands]


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.slow if seed >= QUICK else ()) for seed in range(30)]
)
def test_random_networks_over_tokens_answer_alike_and_close(seed):
    model, samples = drawn(seed)
    found = check_devices(integers(model, samples), samples)
    for name, value in meaning(load(model), samples).items():
        span = max(float(value.max()), 0) - min(float(value.min()), 0)
        assert np.sqrt(np.mean((found[name] - value) ** 2)) <= SPREAD * span, (seed, name)


@pytest.mark.slow
@pytest.mark.skipif(find_toolchain() is None, reason="needs Verilator and a C++ compiler")
@pytest.mark.parametrize("seed", range(0, 24, 6))
def test_some_of_them_on_the_gates(seed):
    model, samples = drawn(seed)
    one = {name: array[:1] for name, array in samples.items()}
    check_devices(integers(model, samples), one, devices=("rtl",))


def test_a_feed_forward_block_is_two_layers():
    """The bias, the activation and the residual are parts of them."""
    network = OnnxNetwork({"x": (1, 6, 24)}, opset=20)
    wide = network.add("Gelu", linear(network, "x", 24, 40))
    model = network.model(network.add("Add", "x", linear(network, wide, 40, 24)))
    samples = {"x": RNG.normal(0, 1, (6, 6, 24)).astype(np.float32)}
    names = operators(integers(model, samples))
    given, taken = ["transpose", "reshape", "quantise"], ["dequantise", "reshape", "transpose"]
    assert names == [*given, "qconv2d", "qlookup", "qconv2d", *taken]
    check_close(model, samples, steps=5)


def test_a_network_with_scales_of_its_own_keeps_them():
    network = OnnxNetwork({"x": (1, 6, 24)}, opset=20)

    def rounded(value, scale, zero):
        zero = network.constant(np.asarray(zero))
        return network.add("DequantizeLinear", network.add("QuantizeLinear", value, scale, zero), scale, zero)

    def layer(x, inputs, outputs):
        integers = RNG.integers(-127, 128, (inputs, outputs)).astype(np.int8)
        zero = network.constant(np.zeros((), np.int8))
        weight = network.add("DequantizeLinear", network.constant(integers), 0.003, zero)
        return network.add("Add", network.add("MatMul", x, weight), RNG.normal(0, 0.3, outputs))

    x = rounded("x", 0.02, np.int8(5))
    wide = rounded(network.add("Relu", layer(x, 24, 40)), 0.02, np.int8(-128))
    y = rounded(network.add("Add", x, rounded(layer(wide, 40, 24), 0.03, np.int8(1))), 0.04, np.int8(-7))
    parted = network.add("Reshape", y, np.array([0, 6, 3, 8]))
    model = network.model(network.add("Transpose", parted, perm=[0, 2, 1, 3]))
    samples = {"x": RNG.normal(0, 1, (4, 6, 24)).astype(np.float32)}
    assert operators(integers(model)).count("qconv2d") == 2
    found = check_devices(integers(model), samples)
    for name, value in meaning(load(model), samples).items():
        np.testing.assert_allclose(found[name], value, atol=0.0401)


def test_heads_are_views_of_what_a_layer_makes():
    network = OnnxNetwork({"x": (1, 6, 24)}, opset=20)
    parted = network.add("Reshape", linear(network, "x", 24, 36), np.array([0, 6, 4, 9]))
    heads = network.add("Transpose", parted, perm=[0, 2, 1, 3])
    joined = network.add("Reshape", network.add("Transpose", heads, perm=[0, 2, 1, 3]), np.array([0, 6, 36]))
    model = network.model(heads, linear(network, joined, 36, 5))
    samples = {"x": RNG.normal(0, 1, (4, 6, 24)).astype(np.float32)}
    assert operators(integers(model, samples)).count("qconv2d") == 2
    check_close(model, samples, steps=5)


def test_patches_of_a_picture_are_tokens_without_a_copy():
    network = OnnxNetwork({"x": (1, 3, 8, 6)}, opset=20)
    patches = network.add(
        "Conv", "x", RNG.normal(0, 0.3, (20, 3, 2, 2)), RNG.normal(0, 0.3, 20), strides=[2, 2]
    )
    tokens = network.add("Transpose", network.add("Reshape", patches, np.array([0, 20, 12])), perm=[0, 2, 1])
    model = network.model(linear(network, tokens, 20, 7))
    samples = {"x": RNG.normal(0, 1, (4, 3, 8, 6)).astype(np.float32)}
    names = operators(integers(model, samples))
    assert names[:4] == ["quantise", "qconv2d", "reshape", "qconv2d"]
    check_close(model, samples, steps=5)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            lambda n: n.add(
                "MatMul", n.add("Transpose", linear(n, "x", 24, 24), perm=[0, 2, 1]), weights(6, 5)
            ),
            "must lie in memory as 6 channels of 24 pixels, and lies there as 24 channels of 6 pixels",
        ),
        (
            lambda n: n.add(
                "MatMul", n.add("Transpose", linear(n, "x", 24, 6), perm=[0, 2, 1]), weights(6, 5)
            ),
            "must lie in memory as 6 channels of 6 pixels, and lies there as 6 channels of 6 pixels",
        ),
        (
            lambda n: n.add("MatMul", n.add("Mul", "x", RNG.normal(0, 1, 24)), weights(24, 5)),
            "factors and offsets of features must follow a product with weights",
        ),
        (
            lambda n: n.add("Reshape", linear(n, "x", 24, 24), np.array([0, 144])),
            "its channels and its pixels must stay apart",
        ),
    ],
)
def test_what_would_move_elements_is_refused(make, reason):
    network = OnnxNetwork({"x": (1, 6, 24)}, opset=20)
    model = network.model(make(network))
    with pytest.raises(QuantiseError, match=reason):
        integers(model, {"x": np.ones((1, 6, 24), np.float32)})
