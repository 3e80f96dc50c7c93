import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.error import GraphError
from tilewright.compiler.graph.graph import Graph, Node, verify
from tilewright.compiler.graph.interpreter import run
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.add import Add
from tilewright.compiler.ops.dense import Dense
from tilewright.compiler.ops.relu import Relu
from tilewright.numerics.error import TilewrightError

X = TensorType((1, 3), DType.FLOAT32)
WEIGHTS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(2, np.float32)}


def graph(*nodes, outputs=("y",), constants=WEIGHTS, inputs=(("x", X),)):
    return Graph("test", inputs, nodes, outputs, constants)


DENSE = Node("dense", Dense(), ("x", "w", "b"), "h")
RELU = Node("relu", Relu(), ("h",), "y")


def test_types_and_macs_follow_from_the_nodes():
    good = graph(DENSE, RELU)
    verify(good)
    assert good.types["y"] == TensorType((1, 2), DType.FLOAT32)
    assert good.macs == 6
    assert good.producers["h"] is DENSE
    assert good.consumers == {"x": (DENSE,), "w": (DENSE,), "b": (DENSE,), "h": (RELU,)}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            graph(RELU, DENSE),
            "node 'relu' (relu) must read inputs, constants or results of nodes before it, not 'h'",
        ),
        (
            graph(DENSE, Node("again", Dense(), ("x", "w", "b"), "h")),
            "a value must be defined once, but 'h' is defined again",
        ),
        (
            graph(DENSE, Node("dense", Relu(), ("h",), "y")),
            "the name of a node must be unique, but 'dense' is",
        ),
        (graph(DENSE), "output 'y' must be an input or the result of a node, and is not"),
        (graph(DENSE, outputs=("w",)), "output 'w' must be an input or the result of a node, and is not"),
        (graph(DENSE, outputs=()), "graph 'test' must have an output, and has none"),
        (
            graph(DENSE, outputs=("h",), constants=WEIGHTS | {"w": np.zeros((2, 4), np.float32)}),
            "node 'dense' (dense): weight must have shape (2, 3), not (2, 4)",
        ),
        (
            graph(DENSE, outputs=("h",), constants=WEIGHTS | {"b": np.zeros(2)}),
            "node 'dense' (dense): bias must be float32, not float64[2]",
        ),
        (
            graph(DENSE, outputs=("h",), constants=WEIGHTS | {"n": np.array(["a"])}),
            "constant 'n' must be a tensor, not <U1 (1,)",
        ),
        (
            graph(inputs=(("y", TensorType((2, 3), DType.INT8)),)),
            "input 'y' must have a batch axis of 1 in front",
        ),
        (graph(Node("add", Add(), ("x",), "y")), "node 'add' (add): takes 2 inputs (a, b), not 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(bad, message):
    with pytest.raises(GraphError) as caught:
        verify(bad)
    assert message in str(caught.value)


def test_a_graph_cannot_be_changed():
    with pytest.raises(TypeError):
        graph(DENSE).constants["w"] = np.zeros(1)


def test_samples_are_independent_and_everything_can_be_kept():
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    values = run(graph(DENSE, RELU), {"x": x}, keep=True)
    assert values.keys() == {"x", "h", "y"}
    assert np.allclose(values["h"], x @ WEIGHTS["w"].T, atol=1e-6)
    assert np.array_equal(values["y"], np.maximum(values["h"], 0))
    assert run(graph(DENSE, RELU), {"x": x}).keys() == {"y"}


def test_a_batch_too_large_for_one_part_is_the_same_batch(monkeypatch):
    from tilewright.compiler.graph import interpreter

    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    whole = run(graph(DENSE, RELU), {"x": x}, keep=True)
    monkeypatch.setattr(interpreter, "_CHUNK_BYTES", 100)
    parts = run(graph(DENSE, RELU), {"x": x}, keep=True)
    for name, value in whole.items():
        assert np.allclose(parts[name], value, rtol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "the inputs must be 'x', not none"),
        ({"z": np.zeros((1, 3))}, "the inputs must be 'x', not 'z'"),
        ({"x": np.zeros((1, 3))}, "input 'x' must be float32, not float64"),
        ({"x": np.zeros((1, 4), np.float32)}, "input 'x' must have shape (samples, 3), not (1, 4)"),
        ({"x": np.zeros(3, np.float32)}, "input 'x' must have shape (samples, 3), not (3,)"),
        (
            {"x": np.zeros((0, 3), np.float32)},
            "must have the same number of samples, at least one, not {'x': 0}",
        ),
        ({"x": np.float32([[0] * 3, [0, 0, np.nan]])}, "must hold numbers, but sample 1 has a NaN"),
    ],
)
def test_wrong_inputs_are_refused_by_name(inputs, message):
    with pytest.raises(TilewrightError) as caught:
        run(graph(DENSE, RELU), inputs)
    assert message in str(caught.value)
