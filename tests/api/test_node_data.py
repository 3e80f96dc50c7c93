"""Node data goes by the user's nodes, adds up to the run, and has the form that Model Explorer reads."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import tilewright
from tilewright.api.layer_time import layer_times_of
from tilewright.api.node_data import KINDS, node_data
from tilewright.cli.option import NODE_DATA
from tilewright.isa.error import TilewrightError

RNG = np.random.default_rng(3)


def model():
    """Convolutions with a softmax between: one has its pooling apart, one no name."""
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, 4, 3, 3), "w3": (4, 8, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "block/first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"], "limit"),
        helper.make_node("Softmax", ["r"], ["s"], "middle", axis=1),
        helper.make_node("Conv", ["s", "w2"], ["g"], "pooled", pads=[1, 1, 1, 1], group=2),
        helper.make_node("MaxPool", ["g"], ["m"], "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["m", "w3"], ["y"]),
    ]
    ports = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, 6, 5])]
        for name, channels in (("x", 3), ("y", 4))
    ]
    arrays = {name: RNG.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "net of nodes", *ports, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture(scope="module")
def ran():
    inputs = {"x": RNG.normal(0, 1, (4, 3, 6, 5)).astype(np.float32)}
    package = tilewright.compile(model(), config="tiny", calibration=inputs)
    return package, package.run(inputs)


def values(ran, kind):
    """The values by node; the rest of the form is looked at on the way."""
    graph = json.loads(json.dumps(node_data(*ran, kind)))
    assert graph.keys() <= {"results", "gradient"}
    assert [each["stop"] for each in graph.get("gradient", [])] in ([], [0, 1])
    assert all(each.keys() <= {"value", "bgColor"} for each in graph["results"].values())
    return {node: each["value"] for node, each in graph["results"].items()}


@pytest.mark.parametrize("kind", KINDS)
def test_figures_go_by_the_nodes_that_compute(ran, kind):
    assert values(ran, kind).keys() == {"block/first", "pooled", "y"}


def test_cycles_add_up_to_those_of_layers(ran):
    layers = layer_times_of(*ran)
    assert len(layers) > 3
    cycles = values(ran, "cycles")
    assert sum(cycles.values()) == sum(layer.profile.cycles for layer in layers)
    pooled = [layer for layer in layers if layer.profile.layer.name.startswith("pooled")]
    assert cycles["pooled"] == sum(layer.profile.cycles for layer in pooled)
    moved = values(ran, "moved_bytes")
    assert sum(moved.values()) == sum(layer.moved.total for layer in layers)


def test_utilization_is_that_of_all_layers_of_a_node(ran):
    layers = {layer.profile.layer.name: layer.profile for layer in layer_times_of(*ran)}
    found = values(ran, "utilization")
    assert found["block/first"] == pytest.approx(layers["block/first"].utilization)
    pooled = [profile for name, profile in layers.items() if name.startswith("pooled") and profile.layer.macs]
    cycles = sum(profile.layer.macs / profile.utilization for profile in pooled)
    assert found["pooled"] == pytest.approx(sum(profile.layer.macs for profile in pooled) / cycles)


def test_what_bounds_a_node_is_that_of_its_longest_layer(ran):
    layers = [each for each in layer_times_of(*ran) if each.profile.layer.name.startswith("pooled")]
    longest = max(layers, key=lambda layer: layer.profile.cycles)
    assert values(ran, "bound")["pooled"] == longest.bound


def test_another_kind_is_refused(ran):
    with pytest.raises(TilewrightError, match=r"node data must be one of cycles, utilization, .* not 'heat'"):
        node_data(*ran, "heat")


def test_the_command_knows_the_kinds():
    assert tuple(KINDS) == NODE_DATA
