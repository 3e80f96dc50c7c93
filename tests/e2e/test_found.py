"""Networks that once had wrong answers, each with the right ones, on every device."""

import numpy as np
import pytest
from onnx import TensorProto
from tests.onnx_network import OnnxNetwork, answers, check_close, check_devices, integers
from tests.onnx_runtime import peer_outputs

from tilewright.compiler.quantise.error import QuantiseError
from tilewright.runtime.rtl_toolchain import find_toolchain

RNG = np.random.default_rng(5)


def floats(*shape):
    return RNG.normal(0, 1, shape).astype(np.float32)


def depthwise_with_residual():
    """The model, and what goes in."""
    network = OnnxNetwork({"x": (1, 4, 1, 2)})
    weight = np.array([0.5, 0.25, -0.5, 1.0]).reshape(4, 1, 1, 1)
    model = network.model(network.add("Add", network.add("Conv", "x", weight, group=4), "x"))
    return model, {"x": np.array([-1, -0.5, 0.5, 1, 0, 0.25, 1, -1]).reshape(1, 4, 1, 2)}


DEVICES = pytest.mark.parametrize(
    "device",
    [
        "interpreter",
        "cpu",
        "sim",
        pytest.param(
            "rtl",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(find_toolchain() is None, reason="needs Verilator and a C++ compiler"),
            ],
        ),
    ],
)


@DEVICES
def test_a_depthwise_convolution_adds_its_residual(device):
    """The machine took the residual's factor for a tap and never read the residual."""
    model, inputs = depthwise_with_residual()
    (found,) = answers(integers(model, inputs), inputs, device).values()
    expected = [-1.5, -0.75, 0.625, 1.25, 0, 0.125, 2, -2]
    np.testing.assert_allclose(found.ravel(), expected, rtol=0, atol=0.02)


def test_a_normed_pooling_is_added_to():
    network = OnnxNetwork({"x": (1, 6, 5, 4)})
    pooled = network.add("MaxPool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    statistics = (
        np.abs(floats(4, 6)) * np.array([0.3, 0.1, 0.1, 0])[:, None] + np.array([0, 0, 0, 1])[:, None]
    )
    normed = network.add("BatchNormalization", pooled, *statistics)
    check_close(network.model(network.add("Add", normed, "x")), {"x": floats(8, 6, 5, 4)})


@pytest.mark.parametrize("factor", [0.17, -0.6])
def test_a_scaled_relu_is_added_to(factor):
    network = OnnxNetwork({"x": (1, 5, 4, 4)})
    scaled = network.add("Mul", network.add("Relu", network.add("Conv", "x", floats(5, 5, 1, 1))), factor)
    check_close(network.model(network.add("Add", scaled, "x")), {"x": floats(8, 5, 4, 4)}, steps=4)


def test_branches_of_one_input_are_added():
    """As in RepVGG: 3 × 3, 1 × 1 and nothing, all depthwise."""
    network = OnnxNetwork({"x": (1, 9, 6, 5)})
    wide = network.add("Conv", "x", floats(9, 1, 3, 3), group=9, pads=[1, 1, 1, 1])
    narrow = network.add("Conv", "x", floats(9, 1, 1, 1), group=9)
    total = network.add("Add", network.add("Add", wide, narrow), "x")
    check_close(network.model(network.add("Relu", total)), {"x": floats(8, 9, 6, 5)}, steps=3)


@pytest.mark.parametrize("strides", [[1, 1], [2, 1]])
@pytest.mark.parametrize("group", [1, 5])
def test_windows_may_see_padding_alone(group, strides):
    """A load of nothing but padding names no buffer outside."""
    network = OnnxNetwork({"x": (1, 5, 1, 1)})
    weight, bias = floats(5, 5 // group, 2, 2), floats(5)
    result = network.add("Conv", "x", weight, bias, group=group, pads=[2, 0, 0, 1], strides=strides)
    check_close(network.model(result), {"x": floats(8, 5, 1, 1)})


@pytest.mark.parametrize(("low", "high", "right"), [(2.0, 3.0, 2.0), (-3.0, -2.0, -2.0)])
@pytest.mark.parametrize("behind", [None, "Relu"])
def test_a_clip_may_lie_beyond_all_data(low, high, right, behind):
    """The scale of what it clips was kept, which has no integers for its bounds."""
    network = OnnxNetwork({"x": (1, 2, 3, 3)})
    given = "x" if behind is None else network.add(behind, "x")
    model, inputs = (
        network.model(network.add("Clip", given, low, high)),
        {"x": floats(8, 2, 3, 3).clip(-1, 1)},
    )
    (found,) = check_devices(integers(model, inputs), inputs).values()
    np.testing.assert_allclose(found, right, rtol=0, atol=0.01)


# --- models that bring their scales ------------------------------------------------------------------------


def check_like_the_peer(model, inputs, steps=1):
    """All devices answer alike, and what ONNX Runtime answers but for some steps of 0.02."""
    given = {name: value.astype(np.float32) for name, value in inputs.items()}
    found = check_devices(integers(model), given)
    for name, value in peer_outputs(model, given).items():
        assert np.abs(value).max() > 0.5, "a network of zeros tells nothing"
        np.testing.assert_allclose(found[name], value, rtol=0, atol=steps * 0.02 + 1e-5)


def paired(network, name):
    """The value behind a quantisation and its dequantisation."""
    zero = np.int8(0)
    quantised = network.add("QuantizeLinear", name, 0.02, zero)
    return network.add("DequantizeLinear", quantised, 0.02, zero)


def point(network, name, channels=3):
    """A 1 × 1 convolution with weights of integers."""
    weight = RNG.integers(-127, 128, (channels, channels, 1, 1)).astype(np.int8)
    return network.add("Conv", name, network.add("DequantizeLinear", weight, 0.008, np.int8(0)))


@pytest.mark.parametrize("kind", ["Conv", "Add", "MaxPool", "nothing"])
def test_a_dequantisation_may_have_another_scale_than_the_quantisation(kind):
    network = OnnxNetwork({"x": (1, 3, 4, 4)})
    quantised = network.add("QuantizeLinear", "x", 0.02, np.int8(3))
    one = network.add("DequantizeLinear", quantised, 0.04, np.int8(-3))
    two = network.add("DequantizeLinear", quantised, 0.01, np.int8(5))
    if kind == "Conv":
        result = point(network, one)
    elif kind == "Add":
        result = network.add("Add", one, two)
    else:
        result = network.add("MaxPool", two, kernel_shape=[2, 2]) if kind == "MaxPool" else two
    check_like_the_peer(network.model(paired(network, result)), {"x": floats(8, 3, 4, 4)})


def test_a_dequantisation_behind_a_layer_may_have_another_scale():
    network = OnnxNetwork({"x": (1, 3, 4, 4)})
    layer = network.add("QuantizeLinear", point(network, paired(network, "x")), 0.02, np.int8(9))
    other = network.add("DequantizeLinear", layer, 0.03, np.int8(-9))
    check_like_the_peer(network.model(paired(network, point(network, other))), {"x": floats(8, 3, 4, 4)}, 3)


@pytest.mark.parametrize("kind", ["INT8", "UINT8"])
def test_a_quantisation_may_name_its_type_alone(kind):
    network = OnnxNetwork({"x": (1, 3, 4, 4)})
    quantised = network.add("QuantizeLinear", "x", 0.02, output_dtype=getattr(TensorProto, kind))
    given = network.add("DequantizeLinear", quantised, 0.02)
    check_like_the_peer(network.model(paired(network, point(network, given))), {"x": floats(8, 3, 4, 4)})


def test_an_unsigned_output_is_refused():
    """The machine's integers are 128 less."""
    network = OnnxNetwork({"x": (1, 3, 4, 4)})
    name = network.add("QuantizeLinear", "x", 0.02, np.uint8(128))
    with pytest.raises(QuantiseError, match=f"output '{name}': it must be float32, not uint8: end with Deq"):
        integers(network.model(name))


@pytest.mark.parametrize("least", [-127, -128])
@pytest.mark.parametrize("alpha", [-0.5, -1.0, 0.0, 0.7])
def test_a_product_may_have_any_factor(alpha, least):
    network = OnnxNetwork({"x": (1, 6)})
    weight = RNG.integers(least, 128, (6, 4)).astype(np.int8)
    weight[0, 0] = least
    real = network.add("DequantizeLinear", weight, 0.008, np.int8(0))
    bias = np.array([0.7, -0.3, 0.1, 0.9])
    result = network.add("Gemm", paired(network, "x"), real, bias, alpha=alpha)
    check_like_the_peer(network.model(paired(network, result)), {"x": floats(8, 6)})


def test_calibration_by_zeros_is_refused():
    network = OnnxNetwork({"x": (1, 3, 4, 4)})
    model = network.model(network.add("Relu", "x"))
    with pytest.raises(QuantiseError, match="typical inputs, and 'x' is 0 in all samples"):
        integers(model, {"x": np.zeros((5, 3, 4, 4))})
