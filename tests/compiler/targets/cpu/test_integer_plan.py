"""What lies between layers of integers: quantisation and views in the kernels around them."""

from itertools import product

import numpy as np
import pytest
from tests import layers

from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.targets.cpu.integer_plan import regrouped
from tilewright.compiler.targets.cpu.network import HostNetwork
from tilewright.compiler.tir.expr import Const
from tilewright.compiler.tir.simplify import simplify


@pytest.mark.parametrize(
    ("shape", "source"),
    [((6, 4), (24,)), ((24,), (2, 3, 4)), ((2, 1, 12), (4, 6)), ((1, 4, 6, 1), (1, 24, 1)), ((1,), ())],
)
def test_indices_of_another_shape_are_those_of_the_same_element(shape, source):
    elements = np.arange(np.prod(shape)).reshape(shape)
    same = elements.reshape(source)
    for at in product(*map(range, shape)):
        found = regrouped(tuple(map(Const, at)), shape, source)
        assert same[tuple(simplify(index).value for index in found)] == elements[at]


def network(shape, nodes, result="y"):
    """Floats, quantised and looked up in a table between views, with a table that tells elements apart."""
    return layers.network(
        inputs={"x": shape},
        nodes=nodes,
        outputs=(result,),
        constants={"table": np.roll(np.arange(-128, 128, dtype=np.int8), 77)},
    )


def node(name, operator, source, result):
    return layers.Node(
        name, operator, (source, "table") if isinstance(operator, QLookup) else (source,), result
    )


VIEWS = (
    node("turned", Transpose((0, 2, 1)), "x", "a"),
    node("split", Reshape((layers.BATCH, 6, 2, 5)), "a", "b"),
    node("q", Quantise(0.05, 3), "b", "c"),
    node("table", QLookup(), "c", "d"),
    node("heads", Reshape((layers.BATCH, 3, 4, 5)), "d", "e"),
    node("swapped", Transpose((0, 2, 3, 1)), "e", "f"),
    node("again", QLookup(), "f", "g"),
    node("flat", Reshape((layers.BATCH, 60)), "g", "h"),
    node("floats", Dequantise(0.1, -7), "h", "y"),
)


@pytest.mark.parametrize("samples", [1, 3])
def test_views_between_layers_have_the_bytes_of_their_meaning(samples):
    graph = network((1, 5, 12), VIEWS)
    x = np.random.default_rng(3).normal(0, 4, (samples, 5, 12)).astype(np.float32)
    x[0, 0, :4] = np.inf, -np.inf, 0.125, 0.175
    expected = graph.run({"x": x})["y"]
    for parallel in (False, True):
        np.testing.assert_array_equal(HostNetwork(graph, parallel=parallel).run({"x": x})["y"], expected)


def test_each_value_is_shown_as_the_function_has_it():
    graph = network((1, 5, 12), VIEWS)
    x = np.random.default_rng(4).normal(0, 4, (2, 5, 12)).astype(np.float32)
    shown = {}
    HostNetwork(graph).run({"x": x}, lambda value, array: shown.update({value.name: array}))
    equations = [each for each in graph.function.equations if each.result.name in shown]
    assert len(equations) == len(VIEWS)
    for each in equations:
        one = NamedFunction(_until(graph.function, each.result), graph.inputs, ("y",))
        np.testing.assert_array_equal(shown[each.result.name], one.run({"x": x})["y"])


def _until(function, value):
    return type(function)(function.name, function.parameters, function.equations, (value,))


def viewed(shape, view):
    """A layer, a view of its result, and another layer."""
    nodes = (
        node("q", Quantise(0.05, 3), "x", "c"),
        node("table", QLookup(), "c", "d"),
        node("view", Reshape((layers.BATCH, *view)), "d", "e"),
        node("again", QLookup(), "e", "f"),
        node("floats", Dequantise(0.1, -7), "f", "y"),
    )
    return network((1, *shape), nodes)


@pytest.mark.parametrize(
    ("shape", "view", "steps"), [((7, 1, 4), (7, 4, 1), 4), ((7, 4), (1, 7, 4), 5), ((7, 4), (4, 7), 5)]
)
def test_a_value_is_copied_unless_it_lies_as_the_layer_has_it(shape, view, steps):
    graph = viewed(shape, view)
    x = np.random.default_rng(5).normal(0, 4, (2, *shape)).astype(np.float32)
    host = HostNetwork(graph)
    np.testing.assert_array_equal(host.run({"x": x})["y"], graph.run({"x": x})["y"])
    # Quantised, two tables, floats; and the copy.
    assert len(host._plan.steps) == steps
