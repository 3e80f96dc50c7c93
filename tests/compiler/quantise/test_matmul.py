"""Attention's products become integers that every device computes alike, with heads that move nowhere."""

import numpy as np
import pytest
from tests.onnx_network import OnnxNetwork, check_close, check_devices, integers, load

from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.judge import judge
from tilewright.compiler.targets.accel.layer_schedule import legal_network
from tilewright.compiler.targets.accel.product import ProductError
from tilewright.isa.config import PRESETS
from tilewright.runtime.rtl_toolchain import find_toolchain

RNG = np.random.default_rng(12)
TINY, REFERENCE = PRESETS["tiny"], PRESETS["reference"]


def weights(*shape):
    return RNG.normal(0, 1.2 / np.sqrt(shape[0]), shape)


def head(network, x, tokens, features, heads, size, order):
    """What weights make of x, as (heads, tokens, size) or another order of axes."""
    made = network.add("MatMul", x, weights(features, heads * size))
    made = network.add("Add", made, RNG.normal(0, 0.3, heads * size))
    parted = network.add("Reshape", made, np.array([0, tokens, heads, size]))
    return network.add("Transpose", parted, perm=[0, *(axis + 1 for axis in order)])


def attention(tokens, heads, size, features=10):
    """Queries with keys; values weighed by an input, and what weights make of them; and samples."""
    network = OnnxNetwork({"x": (1, tokens, features), "p": (1, heads, tokens, tokens)}, opset=20)
    q, k, v = (
        head(network, "x", tokens, features, heads, size, order)
        for order in ((1, 0, 2), (1, 2, 0), (1, 0, 2))
    )
    scores = network.add("Div", network.add("MatMul", q, k), size**0.5)
    y = network.add("Transpose", network.add("MatMul", "p", v), perm=[0, 2, 1, 3])
    joined = network.add("Reshape", y, np.array([0, tokens, heads * size]))
    model = network.model(scores, network.add("MatMul", joined, weights(heads * size, 9)))
    samples = {
        "x": RNG.normal(0, 1, (4, tokens, features)).astype(np.float32),
        "p": RNG.random((4, heads, tokens, tokens)).astype(np.float32),
    }
    return model, samples


def layers(named: NamedFunction, config):
    return [unit.operator.name for unit in legal_network(named, config).layers]


@pytest.mark.parametrize("config", [TINY, REFERENCE], ids=["tiny", "reference"])
@pytest.mark.parametrize(
    ("tokens", "heads", "size"), [(5, 3, 6), (8, 2, 4), (16, 2, 16), (1, 2, 3), (3, 1, 5), (4, 3, 1)]
)
def test_both_products_stay_on_the_chip(tokens, heads, size, config):
    model, samples = attention(tokens, heads, size)
    names = layers(integers(model, samples), config)
    assert names.count("qmatmul") + names.count("qmatmul_transposed") == 2
    # Three before the products, one behind, and the transposition.
    assert names.count("qconv2d") == 4 + names.count("qmatmul_transposed")
    check_close(model, samples, steps=6, config=config)


@pytest.mark.slow
@pytest.mark.skipif(find_toolchain() is None, reason="needs Verilator and a C++ compiler")
def test_both_products_in_the_gates():
    model, samples = attention(6, 2, 5)
    one = {name: array[:1] for name, array in samples.items()}
    check_devices(integers(model, samples), one, devices=("rtl",))


@pytest.mark.parametrize("front", [(), (3,), (2, 2)])
def test_a_product_of_two_inputs(front):
    network = OnnxNetwork({"a": (1, *front, 5, 6), "b": (1, *front, 6, 7)}, opset=20)
    model = network.model(network.add("Mul", network.add("MatMul", "a", "b"), 0.3))
    samples = {
        name: RNG.normal(0, 1, (4, *shape[1:])).astype(np.float32) for name, shape in network.inputs.items()
    }
    named = integers(model, samples)
    assert layers(named, TINY) == ["qmatmul"]
    check_close(model, samples, steps=5)


def test_macs_are_those_that_the_network_asks_for():
    model, samples = attention(6, 2, 5)
    asked = 6 * 10 * 30 + 2 * 2 * 6 * 6 * 5 + 6 * 10 * 9
    padded = legal_network(integers(model, samples), TINY)
    for unit in padded.layers:
        if unit.name.endswith("transpose"):
            assert unit.macs == 0
    assert sum(unit.macs for unit in padded.layers if "matmul" in unit.operator.name) == 2 * 2 * 6 * 6 * 5
    assert sum(unit.macs for unit in padded.layers) == asked


def test_zero_points_that_are_not_0_are_refused():
    network = OnnxNetwork({"a": (1, 5, 6), "b": (1, 6, 7)}, opset=20)
    pairs = []
    for name, zero in (("a", np.uint8(128)), ("b", np.uint8(100))):
        network.constants[f"z{name}"] = np.asarray(zero)
        q = network.add("QuantizeLinear", name, 0.03, f"z{name}")
        pairs.append(network.add("DequantizeLinear", q, 0.03, f"z{name}"))
    network.constants["zy"] = np.asarray(np.uint8(7))
    y = network.add("QuantizeLinear", network.add("MatMul", *pairs), 0.1, "zy")
    model = network.model(network.add("DequantizeLinear", y, 0.1, "zy"))
    with pytest.raises(
        QuantiseError, match=r"zero points of both must be 0 \(or 128 of uint8\), not \(0, -28\)"
    ):
        integers(model)


def test_lanes_that_are_no_tokens_must_hold_0():
    """Between two products on the chip, tokens must fill whole blocks."""
    network = OnnxNetwork({"x": (1, 6, 10)}, opset=20)
    q, k, v = (head(network, "x", 6, 10, 2, 4, order) for order in ((1, 0, 2), (1, 2, 0), (1, 0, 2)))
    scores = network.add("Relu", network.add("MatMul", q, k))
    named = integers(network.model(network.add("MatMul", scores, v)), {"x": np.ones((1, 6, 10), np.float32)})
    with pytest.raises(ProductError, match="what fills blocks of 6 channels must be 0"):
        legal_network(named, TINY)


def test_wide_machines_do_not_transpose():
    model, samples = attention(4, 2, 4)
    with pytest.raises(ProductError, match="in blocks of at most 32 lanes, not of 128"):
        legal_network(integers(model, samples), PRESETS["large-128"])


def test_a_mask_is_added_on_the_host():
    network = OnnxNetwork({"a": (1, 2, 5, 6), "b": (1, 2, 6, 7), "m": (1, 1, 1, 7)}, opset=20)
    named = load(network.model(network.add("Add", network.add("MatMul", "a", "b"), "m"))).one_sample()
    verdicts = judge(named.function)
    _, add = (each for each in named.function.equations if each.operator.name in ("dot", "map"))
    assert "such as a mask, must be added on the host" in verdicts[add.result]
