"""The node tests that come with ONNX: what is recognised computes what they say; the rest is refused."""

import numpy as np
import onnx
import pytest
from tests.compiler.frontend.model_text import save

from tilewright.compiler.frontend.error import FrontendError
from tilewright.compiler.pipeline import load_onnx
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.recognise import recognise

OPERATORS = (
    *("Conv", "Gemm", "MatMul", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean"),
    *("Relu", "Clip", "Add", "Sub", "Mul", "Div", "BatchNormalization", "Identity", "Dropout", "Max", "Min"),
    *("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose"),
)
"""Those whose cases are tried."""
TAKEN = 65
"""At least so many cases compute; the others have other types or ranks, or no batch in front."""


@pytest.fixture(scope="module")
def cases():
    suite = pytest.importorskip("onnx.backend.test.case.node")
    return [case for case in suite.collect_testcases(None) if case.model is not None and is_single(case)]


def is_single(case):
    """One node, of an operator that is known, between arrays of plain numbers."""
    nodes, (inputs, outputs) = case.model.graph.node, case.data_sets[0]
    if len(nodes) != 1 or nodes[0].op_type not in OPERATORS or len(inputs) == 0:
        return False
    values = (*inputs, *outputs)
    return all(isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiub" for value in values)


def with_constants(model, inputs):
    """The model with all inputs but the first as constants, and any number of samples."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.input[1:]
    for value, array in list(zip(model.graph.input, inputs, strict=True))[1:]:
        made.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), value.name))
    for value in (made.graph.input[0], *made.graph.output):
        sizes = value.type.tensor_type.shape.dim
        if sizes:
            sizes[0].dim_param = "samples"
    return made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_case_is_right_or_refused(cases, tmp_path):
    taken, operators = 0, set()
    for case in cases:
        inputs, outputs = case.data_sets[0]
        try:
            named = recognise(load_onnx(save(with_constants(case.model, inputs), tmp_path)))
        except (FrontendError, QuantiseError):
            continue
        found = named.run({named.inputs[0]: np.asarray(inputs[0])})
        expected = np.asarray(outputs[0])
        ours = found[named.outputs[0]].astype(np.float64)
        assert ours.shape == expected.shape, case.name
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5, err_msg=case.name)
        taken += 1
        operators.add(case.model.graph.node[0].op_type)
    assert taken >= TAKEN
    # Its cases of Reshape all name the number of samples, or move them from the first axis.
    assert operators >= {"Conv", "Gemm", "MaxPool", "AveragePool", "BatchNormalization", "Clip", "Flatten"}
