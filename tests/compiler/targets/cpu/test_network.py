"""Networks of integers as host code: the bytes of their meaning, and of the simulator."""

import numpy as np
import pytest
from tests import layers
from tests.compiler.random_network import random_input
from tests.e2e.fuzz import integer_network

from repository import ROOT
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.pipeline import compile_model, load_onnx, quantise
from tilewright.compiler.targets.cpu import network
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.host import kernel
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.network import HostNetwork
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.sim_device import SimDevice


def check(graph, inputs, machine=None):
    found = HostNetwork(graph, machine).run(inputs)
    expected = graph.run(inputs)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def random_networks(seed, count):
    number = 0
    while count:
        drawn = integer_network(np.random.default_rng((seed, number)))
        number += 1
        if drawn is not None:
            count -= 1
            yield drawn


def test_random_networks_have_the_bytes_of_their_meaning():
    for graph, inputs in random_networks(11, 3):
        check(graph, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_many_random_networks_have_the_bytes_of_their_meaning(part):
    for graph, inputs in random_networks(100 + part, 10):
        check(graph, inputs)


@pytest.mark.slow
def test_random_networks_on_a_plain_host():
    for graph, inputs in random_networks(12, 5):
        check(graph, inputs, HostMachine.host().without("amx", "avx"))


def lenet():
    with np.load(ROOT / "examples" / "digits" / "pictures.npz") as arrays:
        pictures = arrays["pictures"]
    x = ((pictures / 255 - 0.1307) / 0.3081).astype(np.float32)[:, None]
    return quantise(load_onnx(ROOT / "examples" / "digits" / "lenet.onnx"), {"x": x[-100:]}), x


def test_lenet_has_the_bytes_of_the_graph():
    graph, x = lenet()
    check(graph, {"x": x[:70]})


@pytest.mark.slow
def test_lenet_has_the_bytes_of_the_simulator():
    graph, x = lenet()
    config = PRESETS["tiny"]
    found = HostNetwork(graph).run({"x": x[:8]})
    result = ModelRunner(compile_model(graph, config), SimDevice(config)).run({"x": x[:8]})
    np.testing.assert_array_equal(found["y"], result.outputs["y"])


def layer(groups=1, pool=None, residual=False, size=(6, 5)):
    """A network of one layer, and of another one before it where it has a residual."""
    rng = np.random.default_rng(4)
    channels = 6 if groups == 1 and not residual else 5
    weight = rng.integers(-127, 128, (channels if groups == 1 else 5, 5 // groups, 3, 3), np.int8)
    outputs = len(weight)
    operator = QConv2d((1, 1), (1, 1, 1, 1), (1, 1), groups, -4, 2, -128, 127, residual=residual, pool=pool)
    constants = {"weight": weight, "bias": rng.integers(-999, 999, outputs, np.int32)}
    constants["scale"] = pack_scale(np.full(outputs, 80000), np.full(outputs, 6)).astype(np.int32)
    names = ["q", "weight", "bias", "scale"]
    if residual:
        constants["factor"] = rng.integers(-3000, 3000, outputs, np.int16)
        names += ["q", "factor"]
    return layers.network(
        inputs={"x": (1, 5, *size)},
        nodes=(
            layers.Node("quantise", Quantise(0.1, -4), ("x",), "q"),
            layers.Node("layer", operator, tuple(names), "r"),
            layers.Node("dequantise", Dequantise(0.1, 2), ("r",), "y"),
        ),
        outputs=("y",),
        constants=constants,
    )


@pytest.mark.parametrize(
    ("groups", "pool", "residual"),
    [
        (1, None, True),
        (1, Window((2, 2), (2, 2)), False),
        (1, Window((3, 2), (2, 1), (1, 0, 2, 1)), True),
        (5, None, True),
        (5, Window((3, 3), (2, 2), (1, 1, 1, 1)), False),
    ],
)
def test_what_one_layer_may_have_behind_it(groups, pool, residual):
    graph = layer(groups, pool, residual)
    check(graph, random_input(np.random.default_rng(1), graph, 3))


@pytest.mark.parametrize("residual", [False, True])
def test_large_maps_are_copied_some_rows_at_a_time(residual):
    graph = layer(5, None, residual, size=(231, 230))
    check(graph, random_input(np.random.default_rng(2), graph, 1))


def test_an_operator_without_a_compiled_form_is_named():
    node = layers.Node("relu", Clip(0.0, float("inf")), ("x",), "z")
    with pytest.raises(CpuError, match=r"compiled form on the CPU, and 'relu' \(clip\) has none"):
        HostNetwork(layers.network({"x": (1, 5)}, (node,), ("z",)))


def test_kernels_of_a_network_are_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    graph = layer()
    inputs = random_input(np.random.default_rng(1), graph, 1)
    check(graph, inputs)
    monkeypatch.setattr(kernel, "object_code", None)
    check(graph, inputs)


def test_samples_are_computed_in_parts(monkeypatch):
    monkeypatch.setattr(network, "CHUNK_SAMPLES", 2)
    graph = layer()
    check(graph, random_input(np.random.default_rng(1), graph, 5))
