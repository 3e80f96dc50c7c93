import math

import numpy as np
import pytest
from hypothesis import given, settings
from tests.compiler.random_network import networks, random_input

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.constant_file import load_constants, save_constants
from tilewright.compiler.graph.error import GraphError
from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.graph.interpreter import run
from tilewright.compiler.graph.parser import parse_graph
from tilewright.compiler.graph.printer import print_graph
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.clip import Clip
from tilewright.compiler.ops.max_pool2d import MaxPool2d
from tilewright.compiler.ops.window import Window
from tilewright.compiler.quantise.quantise import quantise

X = TensorType((1, 2, 4, 4), DType.FLOAT32)
TEXT = """graph "a \\"b\\""
input %x: float32[1, 2, 4, 4]
%"a," = clip(%x) {lo=-inf, hi=6.5}: float32[1, 2, 4, 4] as "clip it"
%y = max_pool2d(%"a,") {window=Window(kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0))}: float32[1, 2, 2, 2]
output %y
"""


@given(networks())
@settings(max_examples=30, deadline=None)
def test_every_graph_reads_back_as_it_was_printed(graph):
    inputs = random_input(np.random.default_rng(0), graph, 2)
    for each in (graph, quantise(graph, inputs)):
        text = print_graph(each)
        again = parse_graph(text, load_constants(save_constants(each.constants)))
        assert print_graph(again) == text
        assert again.nodes == each.nodes
        for name, value in run(each, inputs).items():
            assert np.array_equal(run(again, inputs)[name], value)


def test_a_graph_prints_as_documented():
    clip = Node("clip it", Clip(-math.inf, 6.5), ("x",), "a,")
    pool = Node("y", MaxPool2d(Window((2, 2), (2, 2))), ("a,",), "y")
    graph = Graph('a "b"', (("x", X),), (clip, pool), ("y",))
    assert print_graph(graph) == TEXT
    assert parse_graph("# comment\n\n" + TEXT, {}).nodes == graph.nodes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clip(", "clop(", "line 3: operator must be one of add, "),
        ("lo=-inf", "low=1.0", "line 3: attributes of clip must be those of its class"),
        ("lo=-inf", "lo=print()", "line 3: an attribute must be a number, a tuple or a window, not print()"),
        ("lo=-inf", "lo=9.0", "line 3: lo must be at most hi, not 9.0 > 6.5"),
        ("2, 2]\n", "2, 3]\n", "'y' must be float32[1, 2, 2, 2], not float32[1, 2, 2, 3] as the text says"),
        ("output %y", "output %z", "output 'z' must be an input or the result of a node"),
        ("output %y", "yield %y", "line 5: must be a graph, input, constant, node or output, not 'yield %y'"),
        ("pool2d(%", "pool2d(%w, %", "node 'y' (max_pool2d) must read inputs, constants or results"),
        ("float32[1, 2, 4, 4]\n", "float31[1, 2, 4, 4]\n", "line 2: 'float31' is not a valid DType"),
        ("output", "constant %w: int8[3]\noutput", "the constants must hold 'w', which the text names"),
    ],
)
def test_text_that_is_wrong_is_refused_with_its_line(old, new, message):
    assert old in TEXT
    with pytest.raises(GraphError) as caught:
        parse_graph(TEXT.replace(old, new, 1), {})
    assert message in str(caught.value)


def test_constants_survive_as_bytes_whatever_their_names():
    constants = {
        "/a/../b": np.arange(6, dtype=np.int8).reshape(2, 3).T,
        "": np.float32(3.5).reshape(()),
        "ü": np.zeros((0, 2), np.int32),
    }
    data = save_constants(constants)
    assert save_constants(constants) == data
    again = load_constants(data)
    assert list(again) == list(constants)
    for name, value in constants.items():
        assert again[name].dtype == value.dtype
        assert np.array_equal(again[name], value)


@pytest.mark.parametrize("data", [b"", b"nonsense", save_constants({"a": np.zeros(3)})[:-30]])
def test_other_bytes_are_no_constants(data):
    with pytest.raises(GraphError, match="the constants must be a zip of arrays and their names"):
        load_constants(data)


def test_pickled_arrays_are_refused():
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        save_constants({"a": np.array([object()])})
