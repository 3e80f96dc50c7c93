"""A model that cannot be taken says so in one line that names what must change."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.compiler.frontend.model_text import make_model, save

from tilewright.compiler.frontend.error import FrontendError
from tilewright.compiler.frontend.load import load_onnx

PICTURE = {"x": ("N", 3, 8, 8)}
WEIGHT = np.ones((4, 3, 3, 3), np.float32)


def node(kind, *inputs, output="y", **attributes):
    return helper.make_node(kind, inputs, [output], f"the {kind}", **attributes)


def refusal(path):
    with pytest.raises(FrontendError) as caught:
        load_onnx(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_a_missing_file(tmp_path):
    assert "cannot be read: No such file or directory" in refusal(tmp_path / "no.onnx")


def test_a_folder(tmp_path):
    assert "cannot be read: Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("data", [b"", b"this is no model", bytes(range(256)) * 8])
def test_what_is_no_model(data, tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    assert "must be a" in refusal(path)


def test_every_part_of_a_file_is_no_file(tmp_path):
    model = make_model([node("Conv", "x", "w")], PICTURE, constants={"w": WEIGHT})
    data = model.SerializeToString()
    path = tmp_path / "part.onnx"
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        refusal(path)


@pytest.mark.parametrize("opset", [6, 99])
def test_an_unknown_version(opset, tmp_path):
    text = refusal(save(make_model([node("Relu", "x")], PICTURE, opset=opset), tmp_path))
    assert "must use operators of opset 7 to" in text
    assert f"not {opset}: export it again" in text


def test_sizes_that_are_unknown_are_all_named(tmp_path):
    model = make_model([node("Relu", "x")], {"x": ("N", 3, "h", None)})
    text = refusal(save(model, tmp_path))
    assert "must be known, not axis 2 of 'x' (h), axis 3 of 'x' (no size): fix them" in text


def test_a_fixed_batch(tmp_path):
    text = refusal(save(make_model([node("Relu", "x")], {"x": (8, 3)}), tmp_path))
    assert "input 'x' must have a batch in front, symbolic or 1, not shape [8, 3]" in text


def test_an_input_that_is_not_float32(tmp_path):
    model = make_model([node("Relu", "x")], PICTURE)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    assert "input 'x' must be float32, not float16" in refusal(save(model, tmp_path))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value, tmp_path):
    weight = WEIGHT.copy()
    weight[1, 2, 0, 0] = value
    text = refusal(save(make_model([node("Conv", "x", "w")], PICTURE, constants={"w": weight}), tmp_path))
    assert "Conv 'the Conv' (weights must be finite, but 'w' holds NaN or infinity)" in text


def test_a_division_by_zero(tmp_path):
    model = make_model([node("Div", "x", "c")], PICTURE, constants={"c": np.float32(0)})
    assert "weights must be finite" in refusal(save(model, tmp_path))


def test_everything_unsupported_is_told_at_once(tmp_path):
    nodes = [
        node("Softmax", "x", output="a"),
        node("Relu", "a", output="b"),
        node("Sigmoid", "b", output="c"),
        node("Conv", "x", "w", output="d", group=3),
        node("Conv", "x", "w", output="e", dilations=[9, 9]),
        helper.make_node("Sigmoid", ["e"], ["f"], "another"),
        helper.make_node("Own", ["f"], ["h"], "own", domain="my.domain"),
        helper.make_node("Sum", ["c", "d", "h"], ["y"]),
        node("Hardmax", "x", output="nobody reads this"),
    ]
    text = refusal(save(make_model(nodes, PICTURE, constants={"w": WEIGHT}), tmp_path))
    assert "has 7 nodes that are not supported: " in text
    for part in (
        "Softmax 'the Softmax' (there is no such operator here)",
        "Sigmoid 'the Sigmoid', 'another' (there",
        "Conv 'the Conv' (weight must have 3/3 input channels",
        "my.domain.Own 'own' (there",
        "Sum 'y' (there",
        "must fit the padded picture",
    ):
        assert part in text
    assert "Relu" not in text
    assert "Hardmax" not in text


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Conv", "x", "x")], "'x' must be a constant, not computed from the input"),
        (
            [node("MatMul", "x", "w")],
            "its input must have 2 axes, batch and features, not float32[1, 3, 8, 8]",
        ),
        ([node("Flatten", "x", axis=2)], "axis must be 1, behind the batch, not 2"),
        (
            [node("Reshape", "x", "s")],
            "the batch must stay the first axis, from float32[1, 3, 8, 8] to [3, 64]",
        ),
        (
            [node("Reshape", "x", "bad")],
            "shape must have the 192 elements of float32[1, 3, 8, 8], not be [1, 5]",
        ),
        ([node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])], "dilations of a pooling must be 1"),
        ([node("MaxPool", "x", kernel_shape=[2])], "kernel_shape must be two numbers, for pictures, not [2]"),
        ([node("ReduceMean", "x", axes=[1])], "axes must be height and width, 2 and 3, of pictures, not [1]"),
        ([node("Unsqueeze", "x", "axis")], "axes must lie behind the batch, not be [0]"),
        ([node("Squeeze", "x", "axis")], "axes must lie behind the batch, not be [0]"),
        ([node("Add", "x", "big")], "its constant must be one number, or one for each channel"),
        (
            [node("QuantizeLinear", "x", "zero", output="y")],
            "scales must be positive numbers, but 'zero' holds others",
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else value[0].op_type,
)
def test_attributes_and_shapes_that_are_not_supported(nodes, message, tmp_path):
    constants = {
        "w": np.ones((8, 4), np.float32),
        "s": np.array([3, 64]),
        "bad": np.array([1, 5]),
        "big": np.ones((1, 3, 8, 8), np.float32),
        "zero": np.float32(0),
        "axis": np.array([0]),
    }
    used = {name: value for name, value in constants.items() if any(name in each.input for each in nodes)}
    model = make_model(nodes, PICTURE, constants=used)
    assert message in refusal(save(model, tmp_path))


@pytest.mark.parametrize(
    ("value", "zero", "message"),
    [
        (np.int8(5), np.int8([0, 1, 0, 0]), "zero points of weights must be 0 (or 128 of uint8)"),
        (np.uint8(5), np.zeros(4, np.uint8), "zero points of weights must be 0 (or 128 of uint8)"),
    ],
)
def test_weights_with_zero_points_are_refused(value, zero, message, tmp_path):
    constants = {
        "q": np.full(WEIGHT.shape, value),
        "s": np.ones(4, np.float32),
        "z": zero,
    }
    nodes = [node("DequantizeLinear", "q", "s", "z", axis=0, output="w"), node("Conv", "x", "w")]
    assert message in refusal(save(make_model(nodes, PICTURE, constants=constants), tmp_path))
