"""A model that cannot be taken says so in one line that names what must change."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from tests.compiler.frontend.model_text import make_model, save

from tilewright.compiler.frontend.error import FrontendError
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.pipeline import load_onnx, quantise
from tilewright.compiler.quantise.error import QuantiseError

PICTURE = {"x": ("N", 3, 8, 8)}
WEIGHT = np.ones((4, 3, 3, 3), np.float32)


def node(kind, *inputs, output="y", **attributes):
    return helper.make_node(kind, inputs, [output], f"the {kind}", **attributes)


def refusal(path):
    """Of a file that cannot be read, or what is in it."""
    with pytest.raises(FrontendError) as caught:
        load_onnx(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def unquantised(path):
    """Of a network that is read, and cannot be integers."""
    with pytest.raises(QuantiseError) as caught:
        quantise(load_onnx(path))
    text = str(caught.value)
    assert "'test' cannot be quantised" in text
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
    model = make_model([node("Relu", "x")], {"x": ("N", 3, "h", -1, "?")})
    path = save(model, tmp_path)
    text = unquantised(path)
    assert "input 'x' must have known sizes behind the batch, not axis 2 (h), axis 3 (x_3), axis 4" in text
    with pytest.raises(IrError, match=r"axis 4 \(x_4\): give sizes \(--size h=NUMBER --size x_3=NUMBER"):
        _ = load_onnx(path).sample_shapes


def test_a_fixed_batch(tmp_path):
    text = unquantised(save(make_model([node("Relu", "x")], {"x": (8, 3)}), tmp_path))
    assert "input 'x' must have a batch in front, symbolic or 1, not f32[8, 3]" in text


def test_an_input_that_is_not_float32(tmp_path):
    model = make_model([node("Relu", "x")], PICTURE)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    assert "input 'x' must be float32, not float64" in unquantised(save(model, tmp_path))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value, tmp_path):
    weight = WEIGHT.copy()
    weight[1, 2, 0, 0] = value
    text = unquantised(save(make_model([node("Conv", "x", "w")], PICTURE, constants={"w": weight}), tmp_path))
    assert "convolution 'the Conv': weights must be finite, but hold NaN or infinity" in text


def test_a_division_by_zero(tmp_path):
    model = make_model([node("Div", "x", "c")], PICTURE, constants={"c": np.float32(0)})
    assert "weights must be finite" in unquantised(save(model, tmp_path))


def test_everything_unsupported_is_told_at_once(tmp_path):
    nodes = [
        node("Softmax", "x", output="a"),
        node("Relu", "a", output="b"),
        node("Conv", "x", "w", output="d", group=3),
        node("Conv", "x", "w", output="e", dilations=[9, 9]),
        helper.make_node("Own", ["x"], ["h"], "own", domain="my.domain"),
        helper.make_node("Sum", ["b", "d", "h"], ["y"]),
    ]
    text = refusal(save(make_model(nodes, PICTURE, constants={"w": WEIGHT}), tmp_path))
    assert "has 3 parts that are not supported: " in text
    assert "my.domain.Own 'own' (there is no such operator here)" in text
    assert "Softmax" not in text


def test_everything_that_has_no_integers_is_told_at_once(tmp_path):
    nodes = [
        node("Softmax", "x", output="a"),
        node("Relu", "a", output="b"),
        node("LogSoftmax", "x", output="c"),
        helper.make_node("Exp", ["c"], ["behind"], "behind it"),
        helper.make_node("Conv", ["x", "u"], ["d"], "in groups", group=3),
        helper.make_node("ReduceMean", ["d"], ["m"], "mean", axes=[1]),
        helper.make_node("Add", ["b", "m"], ["e"]),
        helper.make_node("Sum", ["behind", "e"], ["y"]),
        node("Hardmax", "x", output="nobody reads this"),
    ]
    weight = np.ones((6, 1, 1, 1), np.float32)
    text = unquantised(save(make_model(nodes, {"x": ("N", 3, 1, 1)}, constants={"u": weight}), tmp_path))
    for part in (
        "softmax 'the Softmax', log_softmax 'the LogSoftmax': there is no such operator in integers",
        "reduce 'mean': axes must be height and width, 2 and 3, of feature maps, or the length of sequences",
    ):
        assert part in text, text
    assert "in groups" not in text
    assert "Relu" not in text
    assert "Hardmax" not in text
    assert "behind it" not in text


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("MatMul", "left", "x")], "its weights must be a matrix, not f32[1, 3, 8, 8]"),
        (
            [node("Flatten", "x", axis=2)],
            "the batch must stay the first axis, whole, not become f32[3*N, 64]",
        ),
        (
            [node("Flatten", "x", axis=0)],
            "the batch must stay the first axis, whole, not become f32[1, 192*N]",
        ),
        ([node("Reshape", "x", "s")], "the batch must stay the first axis, from f32[1, 3, 8, 8] to [3, 64]"),
        (
            [node("Transpose", "x", perm=[0, 2, 1, 3])],
            "the host must hand over f32[1, 3, 8, 8] in the order (0, 2, 1, 3)",
        ),
        ([node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])], "dilations of a pooling must be 1"),
        (
            [node("ReduceMean", "x", axes=[1])],
            "axes must be height and width, 2 and 3, of feature maps, or the length of sequences, not (1,)",
        ),
        ([node("ReduceSum", "x", "hw")], "a sum over a feature map must be divided by its number of pixels"),
        (
            [node("Unsqueeze", "x", "axis")],
            "the batch must stay the first axis, whole, not become f32[1, N, 3, 8",
        ),
        ([node("Add", "x", "big")], "its constant must be one number, or one for each channel"),
        (
            [node("ReduceSum", "x", "hw", output="sum"), node("Div", "sum", "half")],
            "a sum must be divided by its 64 pixels",
        ),
        (
            [node("MaxPool", "x", kernel_shape=[1, 1], output="m"), node("Max", "x", "m")],
            "its bound must be a constant",
        ),
        ([node("QuantizeLinear", "x", "zero", "int8", output="y")], "scales must be positive numbers"),
        (
            [node("Relu", "x", output="r"), node("Gemm", "w", "w", transA=1)],
            "must be computed from the input",
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else value[-1].op_type,
)
def test_attributes_and_shapes_that_are_not_supported(nodes, message, tmp_path):
    constants = {
        "w": np.ones((8, 4), np.float32),
        "left": np.ones((4, 8), np.float32),
        "s": np.array([3, 64]),
        "hw": np.array([2, 3]),
        "half": np.float32(32),
        "big": np.arange(192, dtype=np.float32).reshape(1, 3, 8, 8),
        "zero": np.float32(0),
        "int8": np.int8(0),
        "axis": np.array([0]),
    }
    used = {name: value for name, value in constants.items() if any(name in each.input for each in nodes)}
    model = make_model(nodes, PICTURE, constants=used)
    if nodes[0].op_type == "QuantizeLinear":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8
    assert message in unquantised(save(model, tmp_path))


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
    assert message in unquantised(save(make_model(nodes, PICTURE, constants=constants), tmp_path))


def test_a_reader_of_what_was_refused_is_not_to_blame(tmp_path):
    nodes = [node("Softmax", "x", output="a"), node("Relu", "a")]
    assert "the Relu" not in unquantised(save(make_model(nodes, PICTURE), tmp_path))
