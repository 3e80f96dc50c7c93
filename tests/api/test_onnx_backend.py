"""The node tests of the onnx package, compiled and interpreted: each is right, refused by name, or listed."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.backend.test.loader import load_model_tests

from tilewright import onnx_backend
from tilewright.api.onnx_backend import COMPILED, INTERPRETER, TilewrightBackend
from tilewright.numerics.error import TilewrightError

AT_LEAST = {INTERPRETER: 1485, COMPILED: 1485}
"""So many pass; raise it as more do."""
WRONG = {
    # The reference keeps flat places of the smaller picture; the shape given has other rows.
    "test_maxunpool_export_with_output_shape",
    # The expected sums are 1.4e-6 off where they cancel (`test_fourier` compares with numpy in float64).
    "test_dft_inverse",
    "test_dft_inverse_opset19",
}


def read(path: Path, kind: onnx.TypeProto):
    """An input or output of a test: an array, a list or None."""
    data = path.read_bytes()
    if kind.HasField("tensor_type"):
        return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(data))
    if kind.HasField("sequence_type"):
        return onnx.numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    return onnx.numpy_helper.to_optional(onnx.OptionalProto.FromString(data))


def read_all(folder: Path, what: str, values) -> list:
    """The inputs or outputs of one set of data, in order."""
    count = len(list(folder.glob(f"{what}_*.pb")))
    return [read(folder / f"{what}_{index}.pb", values[index].type) for index in range(count)]


def mistake(case, device) -> str:
    """What is wrong with the outputs of a case; "" if nothing is.

    Raises:
        TilewrightError: if it is refused.
    """
    folder = Path(case.model_dir)
    model = onnx.load(folder / "model.onnx")
    for data in sorted(folder.glob("test_data_set_*")):
        inputs = read_all(data, "input", model.graph.input)
        expected = read_all(data, "output", model.graph.output)
        found = TilewrightBackend.run_model(model, inputs, device)
        if len(found) != len(expected):
            return f"{len(found)} outputs for {len(expected)}"
        for ours, right in zip(found, expected, strict=True):
            if ours.dtype != right.dtype or ours.shape != right.shape:
                return f"{ours.dtype}{ours.shape} for {right.dtype}{right.shape}"
            if not np.allclose(ours, right, case.rtol, case.atol, equal_nan=True):
                return "other numbers"
    return ""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("device", [INTERPRETER, COMPILED])
def test_every_node_test_is_right_or_refused_by_name(capsys, device):
    passed, wrong, lines, refused = 0, {}, {}, Counter()
    for case in load_model_tests(kind="node"):
        try:
            reason = mistake(case, device)
        except TilewrightError as error:
            lines[case.name] = str(error)
            refused[case.name.split("_")[1]] += 1
            continue
        passed += not reason
        if reason:
            wrong[case.name] = reason
    with capsys.disabled():
        counts = f"{passed} node tests pass, {refused.total()} are refused, {len(wrong)} wrong"
        print(f"\nonnx {onnx.__version__} on {device}: {counts}")
    assert [name for name, line in lines.items() if not line or "\n" in line] == []
    assert {name: reason for name, reason in wrong.items() if name not in WRONG} == {}
    assert passed >= AT_LEAST[device], refused.most_common()


BOTH = pytest.mark.parametrize("device", [COMPILED, INTERPRETER])


@BOTH
def test_the_onnx_package_finds_the_backend_usable(device):
    assert issubclass(TilewrightBackend, onnx.backend.base.Backend)
    assert onnx_backend.supports_device(device)
    assert not onnx_backend.supports_device("CUDA")
    node = onnx.helper.make_node("Add", ["x", "y"], ["z"])
    (total,) = onnx_backend.run_node(node, [np.float32([1, 2]), np.float32([3, 4])], device)
    assert total.tolist() == [4, 6]


@BOTH
def test_inputs_that_say_shapes_are_made_known(device):
    node = onnx.helper.make_node("Reshape", ["x", "shape"], ["y"])
    (y,) = onnx_backend.run_node(node, [np.arange(6, dtype=np.float32), np.array([2, 3])], device)
    assert y.tolist() == [[0, 1, 2], [3, 4, 5]]


def square(operator="Mul"):
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n"])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n"])
    graph = onnx.helper.make_graph([onnx.helper.make_node(operator, ["x", "x"], ["y"])], "net", [x], [y])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])


def test_a_prepared_model_runs_again_and_again():
    prepared = onnx_backend.prepare(square())
    for count in (2, 3):
        (y,) = prepared.run([np.full(count, 3, np.float32)])
        assert y.tolist() == [9] * count
    (y,) = prepared.run({"x": np.float32([2])})
    assert y.tolist() == [4]


def test_what_cannot_run_is_said():
    assert onnx_backend.is_compatible(square())
    assert not onnx_backend.is_compatible(square("Nonsense"))
    assert not onnx_backend.is_compatible(square(), "TPU")
    with pytest.raises(TilewrightError, match="device must be one of CPU, CPU:0, CPU:interpreter, not 'TPU'"):
        onnx_backend.prepare(square(), "TPU")
