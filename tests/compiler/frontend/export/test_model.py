"""What is written as ONNX is read as the same function."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.backend.test.loader import load_model_tests
from tests.trained_network import CONFIG, attention, inputs, layers, tokens, with_host

import tilewright
from tilewright.api.compile import prepared_network
from tilewright.compiler.dtype import DType
from tilewright.compiler.finetune.network import TrainableNetwork
from tilewright.compiler.frontend.error import FrontendError
from tilewright.compiler.frontend.export import write_onnx
from tilewright.compiler.frontend.onnx import load_onnx
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.quantise.range_method import RangeMethod
from tilewright.isa.config import load_config
from tilewright.numerics.error import TilewrightError

EQUAL, REFUSED = 1020, 150
"""Of all node tests of onnx 1.22 at least, and at most."""


def quantised(model, x):
    """The network with scales and integer weights."""
    named = prepared_network(load_onnx(model))
    network = TrainableNetwork.of(named, {"x": x}, RangeMethod.MIN_MAX, load_config(CONFIG))
    return network.in_integers([each.start for each in network.trainables])


NETWORKS = {
    "layers": (layers(), inputs(16)),
    "host": (with_host(), inputs(16)),
    "fixed": (with_host(between=None, behind=None, batch=1), inputs(16)),
    "attention": (attention(), tokens(16)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_integers_of_a_network_that_was_written_are_the_same(name):
    model, x = NETWORKS[name]
    named = quantised(model, x)
    packages = [tilewright.compile(each, config=CONFIG) for each in (named, write_onnx(named))]
    one, other = (package.run({"x": x}) for package in packages)
    assert one.cycles == other.cycles
    assert packages[0].outputs == packages[1].outputs
    for key in packages[0].outputs:
        np.testing.assert_array_equal(one.outputs[key], other.outputs[key])
    assert all(package.explain().share("accelerator") == 1 for package in packages)


@pytest.mark.parametrize("name", NETWORKS)
def test_another_reader_understands_it_alike(name):
    model, x = NETWORKS[name]
    contents = write_onnx(quantised(model, x))
    found = tilewright.compile(contents, config=CONFIG).run({"x": x}, device="cpu").outputs
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(contents, options)
    rows = [session.run(None, {"x": each[None]})[0] for each in x]
    (expected,) = (found[output.name] for output in session.get_outputs())
    error = np.concatenate(rows) - expected
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.ptp(expected)


def judged(case, refused):
    """Whether a node test is the same behind being written; None if it says nothing."""
    try:
        named = load_onnx(str(Path(case.model_dir) / "model.onnx"))
    except TilewrightError:
        return None
    if not named.inputs or not all(tensor.is_known for tensor in named.input_types.values()):
        return None
    try:
        again = load_onnx(write_onnx(named))
    except FrontendError as error:
        refused.append(str(error))
        return None
    rng, given = np.random.default_rng(0), []
    for tensor in named.input_types.values():
        dtype, is_float = tensor.dtype.numpy, tensor.dtype.is_float
        drawn = 2 * rng.normal(size=tensor.shape) if is_float else rng.integers(0, 2, tensor.shape)
        given.append(drawn.astype(dtype))
    try:
        expected = run(named.function, *given)
    except TilewrightError:
        return None
    found = run(again.function, *given)
    return all(
        one.dtype == other.dtype and np.allclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)
        for one, other in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_node_tests_are_the_same_behind_being_written(step):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = sorted(load_model_tests(kind="node"), key=lambda case: case.name)[::step]
        refused = []
        results = {case.name: judged(case, refused) for case in cases}
    assert [name for name, same in results.items() if same is False] == []
    assert sum(same is True for same in results.values()) >= EQUAL // step - 10
    assert len(refused) <= REFUSED // step + 5
    assert all("cannot be written as ONNX" in each for each in refused)


def named_function(make, *types):
    b = Builder("net")
    parameters = [b.parameter(f"x{k}", tensor) for k, tensor in enumerate(types)]
    results = make(b, *parameters)
    names = tuple(f"x{k}" for k in range(len(types))), tuple(f"y{k}" for k in range(len(results)))
    return NamedFunction(b.function(*results), *names)


def test_results_may_be_inputs_or_there_twice():
    tensor = TensorType(DType.FLOAT32, (Size.of("n"), 3))
    named = named_function(lambda b, x: [(y := e.relu(b, x)), y, x], tensor)
    x = inputs(2)[:, 0, 0, :3]
    found = load_onnx(write_onnx(named)).run({"x0": x})
    for name, expected in zip(("y0", "y1", "y2"), (np.maximum(x, 0), np.maximum(x, 0), x), strict=True):
        np.testing.assert_array_equal(found[name], expected)


def test_nodes_have_the_labels_of_the_model():
    written = onnx.load_from_string(write_onnx(quantised(layers(), inputs(4))))
    kinds = {node.name: node.op_type for node in written.graph.node}
    labels = {node.name: node.op_type for node in layers().graph.node}
    kept = {name: kind for name, kind in labels.items() if kind in ("Conv", "Gemm", "MaxPool", "Concat")}
    assert {name: kinds.get(name) for name in kept} == kept


def test_all_that_cannot_be_written_is_named_at_once():
    tensor = TensorType(DType.FLOAT32, (4,))

    def make(b, x):
        def step(b, total, each):
            return [e.add(b, total, each), each]

        looped = e.scan(b, [e.reduce_sum(b, x, None)], [x], step)
        return [looped[1], e.argsort(b, x, 0)]

    with pytest.raises(
        FrontendError, match=r"cannot be written as ONNX: scan .*, argsort .*: there is no such"
    ):
        write_onnx(named_function(make, tensor))
