"""The node tests of the onnx package on compiled code: what the importer takes, as the interpreter has it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.backend.test.loader import load_model_tests
from tests.api.test_onnx_backend import read_all
from tests.compiler.targets.cpu.host.compiled import assert_near

from tilewright.compiler.frontend.onnx import import_model
from tilewright.compiler.frontend.onnx.error import UnknownInputsError
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.targets.cpu.host import compile_host
from tilewright.numerics.error import TilewrightError

AT_LEAST = 1431
"""So many are equal; raise it as the importer takes more."""


def imported(model, names, inputs):
    """The module of a model; where it must know elements of inputs, these."""
    known = {}
    while True:
        try:
            return import_model(model, known)
        except UnknownInputsError as error:
            found = {name: dict(zip(names, inputs, strict=True))[name] for name in error.inputs}
            if found.keys() <= known.keys():
                raise
            known |= found


def mistake(module, inputs):
    """How compiled code differs from the interpreter; "" if it does not."""
    expected = run(module, *inputs)
    try:
        assert_near(compile_host(module).run(*inputs), expected)
    except (AssertionError, TilewrightError) as error:
        return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_node_test_is_the_interpreter_s(capsys):
    equal, wrong = 0, {}
    for case in load_model_tests(kind="node"):
        model = onnx.load(Path(case.model_dir) / "model.onnx")
        for data in sorted(Path(case.model_dir).glob("test_data_set_*")):
            inputs = read_all(data, "input", model.graph.input)
            if not all(isinstance(each, np.ndarray) for each in inputs):
                continue
            try:
                module = imported(model, [value.name for value in model.graph.input], inputs)
            except TilewrightError:
                continue
            reason = mistake(module, inputs)
            equal += not reason
            if reason:
                wrong[case.name] = reason
    with capsys.disabled():
        print(
            f"\nonnx {onnx.__version__}: {equal} node tests are equal on compiled code, {len(wrong)} are not"
        )
    assert wrong == {}
    assert equal >= AT_LEAST
