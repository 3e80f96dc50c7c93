"""Networks compiled for machines answer to the byte what they mean."""

from dataclasses import replace

import numpy as np
import pytest
from tests.compiler.random_network import random_input
from tests.e2e.fuzz import check_network, fuzz, integer_network
from tests.layers import Node, network

from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.isa.config import PRESETS
from tilewright.isa.sliding import WINDOW_TAPS
from tilewright.numerics.requantise import pack_scale
from tilewright.runtime.device import Environment
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.rtl_device import RtlDevice
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.sim_device import SimDevice

NETWORKS = 120
PARTS = 4
ON_GATES = 6
TINY = PRESETS["tiny"]
SLIDING = replace(TINY, vector_taps=WINDOW_TAPS)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_random_networks_answer_what_they_mean(part: int) -> None:
    tally = fuzz(seed=100 + part, networks=NETWORKS // PARTS)
    assert tally.equal >= 0.9 * NETWORKS / PARTS, tally


@pytest.mark.slow
@pytest.mark.skipif(find_toolchain() is None, reason="needs Verilator and a C++ compiler")
@pytest.mark.parametrize("latency", [1, 16, 100])
def test_simulator_and_gates_agree_on_random_networks(latency: int) -> None:
    """Bytes and cycles."""
    agree, number, gates = 0, 0, RtlDevice(TINY)
    while agree < ON_GATES:
        rng = np.random.default_rng((7, latency, number))
        number += 1
        drawn = integer_network(rng)
        if drawn is None:
            continue
        graph, inputs = drawn
        model = check_network(graph, inputs, TINY)
        environment = Environment(latency=latency)
        one = {name: array[:1] for name, array in inputs.items()}
        on_sim, on_gates = (
            ModelRunner(model, device, environment).run(one) for device in (SimDevice(TINY), gates)
        )
        assert on_sim.cycles == on_gates.cycles
        for name, answer in on_sim.outputs.items():
            np.testing.assert_array_equal(answer, on_gates.outputs[name])
        agree += 1


@pytest.mark.slow
@pytest.mark.skipif(find_toolchain() is None, reason="needs Verilator and a C++ compiler")
def test_gates_with_a_sliding_window_give_the_same_bytes_in_fewer_cycles() -> None:
    """Depthwise layers of all kinds of windows, on gates and simulator."""
    gates = RtlDevice(SLIDING)
    for kernel, stride in ((3, 1), (3, 2), (5, 1), (5, 2), (7, 1)):
        graph = _depthwise(kernel, stride)
        inputs = random_input(np.random.default_rng(kernel), graph, 1)
        model, plain = check_network(graph, inputs, SLIDING), check_network(graph, inputs, TINY)
        on_gates = ModelRunner(model, gates).run(inputs)
        assert on_gates.cycles == ModelRunner(model, SimDevice(SLIDING)).run(inputs).cycles
        assert on_gates.cycles < ModelRunner(plain, SimDevice(TINY)).run(inputs).cycles
        np.testing.assert_array_equal(on_gates.outputs["y"], graph.run(inputs)["y"])


def test_a_pooling_of_single_sums_is_none() -> None:
    """Found by random networks: a window of 1 × 1 was a stage for the schedule and none for the loops."""
    graph = _convolution(pool=Window((1, 1)))
    check_network(graph, random_input(np.random.default_rng(1), graph, 2), TINY)


def test_a_padded_pooling_becomes_an_operator_of_its_own() -> None:
    graph = _convolution(pool=Window((3, 3), (2, 2), (1, 1, 1, 1)))
    check_network(graph, random_input(np.random.default_rng(2), graph, 2), TINY)


def test_an_input_that_is_an_output_passes_the_chip() -> None:
    """Found by random networks that consist of identities."""
    graph = network(
        inputs={"x": (1, 5, 3, 4)},
        nodes=(
            Node("quantise", Quantise(0.1, 3), ("x",), "q"),
            Node("dequantise", Dequantise(0.1, 3), ("q",), "y"),
        ),
        outputs=("y",),
    )
    check_network(graph, random_input(np.random.default_rng(3), graph, 2), TINY)


def _convolution(pool: Window) -> NamedFunction:
    rng = np.random.default_rng(4)
    weight = rng.integers(-127, 128, (6, 5, 3, 3), np.int8)
    operator = QConv2d((1, 1), (1, 1, 1, 1), (1, 1), 1, -4, 2, -128, 127, pool=pool)
    return _layer(operator, weight, (1, 5, 7, 6))


def _depthwise(kernel: int, stride: int) -> NamedFunction:
    rng = np.random.default_rng(kernel)
    weight = rng.integers(-128, 128, (6, 1, kernel, kernel), np.int8)
    pads = (kernel // 2,) * 4
    operator = QConv2d((stride, stride), pads, (1, 1), 6, -4, 2, -128, 127)
    return _layer(operator, weight, (1, 6, 13, 14))


def _layer(operator: QConv2d, weight: np.ndarray, shape: tuple[int, ...]) -> NamedFunction:
    """A convolution of 6 channels between floats."""
    scale = pack_scale(np.full(6, 80000), np.full(6, 6))
    return network(
        inputs={"x": shape},
        nodes=(
            Node("quantise", Quantise(0.1, -4), ("x",), "q"),
            Node("layer", operator, ("q", "weight", "bias", "scale"), "r"),
            Node("dequantise", Dequantise(0.1, 2), ("r",), "y"),
        ),
        outputs=("y",),
        constants={"weight": weight, "bias": np.zeros(6, np.int32), "scale": scale},
    )
