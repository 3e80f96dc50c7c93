"""Integer graphs: their form, their distance from the floats, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.mnist import labels, pictures, shared_file
from tests.compiler.random_network import Builder, random_input, random_network

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.load import load_onnx
from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.graph.interpreter import run
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.add import Add
from tilewright.compiler.ops.average_pool2d import AveragePool2d
from tilewright.compiler.ops.clip import Clip
from tilewright.compiler.ops.conv2d import Conv2d
from tilewright.compiler.ops.dense import Dense
from tilewright.compiler.ops.dequantise import Dequantise
from tilewright.compiler.ops.flatten import Flatten
from tilewright.compiler.ops.global_average_pool import GlobalAveragePool
from tilewright.compiler.ops.identity import Identity
from tilewright.compiler.ops.max_pool2d import MaxPool2d
from tilewright.compiler.ops.qadd import QAdd
from tilewright.compiler.ops.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.qconv2d import QConv2d
from tilewright.compiler.ops.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantise import Quantise
from tilewright.compiler.ops.relu import Relu
from tilewright.compiler.ops.reshape import Reshape
from tilewright.compiler.ops.window import Window
from tilewright.compiler.quantise import calibration
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.quantise import quantise

INTEGER = (QConv2d, QMaxPool2d, QAveragePool2d, QAdd)


def build(*steps, shape=(1, 6, 8, 8), seed=0):
    """A graph of steps (operator, weight shape or None), one behind the other."""
    rng = np.random.default_rng(seed)
    builder = Builder(rng)
    builder.types["x"] = TensorType(shape, DType.FLOAT32)
    for operator, *weights in steps:
        builder.emit(operator, builder.last, *(builder.weights(*weights) if weights else ()))
    return finished(builder)


def finished(builder):
    x = (("x", builder.types["x"]),)
    return Graph("test", x, tuple(builder.nodes), (builder.last,), builder.constants)


def integers(graph, seed=0):
    """The integer graph, its integer operators, and its error in steps of the result."""
    inputs = random_input(np.random.default_rng(seed), graph, 64)
    result = quantise(graph, inputs)
    found = [node.operator for node in result.nodes if isinstance(node.operator, INTEGER)]
    (scale,) = (node.operator.scale for node in result.nodes if isinstance(node.operator, Dequantise))
    (name,) = graph.outputs
    error = np.abs(run(result, inputs)[name] - run(graph, inputs)[name]) / scale
    return result, found, error


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_random_networks_become_integers_and_stay_close(seed):
    rng = np.random.default_rng(seed)
    graph = random_network(rng)
    inputs = random_input(rng, graph, 32)
    result = quantise(graph, inputs)
    assert result.inputs == graph.inputs
    assert result.outputs == graph.outputs
    for node in result.nodes:
        assert isinstance(node.operator, (*INTEGER, Quantise, Dequantise, Flatten, Reshape))
        if isinstance(node.operator, Flatten | Reshape):
            assert all(result.types[name].dtype == "float32" for name in node.inputs)
    for name, value in run(graph, inputs).items():
        ours = run(result, inputs)[name]
        assert ours.shape == value.shape
        span = max(float(value.max()), 0.0) - min(float(value.min()), 0.0)
        assert np.sqrt(np.mean((ours - value) ** 2)) <= 0.05 * span + 1e-6


def test_a_convolution_takes_what_follows_it():
    graph = build(
        (Conv2d(pads=(1, 1, 1, 1)), 5, 6, 3, 3),
        (Relu(),),
        (MaxPool2d(Window((2, 2), (2, 2))),),
        (Identity(),),
    )
    _, found, error = integers(graph)
    assert [type(each) for each in found] == [QConv2d]
    assert found[0].pool == Window((2, 2), (2, 2))
    assert found[0].lo == found[0].zero_point == -128
    assert error.max() < 4


def test_a_clamp_behind_the_pool_and_one_before_it_are_one():
    window = Window((3, 3), (2, 2), (1, 1, 1, 1))
    graph = build((Conv2d(), 5, 6, 1, 1), (Clip(-0.5, 9.0),), (MaxPool2d(window),), (Clip(-9.0, 0.75),))
    _, found, error = integers(graph)
    (convolution,) = found
    assert convolution.pool == window
    assert error.max() < 16


def test_batch_norms_are_folded_or_become_depthwise():
    builder = Builder(np.random.default_rng(3))
    builder.types["x"] = TensorType((1, 6, 5, 5), DType.FLOAT32)
    builder.norm()
    builder.conv()
    builder.norm()
    builder.emit(GlobalAveragePool(), builder.last)
    builder.emit(Flatten(), builder.last)
    builder.norm()
    result, found, error = integers(finished(builder))
    assert [type(each) for each in found] == [QConv2d, QConv2d, QAveragePool2d, QConv2d]
    assert found[0].groups == 6
    assert result.types[result.outputs[0]].shape == (1, len(builder.constants["c7"]))
    assert error.max() < 8


def residual(before, behind, channels=6, spread=1.0):
    builder = Builder(np.random.default_rng(4))
    builder.types["x"] = TensorType((1, channels, 8, 8), DType.FLOAT32)
    weight, bias = builder.weights(channels, channels, 3, 3)
    builder.constants[weight] *= np.float32(spread)
    builder.emit(Conv2d(pads=(1, 1, 1, 1)), "x", weight, bias)
    for operator in before:
        builder.emit(operator, builder.last)
    builder.emit(Add(), "x", builder.last)
    for operator in behind:
        builder.emit(operator, builder.last)
    return finished(builder)


def test_a_residual_joins_the_sums_of_the_convolution():
    _, found, error = integers(residual([], [Relu(), MaxPool2d(Window((2, 2)))]))
    assert [type(each) for each in found] == [QConv2d]
    assert found[0].residual
    assert found[0].pool
    assert found[0].lo == found[0].zero_point
    assert error.max() < 4


def test_a_residual_is_a_sum_of_its_own_where_an_activation_comes_before():
    _, found, error = integers(residual([Relu()], []))
    assert [type(each) for each in found] == [QConv2d, QAdd]
    assert error.max() < 4


def test_a_residual_is_a_sum_of_its_own_where_its_factor_would_be_coarse():
    _, found, _ = integers(residual([], [Clip(-0.01, 0.01)]))
    assert [type(each) for each in found] == [QConv2d, QAdd]


def test_sums_of_very_different_scales():
    for spread in (1e-4, 1e-2, 1e2, 1e4):
        _, found, error = integers(residual([Clip(-1e9, 1e9)], [], spread=spread))
        assert isinstance(found[-1], QAdd)
        assert error.max() < 4


def test_poolings_and_activations_on_their_own_are_exact():
    graph = build((MaxPool2d(Window((2, 2))),), (Relu(),), (Clip(0.0, 1.0),))
    result, found, error = integers(graph)
    assert {type(each) for each in found} == {QMaxPool2d}
    assert error.max() <= 0.501
    assert result.macs == 0


@pytest.mark.parametrize("counted", [True, False])
def test_averages_have_a_scale_for_each_number_of_pixels(counted):
    window = Window((3, 3), (2, 2), (1, 1, 1, 1))
    _, found, error = integers(build((AveragePool2d(window, counted),)))
    (average,) = found
    assert [count for count, _ in average.scales] == [4, 6, 9]
    assert len({word for _, word in average.scales}) == (1 if counted else 3)
    assert error.max() < 2.5


def test_a_dense_layer_behind_a_flatten_is_a_kernel_as_large_as_the_picture():
    graph = build((Conv2d(), 5, 6, 3, 3), (Flatten(),), (Dense(), 7, 180), (Relu(),), (Dense(), 4, 7))
    result, found, error = integers(graph)
    assert [type(each) for each in found] == [QConv2d] * 3
    kernels = [
        result.types[node.inputs[1]].shape for node in result.nodes if isinstance(node.operator, QConv2d)
    ]
    assert kernels == [(5, 6, 3, 3), (7, 5, 6, 6), (4, 7, 1, 1)]
    assert result.macs == graph.macs
    assert error.max() < 6


def test_a_perceptron_gets_its_picture_reshaped_before_it_is_quantised():
    graph = build((Flatten(),), (Dense(), 5, 60), shape=(1, 1, 6, 10))
    result, found, error = integers(graph)
    assert result.nodes[0].operator == Reshape((1, 60, 1, 1))
    assert len(found) == 1
    assert error.max() < 2


def test_channels_without_weights_and_with_huge_biases_survive():
    builder = Builder(np.random.default_rng(5))
    builder.types["x"] = TensorType((1, 3, 4, 4), DType.FLOAT32)
    weight = np.zeros((4, 3, 1, 1), np.float32)
    weight[1], weight[2] = 1e-30, 1.0
    bias = np.float32([0.0, 1.0, -2.0, 5.0])
    builder.emit(Conv2d(), "x", builder.constant(weight), builder.constant(bias))
    _, _, error = integers(finished(builder))
    assert error.max() < 2


def test_two_readers_read_the_same_integers():
    builder = Builder(np.random.default_rng(6))
    builder.types["x"] = TensorType((1, 3, 6, 6), DType.FLOAT32)
    trunk = builder.emit(Conv2d(), "x", *builder.weights(5, 3, 1, 1))
    left = builder.emit(Conv2d(), trunk, *builder.weights(5, 5, 1, 1))
    right = builder.emit(Conv2d(), trunk, *builder.weights(5, 5, 1, 1))
    builder.emit(Add(), left, right)
    builder.emit(Add(), builder.last, builder.last)
    _, found, error = integers(finished(builder))
    assert [type(each) for each in found] == [QConv2d, QConv2d, QConv2d, QAdd]
    assert [each.residual for each in found[:3]] == [False, False, True]
    assert error.max() < 6


def test_a_pooling_is_alone_where_another_reads_what_it_pools():
    builder = Builder(np.random.default_rng(7))
    builder.types["x"] = TensorType((1, 3, 6, 6), DType.FLOAT32)
    trunk = builder.emit(Conv2d(), "x", *builder.weights(5, 3, 1, 1))
    pooled = builder.emit(MaxPool2d(Window((3, 3), (1, 1), (1, 1, 1, 1))), trunk)
    builder.emit(Add(), trunk, pooled)
    _, found, error = integers(finished(builder))
    assert [type(each) for each in found] == [QConv2d, QMaxPool2d, QAdd]
    assert error.max() < 4


def test_ranges_of_data_in_parts_are_those_of_the_whole(monkeypatch):
    graph = build((Conv2d(), 5, 6, 3, 3), (Relu(),))
    inputs = random_input(np.random.default_rng(1), graph, 20)
    whole = calibration.measure_ranges(graph, inputs)
    monkeypatch.setattr(calibration, "_CHUNK_BYTES", 1)
    assert calibration.measure_ranges(graph, inputs) == whole


def test_a_network_without_scales_needs_data():
    with pytest.raises(QuantiseError, match="'test' has no scales: give calibration data"):
        quantise(build((Relu(),)))


def scaled(*nodes, constants=None, shape=(1, 2, 4, 4)):
    """A graph of nodes (output, operator, inputs…) with its own scales."""
    made = tuple(Node(f"node {output}", operator, inputs, output) for output, operator, *inputs in nodes)
    made = tuple(Node(node.name, node.operator, tuple(node.inputs), node.output) for node in made)
    return Graph(
        "test", (("x", TensorType(shape, DType.FLOAT32)),), made, (made[-1].output,), constants or {}
    )


Q, DQ = Quantise(0.5, 3), Dequantise(0.5, 3)
CONV = {"w": np.ones((2, 2, 1, 1), np.float32), "b": np.zeros(2, np.float32)}


def test_everything_that_cannot_be_integer_is_told_at_once():
    graph = scaled(
        ("q", Q, "x"),
        ("d", DQ, "q"),
        ("f", Conv2d(), "x", "w", "b"),
        ("fq", Q, "f"),
        ("fd", DQ, "fq"),
        ("r", Reshape((1, 4, 2, 4)), "d"),
        ("c", Conv2d(), "r", "w4", "b"),
        ("m", MaxPool2d(Window((1, 2))), "c"),
        ("n", MaxPool2d(Window((1, 2))), "m"),
        ("nq", Q, "n"),
        ("s", Add(), "fd", "d"),
        ("sq", Q, "s"),
        ("y", Relu(), "d"),
        constants=CONV | {"w4": np.ones((2, 4, 1, 1), np.float32)},
    )
    with pytest.raises(QuantiseError) as caught:
        quantise(graph)
    text = str(caught.value)
    assert "'test' cannot be quantised: conv2d 'node f': its input 'x' must be quantised; " in text
    assert "quantise 'node nq': 'node m' is the second pooling without a quantised value between" in text
    assert "output 'y': its input 'y' must be quantised" in text
    assert "node s" not in text


def test_a_reshape_in_the_middle_is_refused():
    graph = scaled(
        ("q", Q, "x"),
        ("d", DQ, "q"),
        ("c", Conv2d(), "d", "w", "b"),
        ("cq", Q, "c"),
        ("cd", DQ, "cq"),
        ("r", Reshape((1, 4, 2, 4)), "cd"),
        ("p", AveragePool2d(Window((2, 2))), "r"),
        ("pq", Q, "p"),
        ("y", DQ, "pq"),
        constants=CONV,
    )
    with pytest.raises(
        QuantiseError, match=r"pictures \[1, 2, 4, 4\] must not be reshaped to \[1, 4, 2, 4\]"
    ):
        quantise(graph)


@pytest.mark.parametrize(
    ("weight", "bias", "message"),
    [
        (1e-9, 1e6, "its bias must fit int32 in units of the sums"),
        (1e12, 0.0, "its sums cannot be requantised: scale must be at most"),
    ],
)
def test_numbers_beyond_the_arithmetic_are_refused(weight, bias, message):
    from tilewright.compiler.ops.dequantise_channels import DequantiseChannels

    graph = scaled(
        ("q", Q, "x"),
        ("d", DQ, "q"),
        ("w", DequantiseChannels(), "wq", "ws"),
        ("c", Conv2d(), "d", "w", "b"),
        ("cq", Quantise(1e-3, 0), "c"),
        ("y", Dequantise(1e-3, 0), "cq"),
        constants={
            "wq": np.ones((2, 2, 1, 1), np.int8),
            "ws": np.full(2, weight, np.float32),
            "b": np.full(2, bias, np.float32),
        },
    )
    with pytest.raises(QuantiseError) as caught:
        quantise(graph)
    assert "conv2d 'node c': " in str(caught.value)
    assert message in str(caught.value)


def test_sums_that_could_leave_int32_are_refused():
    features = 140_000
    rng = np.random.default_rng(0)
    constants = {"w": rng.choice([-1, 1], (1, features)).astype(np.float32), "b": np.zeros(1, np.float32)}
    graph = scaled(("y", Dense(), "x", "w", "b"), constants=constants, shape=(1, features))
    with pytest.raises(
        QuantiseError, match="its sums of 140000 products must fit int32, but reach 2275840000"
    ):
        quantise(graph, {"x": np.ones((1, features), np.float32)})


def test_a_change_of_scale_between_quantised_values_is_an_average_of_one_pixel():
    graph = scaled(
        ("q", Q, "x"),
        ("d", DQ, "q"),
        ("c", Conv2d(), "d", "w", "b"),
        ("cq", Q, "c"),
        ("cd", DQ, "cq"),
        ("m", MaxPool2d(Window((2, 2))), "cd"),
        ("mq", Quantise(0.25, -7), "m"),
        ("y", Dequantise(0.25, -7), "mq"),
        constants=CONV,
    )
    result = quantise(graph)
    assert [type(node.operator) for node in result.nodes[1:3]] == [QConv2d, QAveragePool2d]
    assert result.nodes[1].operator.pool == Window((2, 2))
    x = random_input(np.random.default_rng(0), graph, 20)
    assert np.abs(run(result, x)["y"] - run(graph, x)["y"]).max() <= 0.5


@pytest.mark.slow
def test_the_mnist_network_stays_as_good_in_integers():
    graph = load_onnx(shared_file("models/mnist-lenet.onnx"))
    result = quantise(graph, {"x": pictures(300)})
    assert [type(node.operator) for node in result.nodes] == [Quantise, *[QConv2d] * 5, Dequantise, Flatten]
    answers = run(result, {"x": pictures(3000)})["y"].argmax(axis=1)
    exact = run(graph, {"x": pictures(3000)})["y"].argmax(axis=1)
    accuracy = [(each == labels(3000)).mean() for each in (answers, exact)]
    assert accuracy[0] >= accuracy[1] - 0.002
