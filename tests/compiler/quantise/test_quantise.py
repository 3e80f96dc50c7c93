"""Functions of integers: their form, their distance from the floats, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.mnist import labels, pictures, shared_file
from tests.compiler.random_network import (
    Builder,
    average_pool,
    clip,
    conv2d,
    flatten,
    global_average,
    max_pool,
    random_input,
    random_network,
    relu,
)
from tests.layers import Node, layers_of, macs_of, network, reshape

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.ops.nn.quantise import DequantiseAffine
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qadd import QAdd
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.pipeline import load_onnx, quantise
from tilewright.compiler.quantise.error import QuantiseError

INTEGER = (QConv2d, QMaxPool2d, QAveragePool2d, QAdd)
SUM = Map("add")


def build(*steps, shape=(1, 6, 8, 8), seed=0):
    """A network of steps (operator, weight shape or None), one behind the other."""
    builder = Builder(np.random.default_rng(seed), shape)
    for operator, *weights in steps:
        operands = (builder.last, *builder.weights(*weights)) if weights else ()
        builder.emit(operator, *operands)
    return builder.network()


def integers(named, seed=0):
    """The network of integers, its integer operators, and its error in steps of the result."""
    inputs = random_input(np.random.default_rng(seed), named, 64)
    result = quantise(named, inputs)
    ((name, value),) = named.run(inputs).items()
    (dequantise,) = layers_of(result, Dequantise)
    error = np.abs(result.run(inputs)[name] - value) / dequantise.scale
    return result, layers_of(result, *INTEGER), error


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_random_networks_become_integers_and_stay_close(seed):
    rng = np.random.default_rng(seed)
    named = random_network(rng)
    inputs = random_input(rng, named, 32)
    result = quantise(named, inputs)
    assert result.input_types == named.input_types
    assert result.output_types == named.output_types
    for equation in result.function.equations:
        assert isinstance(equation.operator, (*INTEGER, Quantise, Dequantise, Reshape, Constant))
        if isinstance(equation.operator, Reshape):
            assert all(value.type.dtype is DType.FLOAT32 for value in equation.operands)
    for name, value in named.run(inputs).items():
        ours = result.run(inputs)[name]
        assert ours.shape == value.shape
        span = max(float(value.max()), 0.0) - min(float(value.min()), 0.0)
        assert np.sqrt(np.mean((ours - value) ** 2)) <= 0.05 * span + 1e-6


def test_a_convolution_takes_what_follows_it():
    graph = build(
        (conv2d(pads=(1, 1, 1, 1)), 5, 6, 3, 3),
        (relu,),
        (max_pool((2, 2), (2, 2)),),
    )
    _, found, error = integers(graph)
    assert [type(each) for each in found] == [QConv2d]
    assert found[0].pool == Window((2, 2), (2, 2))
    assert found[0].lo == found[0].zero_point == -128
    assert error.max() < 4


def test_a_clamp_behind_the_pool_and_one_before_it_are_one():
    window = Window((3, 3), (2, 2), (1, 1, 1, 1))
    graph = build((conv2d(), 5, 6, 1, 1), (clip(-0.5, 9.0),), (max_pool(*window),), (clip(-9.0, 0.75),))
    _, found, error = integers(graph)
    (convolution,) = found
    assert convolution.pool == window
    assert error.max() < 16


def test_batch_norms_are_folded_or_become_depthwise():
    builder = Builder(np.random.default_rng(3), (1, 6, 5, 5))
    builder.norm()
    builder.conv()
    builder.norm()
    builder.emit(global_average)
    builder.emit(flatten)
    channels = builder.sample[0]
    builder.norm()
    result, found, error = integers(builder.network())
    assert [type(each) for each in found] == [QConv2d, QConv2d, QAveragePool2d, QConv2d]
    assert found[0].groups == 6
    assert result.sample_shapes[1] == {"y": (channels,)}
    assert error.max() < 8


def residual(before, behind, channels=6, spread=1.0):
    builder = Builder(np.random.default_rng(4), (1, channels, 8, 8))
    weight, bias = builder.weights(channels, channels, 3, 3)
    small = builder.constant(builder.b.literal(weight).array * np.float32(spread))
    builder.emit(conv2d(pads=(1, 1, 1, 1)), builder.x, small, bias)
    for operator in before:
        builder.emit(operator)
    builder.add(builder.x, builder.last)
    for operator in behind:
        builder.emit(operator)
    return builder.network()


def test_a_residual_joins_the_sums_of_the_convolution():
    _, found, error = integers(residual([], [relu, max_pool((2, 2))]))
    assert [type(each) for each in found] == [QConv2d]
    assert found[0].residual
    assert found[0].pool
    assert found[0].lo == found[0].zero_point
    assert error.max() < 4


def test_a_residual_is_a_sum_of_its_own_where_an_activation_comes_before():
    _, found, error = integers(residual([relu], []))
    assert [type(each) for each in found] == [QConv2d, QAdd]
    assert error.max() < 4


def test_a_residual_is_a_sum_of_its_own_where_its_factor_would_be_coarse():
    _, found, _ = integers(residual([], [clip(-0.01, 0.01)]))
    assert [type(each) for each in found] == [QConv2d, QAdd]


def test_sums_of_very_different_scales():
    for spread in (1e-4, 1e-2, 1e2, 1e4):
        _, found, error = integers(residual([clip(-1e9, 1e9)], [], spread=spread))
        assert isinstance(found[-1], QAdd)
        assert error.max() < 4


def test_poolings_and_activations_on_their_own_are_exact():
    graph = build((max_pool((2, 2)),), (relu,), (clip(0.0, 1.0),))
    result, found, error = integers(graph)
    assert {type(each) for each in found} == {QMaxPool2d}
    assert error.max() <= 0.501
    assert macs_of(result) == 0


@pytest.mark.parametrize("counted", [True, False])
def test_averages_have_a_scale_for_each_number_of_pixels(counted):
    pool = average_pool((3, 3), (2, 2), (1, 1, 1, 1), counted)
    _, found, error = integers(build((pool,)))
    (average,) = found
    assert [count for count, _ in average.scales] == [4, 6, 9]
    assert len({word for _, word in average.scales}) == (1 if counted else 3)
    assert error.max() < 2.5


def test_a_dense_layer_behind_a_flatten_is_a_kernel_as_large_as_the_picture():
    graph = build((conv2d(), 5, 6, 3, 3), (flatten,), (Dense(), 7, 180), (relu,), (Dense(), 4, 7))
    result, found, error = integers(graph)
    assert [type(each) for each in found] == [QConv2d] * 3
    layers = [each for each in result.function.equations if isinstance(each.operator, QConv2d)]
    kernels = [each.operands[1].type.shape for each in layers]
    assert kernels == [(5, 6, 3, 3), (7, 5, 6, 6), (4, 7, 1, 1)]
    assert macs_of(result) == 5 * 6 * 6 * 6 * 9 + 7 * 180 + 4 * 7
    assert error.max() < 6


def test_a_perceptron_gets_its_picture_reshaped_before_it_is_quantised():
    graph = build((flatten,), (Dense(), 5, 60), shape=(1, 1, 6, 10))
    result, found, error = integers(graph)
    assert layers_of(result, Reshape)[0] == reshape(60, 1, 1)
    assert len(found) == 1
    assert error.max() < 2


def test_channels_without_weights_and_with_huge_biases_survive():
    builder = Builder(np.random.default_rng(5), (1, 3, 4, 4))
    weight = np.zeros((4, 3, 1, 1), np.float32)
    weight[1], weight[2] = 1e-30, 1.0
    bias = np.float32([0.0, 1.0, -2.0, 5.0])
    builder.emit(conv2d(), builder.x, builder.constant(weight), builder.constant(bias))
    _, _, error = integers(builder.network())
    assert error.max() < 2


def test_two_readers_read_the_same_integers():
    builder = Builder(np.random.default_rng(6), (1, 3, 6, 6))
    trunk = builder.emit(conv2d(), builder.x, *builder.weights(5, 3, 1, 1))
    left = builder.emit(conv2d(), trunk, *builder.weights(5, 5, 1, 1))
    right = builder.emit(conv2d(), trunk, *builder.weights(5, 5, 1, 1))
    builder.add(left, right)
    builder.add(builder.last, builder.last)
    _, found, error = integers(builder.network())
    assert [type(each) for each in found] == [QConv2d, QConv2d, QConv2d, QAdd]
    assert [each.residual for each in found[:3]] == [False, False, True]
    assert error.max() < 6


def test_a_pooling_is_alone_where_another_reads_what_it_pools():
    builder = Builder(np.random.default_rng(7), (1, 3, 6, 6))
    trunk = builder.emit(conv2d(), builder.x, *builder.weights(5, 3, 1, 1))
    pooled = builder.emit(max_pool((3, 3), (1, 1), (1, 1, 1, 1)), trunk)
    builder.add(trunk, pooled)
    _, found, error = integers(builder.network())
    assert [type(each) for each in found] == [QConv2d, QMaxPool2d, QAdd]
    assert error.max() < 4


def test_a_network_without_scales_needs_data():
    with pytest.raises(QuantiseError, match="'test' has no scales: give calibration data"):
        quantise(build((relu,)))


def scaled(*nodes, constants=None, shape=(1, 2, 4, 4), outputs=None):
    """A network of nodes (output, operator, inputs…) with its own scales."""
    made = tuple(
        Node(f"node {output}", operator, tuple(inputs), output) for output, operator, *inputs in nodes
    )
    return network({"x": shape}, made, outputs or (made[-1].output,), constants)


Q, DQ = Quantise(0.5, 3), Dequantise(0.5, 3)
CONV = {"w": np.ones((2, 2, 1, 1), np.float32), "b": np.zeros(2, np.float32)}


def test_everything_that_cannot_be_integer_is_told_at_once():
    graph = scaled(
        ("q", Q, "x"),
        ("d", DQ, "q"),
        ("f", conv2d(), "x", "w", "b"),
        ("fq", Q, "f"),
        ("fd", DQ, "fq"),
        ("r", reshape(4, 2, 4), "d"),
        ("c", conv2d(), "r", "w4", "b"),
        ("m", max_pool((1, 2)), "c"),
        ("n", max_pool((1, 2)), "m"),
        ("nq", Q, "n"),
        ("s", SUM, "fd", "d"),
        ("sq", Q, "s"),
        ("sd", DQ, "sq"),
        ("nd", DQ, "nq"),
        ("y", Clip(0.0, float("inf")), "d"),
        constants=CONV | {"w4": np.ones((2, 4, 1, 1), np.float32)},
        outputs=("sd", "nd", "y"),
    )
    with pytest.raises(QuantiseError) as caught:
        quantise(graph)
    text = str(caught.value)
    assert "'test' cannot be quantised: convolution 'node f': its input 'x' must be quantised; " in text
    assert (
        "quantise 'node nq': max_pool 'node m' is the second pooling without a quantised value between"
        in text
    )
    assert "clip 'node y'" not in text
    assert text.count("must be quantised") == 2, "the input of node f, and the result"
    assert "node s" not in text


def test_a_reshape_in_the_middle_is_refused():
    graph = scaled(
        ("q", Q, "x"),
        ("d", DQ, "q"),
        ("c", conv2d(), "d", "w", "b"),
        ("cq", Q, "c"),
        ("cd", DQ, "cq"),
        ("r", reshape(4, 2, 4), "cd"),
        ("p", average_pool((2, 2)), "r"),
        ("pq", Q, "p"),
        ("y", DQ, "pq"),
        constants=CONV,
    )
    with pytest.raises(QuantiseError, match=r"feature maps \[2, 4, 4\] must not be reshaped to \[4, 2, 4\]"):
        quantise(graph)


@pytest.mark.parametrize(
    ("weight", "bias", "message"),
    [
        (1e-9, 1e6, "its bias must fit int32 in units of the sums"),
        (1e12, 0.0, "its sums cannot be requantised: scale must be at most"),
    ],
)
def test_numbers_beyond_the_arithmetic_are_refused(weight, bias, message):
    graph = scaled(
        ("q", Q, "x"),
        ("d", DQ, "q"),
        ("w", DequantiseAffine(), "wq", "ws", "wz"),
        ("c", conv2d(), "d", "w", "b"),
        ("cq", Quantise(1e-3, 0), "c"),
        ("y", Dequantise(1e-3, 0), "cq"),
        constants={
            "wq": np.ones((2, 2, 1, 1), np.int8),
            "ws": np.full((2, 1, 1, 1), weight, np.float32),
            "wz": np.int8(0),
            "b": np.full(2, bias, np.float32),
        },
    )
    with pytest.raises(QuantiseError) as caught:
        quantise(graph)
    assert "convolution 'node c': " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("behind", [[], [relu, max_pool((2, 2))]])
def test_integer_weights_are_kept_where_activations_have_no_scales(behind):
    """Found while the importer was exchanged: the weights were quantised as if they were activations."""
    builder = Builder(np.random.default_rng(8), (1, 3, 6, 6))
    value = np.random.default_rng(9).integers(-127, 128, (5, 3, 3, 3)).astype(np.int8)
    integer = builder.b.constant(value)
    scale = builder.b.constant(np.full((5, 1, 1, 1), 0.01, np.float32))
    weight = builder.emit(DequantiseAffine(), integer, scale, builder.b.constant(np.int8(0)))
    builder.emit(conv2d(), builder.x, weight, builder.constant(np.ones(5)))
    for step in behind:
        builder.emit(step)
    result, found, error = integers(builder.network())
    assert [type(each) for each in found] == [QConv2d]
    literals = [each.value.array for each in layers_of(result, Constant)]
    assert any(np.array_equal(array, value) for array in literals)
    assert error.max() < 4


def test_weights_of_other_integers_are_refused():
    graph = scaled(
        ("q", Q, "x"),
        ("d", DQ, "q"),
        ("w", DequantiseAffine(), "wq", "ws", "wz"),
        ("c", conv2d(), "d", "w", "b"),
        ("cq", Q, "c"),
        ("y", DQ, "cq"),
        constants={
            "wq": np.full((2, 2, 1, 1), 300, np.int32),
            "ws": np.float32(0.1),
            "wz": np.int32(0),
            "b": np.zeros(2, np.float32),
        },
    )
    with pytest.raises(QuantiseError, match=r"convolution 'node c': qconv2d: weight must be int8, not i32"):
        quantise(graph)


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
        ("c", conv2d(), "d", "w", "b"),
        ("cq", Q, "c"),
        ("cd", DQ, "cq"),
        ("m", max_pool((2, 2)), "cd"),
        ("mq", Quantise(0.25, -7), "m"),
        ("y", Dequantise(0.25, -7), "mq"),
        constants=CONV,
    )
    result = quantise(graph)
    convolution, average = layers_of(result, *INTEGER)
    assert isinstance(average, QAveragePool2d)
    assert convolution.pool == Window((2, 2))
    x = random_input(np.random.default_rng(0), graph, 20)
    assert np.abs(result.run(x)["y"] - graph.run(x)["y"]).max() <= 0.5


@pytest.mark.slow
def test_the_mnist_network_stays_as_good_in_integers():
    named = load_onnx(shared_file("models/mnist-lenet.onnx"))
    result = quantise(named, {"x": pictures(300)})
    assert [type(each) for each in layers_of(result, *INTEGER)] == [QConv2d] * 5
    answers = result.run({"x": pictures(3000)})["y"].argmax(axis=1)
    exact = named.run({"x": pictures(3000)})["y"].argmax(axis=1)
    accuracy = [(each == labels(3000)).mean() for each in (answers, exact)]
    assert accuracy[0] >= accuracy[1] - 0.002
