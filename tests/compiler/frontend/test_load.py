"""Models that are read compute what ONNX Runtime computes."""

import numpy as np
import pytest
from onnx import helper
from tests.compiler.frontend.model_text import make_model, save
from tests.compiler.mnist import labels, pictures, shared_file
from tests.compiler.onnx_export import export
from tests.compiler.random_network import random_input, random_network
from tests.onnx_runtime import peer_outputs

from tilewright.compiler.frontend.load import load_onnx
from tilewright.compiler.graph.interpreter import run
from tilewright.compiler.ops.reshape import Reshape


def check(model, folder, samples=1):
    """The graph of a model, after it has computed what the peer computes."""
    graph = load_onnx(save(model, folder))
    inputs = random_input(np.random.default_rng(0), graph, samples)
    expected, found = peer_outputs(model, inputs), run(graph, inputs)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert found[name].dtype == value.dtype
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
    return graph


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_compute_the_same_as_the_peer(seed, tmp_path):
    graph = random_network(np.random.default_rng(seed), most_steps=7)
    again = check(export(graph), tmp_path, samples=3)
    assert again.inputs == graph.inputs
    assert again.macs == graph.macs


def node(kind, *inputs, output="y", **attributes):
    return helper.make_node(kind, inputs, [output], f"the {kind}", **attributes)


PICTURE = {"x": ("N", 3, 7, 6)}
RNG = np.random.default_rng(7)
KERNEL = RNG.normal(size=(4, 3, 3, 2)).astype(np.float32)


@pytest.mark.parametrize("rule", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_padding_by_rule(rule, strides, tmp_path):
    conv = node("Conv", "x", "w", auto_pad=rule, strides=strides)
    check(make_model([conv], PICTURE, constants={"w": KERNEL}), tmp_path)


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    ("kernel", "strides", "pads"),
    [((3, 2), (2, 2), (0, 0, 0, 0)), ((2, 3), (3, 2), (1, 1, 0, 1)), ((2, 2), (2, 2), (1, 0, 1, 1))],
)
def test_incomplete_windows_count_with_ceil_mode(kind, kernel, strides, pads, tmp_path):
    pool = node(kind, "x", kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=1)
    check(make_model([pool], PICTURE), tmp_path)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("GlobalMaxPool", "x")],
        [node("ReduceMean", "x", axes=[-1, 2], keepdims=0)],
        [node("ReduceMean", "x", axes=[2, 3])],
        [node("Add", "c", "x")],
        [node("Sub", "x", "c")],
        [node("Mul", "x", "c")],
        [node("Div", "x", "c")],
        [node("Clip", "x", "", "one")],
        [node("Dropout", "x")],
        [node("Flatten", "x", output="f"), node("MatMul", "f", "m", output="g"), node("Add", "g", "n")],
        [node("Flatten", "x", output="f"), node("Gemm", "f", "m", "n", alpha=0.5, beta=2.0)],
        [node("Flatten", "x", output="f"), node("Gemm", "f", "m", "one")],
        [node("GlobalAveragePool", "x", output="f"), node("Squeeze", "f", "axes")],
        [node("ReduceMean", "x", axes=[2, 3], keepdims=0, output="f"), node("Unsqueeze", "f", "axes")],
        [node("Flatten", "x", axis=-3)],
        [node("Reshape", "x", "keep")],
    ],
    ids=lambda nodes: "-".join(each.op_type for each in nodes),
)
def test_further_operators(nodes, tmp_path):
    constants = {
        "c": RNG.uniform(0.5, 2, (3, 1, 1)).astype(np.float32),
        "one": np.float32(1),
        "m": RNG.normal(size=(126, 5)).astype(np.float32),
        "n": RNG.normal(size=5).astype(np.float32),
        "axes": np.array([2, 3]),
        "keep": np.array([0, -1, 2, 7]),
    }
    used = {name: value for name, value in constants.items() if any(name in each.input for each in nodes)}
    check(make_model(nodes, PICTURE, constants=used), tmp_path, samples=2)


def test_attributes_of_old_versions_are_understood(tmp_path):
    nodes = [
        node("Clip", "x", output="a", min=-0.5, max=0.75),
        node("Dropout", "a", output="b", ratio=0.5),
        node("ReduceMean", "b", output="c", axes=[2, 3]),
        node("Squeeze", "c", output="d", axes=[2]),
        node("Unsqueeze", "d", output="y", axes=[3]),
    ]
    check(make_model(nodes, PICTURE, opset=10), tmp_path)


def test_shapes_that_a_model_computes_are_known(tmp_path):
    nodes = [
        node("Shape", "x", output="s"),
        helper.make_node("Constant", [], ["zero"], "z", value_int=0),
        node("Gather", "s", "zero", output="n"),
        node("Unsqueeze", "n", "axis", output="m"),
        node("Concat", "m", "rest", axis=0, output="shape"),
        node("Reshape", "x", "shape"),
    ]
    graph = check(make_model(nodes, PICTURE, constants={"axis": [0], "rest": [2, 3, 21]}), tmp_path)
    assert [each.operator for each in graph.nodes] == [Reshape((1, 2, 3, 21))]


def test_a_batch_norm_has_the_statistics_of_training(tmp_path):
    constants = {name: RNG.uniform(0.5, 2, 3).astype(np.float32) for name in ("g", "b", "m", "v")}
    norm = node("BatchNormalization", "x", *constants, epsilon=0.1)
    check(make_model([norm], PICTURE, constants=constants), tmp_path)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_quantised_activations_and_weights_mean_what_they_mean_to_the_peer(dtype, tmp_path):
    zero = dtype(0 if dtype == np.int8 else 128)
    constants = {
        "s": np.float32(0.05),
        "z": dtype(zero + 7),
        "q": RNG.integers(-128, 128, (4, 3, 3, 2)).astype(np.int8).view(dtype) ^ zero,
        "f": RNG.uniform(0.01, 0.02, 4).astype(np.float32),
        "zeros": np.full(4, zero),
    }
    nodes = [
        node("QuantizeLinear", "x", "s", "z", output="a"),
        node("DequantizeLinear", "a", "s", "z", output="b"),
        helper.make_node("DequantizeLinear", ["q", "f", "zeros"], ["w"], axis=0),
        node("Conv", "b", "w"),
    ]
    graph = check(make_model(nodes, PICTURE, constants=constants), tmp_path)
    assert graph.types["a"].dtype == "int8"
    assert any(value.dtype == np.int8 for value in graph.constants.values())


@pytest.mark.slow
def test_the_mnist_network_is_as_good_as_its_makers_say():
    graph = load_onnx(shared_file("models/mnist-lenet.onnx"))
    assert graph.macs == 7_748_608
    answers = run(graph, {"x": pictures(2000)})["y"].argmax(axis=1)
    expected = peer_of(shared_file("models/mnist-lenet.onnx"), pictures(2000)).argmax(axis=1)
    assert np.array_equal(answers, expected)
    assert (answers == labels(2000)).mean() > 0.98


def peer_of(path, x):
    (answer,) = peer_outputs(path, {"x": x}).values()
    return answer
