"""Procedures agree with ONNX Runtime and numpy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from onnx_runtime import peer_outputs
from tilewright.compiler.frontend.onnx import import_model
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ops.nn.irregular import Unique


def suppression(centred):
    """NonMaxSuppression with all its operands as inputs."""
    shapes = {"boxes": [2, "n", 4], "scores": [2, 3, "n"], "most": [1], "overlap": [1], "least": [1]}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64 if name == "most" else TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    node = helper.make_node("NonMaxSuppression", list(shapes), ["kept"], center_point_box=int(centred))
    kept = helper.make_tensor_value_info("kept", TensorProto.INT64, ["count", 3])
    graph = helper.make_graph([node], "net", inputs, [kept])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


MODELS = {centred: suppression(centred) for centred in (False, True)}
MODULES = {centred: import_model(model) for centred, model in MODELS.items()}


@given(st.booleans(), st.integers(1, 9), st.integers(0, 4), st.integers(0, 1 << 30))
def test_suppression_agrees_with_onnx_runtime(centred, boxes, most, seed):
    rng = np.random.default_rng(seed)
    # Eighths, so that overlaps and scores are often equal to their bounds.
    inputs = {
        "boxes": (rng.integers(0, 9, (2, boxes, 4)) / 8).astype(np.float32),
        "scores": (rng.integers(0, 9, (2, 3, boxes)) / 8).astype(np.float32),
        "most": np.array([most]),
        "overlap": np.float32([rng.integers(0, 5) / 4]),
        "least": np.float32([rng.integers(0, 5) / 8]),
    }
    (ours,) = run(MODULES[centred], *inputs.values())
    np.testing.assert_array_equal(ours, peer_outputs(MODELS[centred], inputs)["kept"])


@given(st.sampled_from([None, 0, 1]), st.booleans(), st.integers(0, 1 << 30))
def test_what_differs_can_be_put_together_again(axis, is_sorted, seed):
    x = np.random.default_rng(seed).integers(0, 2, (5, 3))
    values, first, inverse, counts = Unique("n", axis, is_sorted).run(x)
    expected = np.unique(x, axis=axis)
    assert values.shape == expected.shape
    assert counts.sum() == len(inverse)
    if axis is None:
        np.testing.assert_array_equal(values[inverse], x.reshape(-1))
        np.testing.assert_array_equal(x.reshape(-1)[first], values)
    else:
        np.testing.assert_array_equal(np.take(values, inverse, axis), x)
        np.testing.assert_array_equal(np.take(x, first, axis), values)
    if is_sorted:
        np.testing.assert_array_equal(values, expected)
    else:
        assert (np.diff(first) > 0).all()
