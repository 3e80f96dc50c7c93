"""What quantisation recognises in a model is in few operators, and computes what ONNX Runtime computes."""

import numpy as np
import pytest
from onnx import helper
from tests.compiler.frontend.model_text import make_model, save
from tests.compiler.mnist import labels, pictures, shared_file
from tests.compiler.random_network import random_input
from tests.layers import reshape
from tests.onnx_runtime import peer_outputs
from tests.random_onnx import random_model

from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.ops.nn.pool import AveragePool, MaxPool
from tilewright.compiler.ops.nn.quantise import DequantiseAffine
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.pipeline import load_onnx
from tilewright.compiler.quantise.recognise import recognise
from tilewright.compiler.quantise.recognise_move import MOVES

KNOWN = (Convolution, Dense, Map, Clip, MaxPool, AveragePool, Reshape, Quantise, Dequantise, *MOVES)
CONSTANT = (Constant, DequantiseAffine)


def check(model, folder, samples=1):
    """What is recognised in a model, after it has computed what the peer computes."""
    named = load_onnx(save(model, folder))
    inputs = random_input(np.random.default_rng(0), named, samples)
    found = recognise(named)
    verify(found.function)
    assert all(isinstance(each.operator, KNOWN + CONSTANT) for each in found.function.equations)
    expected = peer_outputs(model, inputs)
    for network in (named, found):
        answers = network.run(inputs)
        assert answers.keys() == expected.keys()
        for name, value in expected.items():
            assert answers[name].shape == value.shape
            assert answers[name].dtype == value.dtype
            np.testing.assert_allclose(answers[name], value, rtol=1e-4, atol=1e-5)
    return found


def steps(found):
    """The operators on activations, in order."""
    return [each.operator for each in found.function.equations if not isinstance(each.operator, CONSTANT)]


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_compute_the_same_as_the_peer(seed, tmp_path):
    check(random_model(np.random.default_rng(seed)), tmp_path, samples=3)


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
        [node("Flatten", "x", output="f"), node("Gemm", "f", "t", "n", transB=1)],
        [node("Sub", "c", "x")],
        [node("Max", "x", "one", output="a"), node("Min", "two", "a")],
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
        "one": np.float32(0.1),
        "two": np.float32(0.9),
        "t": RNG.normal(size=(5, 126)).astype(np.float32),
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
    found = check(make_model(nodes, PICTURE, constants={"axis": [0], "rest": [2, 3, 21]}), tmp_path)
    assert steps(found) == [Reshape((Size.of("N"), 2, 3, 21))]


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
    found = check(make_model(nodes, PICTURE, constants=constants), tmp_path)
    assert [type(each) for each in steps(found)] == [Quantise, Dequantise, Convolution]
    literals = (each.operator.value for each in found.function.equations if not each.operands)
    assert any(literal.array.dtype == np.int8 for literal in literals)


def test_a_batch_norm_joins_the_convolution_before_it_and_a_relu_is_one_limit(tmp_path):
    constants = {name: RNG.uniform(0.5, 2, 4).astype(np.float32) for name in ("g", "b", "m", "v")}
    nodes = [
        node("Conv", "x", "w", output="c"),
        node("BatchNormalization", "c", *constants, output="n"),
        node("Mul", "n", "two", output="t"),
        node("Relu", "t", output="r"),
        node("Clip", "r", "low", "high"),
    ]
    further = {"w": KERNEL, "two": np.float32(2), "low": np.float32(0.1), "high": np.float32(0.9)}
    found = check(make_model(nodes, PICTURE, constants=constants | further), tmp_path)
    assert [type(each) for each in steps(found)] == [Convolution, Clip, Clip]
    assert steps(found)[1:] == [Clip(0.0, float("inf")), Clip(float(np.float32(0.1)), float(np.float32(0.9)))]
    assert found.function.equations[2].labels == ("the Conv",)


def test_a_batch_norm_of_what_another_reads_is_a_convolution_of_its_own(tmp_path):
    constants = {name: RNG.uniform(0.5, 2, 4).astype(np.float32) for name in ("g", "b", "m", "v")}
    nodes = [
        node("Conv", "x", "w", output="c"),
        node("BatchNormalization", "c", *constants, output="n"),
        node("Add", "c", "n"),
    ]
    found = check(make_model(nodes, PICTURE, constants=constants | {"w": KERNEL}), tmp_path)
    assert [type(each) for each in steps(found)] == [Convolution, Convolution, Map]
    assert steps(found)[1].groups == 4


def test_factors_of_integer_weights_go_to_their_scales(tmp_path):
    constants = {
        "s": np.float32(0.05), "z": np.int8(7), "f": RNG.uniform(0.01, 0.02, 4).astype(np.float32),
        "q": RNG.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8),
        "k": RNG.uniform(0.5, 2, (4, 1, 1)).astype(np.float32) * np.float32([1, -1, 1, -1]).reshape(4, 1, 1),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x", "s", "z", output="a"),
        node("DequantizeLinear", "a", "s", "z", output="b"),
        helper.make_node("DequantizeLinear", ["q", "f", "zeros"], ["w"], axis=0),
        node("Conv", "b", "w", output="c"),
        node("Mul", "c", "k"),
    ]
    constants["zeros"] = np.zeros(4, np.int8)
    found = check(make_model(nodes, PICTURE, constants=constants), tmp_path)
    assert [type(each) for each in steps(found)] == [Quantise, Dequantise, Convolution]


def test_the_average_of_one_pixel_is_an_average(tmp_path):
    """Found by random networks: the division by 1 was folded, and a sum was left."""
    found = check(make_model([node("GlobalAveragePool", "x")], {"x": ("N", 3, 1, 1)}), tmp_path)
    assert [type(each) for each in steps(found)] == [AveragePool]


def test_what_was_recognised_is_recognised_again(tmp_path):
    found = recognise(load_onnx(save(random_model(np.random.default_rng(3)), tmp_path)))
    assert [type(each) for each in steps(recognise(found))] == [type(each) for each in steps(found)]


def test_a_fixed_batch_of_one_stands_for_any_number_of_samples(tmp_path):
    nodes = [node("Reshape", "x", "shape", output="f"), node("MatMul", "f", "m")]
    constants = {"shape": np.array([1, 126]), "m": RNG.normal(size=(126, 5)).astype(np.float32)}
    model = make_model(nodes, {"x": (1, 3, 7, 6)}, constants=constants)
    found = check(model, tmp_path)
    assert steps(found)[0] == reshape(126)
    x = RNG.normal(size=(4, 3, 7, 6)).astype(np.float32)
    expected = x.reshape(4, 126) @ constants["m"]
    np.testing.assert_allclose(found.run({"x": x})["y"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_mnist_network_is_as_good_as_its_makers_say():
    path = shared_file("models/mnist-lenet.onnx")
    answers = recognise(load_onnx(path)).run({"x": pictures(2000)})["y"].argmax(axis=1)
    (expected,) = peer_outputs(path, {"x": pictures(2000)}).values()
    assert np.array_equal(answers, expected.argmax(axis=1))
    assert (answers == labels(2000)).mean() > 0.98
