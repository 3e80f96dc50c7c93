"""A rehearsal says what the simulator will, and what each way to hide loads is worth."""

from dataclasses import replace

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.dequantise import Dequantise
from tilewright.compiler.ops.qconv2d import QConv2d
from tilewright.compiler.ops.quantise import Quantise
from tilewright.compiler.targets.accel.compile import compile_graph
from tilewright.compiler.targets.accel.cut import Convolution, Cut, Versions
from tilewright.compiler.targets.accel.estimate import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.rehearsal import instructions_of, rehearsed_cycles
from tilewright.compiler.targets.accel.tiling import choose
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale
from tilewright.runtime.device import Host
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.sim_device import SimDevice

REFERENCE = PRESETS["reference"]
SIZE = 14
CASES = {
    "pointwise": (64, 128, 1, 1),
    "strided": (128, 64, 1, 2),
    "window": (32, 48, 3, 1),
}


def convolution(inputs, outputs, kernel, stride):
    cols = REFERENCE.cols
    return Convolution(
        out_blocks=outputs // cols,
        out_height=SIZE // stride,
        out_width=SIZE // stride,
        in_blocks=inputs // cols,
        kernel=(kernel, kernel),
        strides=(stride, stride),
        picks_rows=kernel < stride,
    )


def simulated_cycles(inputs, outputs, kernel, stride):
    pad = kernel // 2
    operator = QConv2d((stride, stride), (pad,) * 4, (1, 1), 1, 0, 0, -128, 127)
    graph = Graph(
        name="layer",
        inputs=(("x", TensorType((1, inputs, SIZE, SIZE), DType.FLOAT32)),),
        nodes=(
            Node("quantise", Quantise(0.1, 0), ("x",), "q"),
            Node("layer", operator, ("q", "weight", "bias", "scale"), "r"),
            Node("dequantise", Dequantise(0.1, 0), ("r",), "y"),
        ),
        outputs=("y",),
        constants={
            "weight": np.ones((outputs, inputs, kernel, kernel), np.int8),
            "bias": np.zeros(outputs, np.int32),
            "scale": pack_scale(np.full(outputs, 24000), np.full(outputs, 5)),
        },
    )
    host = Host(latency=ASSUMED_LATENCY_CYCLES)
    runner = ModelRunner(compile_graph(graph, REFERENCE), SimDevice(REFERENCE), host)
    return runner.run({"x": np.zeros((1, inputs, SIZE, SIZE), np.float32)}).cycles


@pytest.mark.parametrize("case", CASES)
def test_a_rehearsal_takes_as_long_as_the_machine(case):
    expected = simulated_cycles(*CASES[case])
    assert choose(convolution(*CASES[case]), REFERENCE).cycles == pytest.approx(expected, rel=0.03)


def test_versions_and_threads_hide_loads():
    sizes = convolution(128, 256, 1, 2)
    cut = Cut(
        convolution=sizes,
        config=REFERENCE,
        group_blocks=16,
        height=7,
        width=7,
        taps=(1, 1),
        chunk_blocks=2,
    )
    plenty = Versions(inputs=8, weights=64, sums=18, results=18, residuals=1, parameters=16)
    turns, one_by_one = (rehearsed_cycles(cut, plenty, threads) for threads in (16, 1))
    assert turns < one_by_one
    for buffer in ("inputs", "weights"):
        assert rehearsed_cycles(cut, replace(plenty, **{buffer: 1}), 1) > one_by_one
    assert instructions_of(cut) == 16 * 4
