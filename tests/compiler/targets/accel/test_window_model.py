"""The event model of windows says what the simulator will; the choice that it makes is near the best."""

from dataclasses import replace

import numpy as np
import pytest
from tests.layers import Node, network

from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qadd import QAdd
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.qpad2d import QPad2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.compiler.targets.accel.cost.window_bound import window_cycles
from tilewright.compiler.targets.accel.cost.window_model import modelled_window_cycles
from tilewright.compiler.targets.accel.cost.window_space import WindowSpace
from tilewright.compiler.targets.accel.layer_schedule import LayerPart
from tilewright.compiler.targets.accel.operator.schedule import addition_schedule, window_schedule
from tilewright.compiler.targets.accel.window_tiling import choose_windows
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale
from tilewright.runtime.device import Environment
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.sim_device import SimDevice

REFERENCE = PRESETS["reference"]
STARVED = replace(
    REFERENCE, activation_vectors=512, weight_vectors=2048, accumulator_vectors=256, parameter_vectors=128
)
SLIDING = replace(REFERENCE, vector_taps=3)
MACHINES = {
    "reference": REFERENCE,
    "starved": STARVED,
    "ecp5-85f": PRESETS["ecp5-85f"],
    "sliding": SLIDING,
    "starved and sliding": replace(STARVED, vector_taps=3),
}
SIZE = 28
CHANNELS = 128
SCALE = int(pack_scale(np.array(96000), np.array(4)))
PADDED = {"source": (SIZE, SIZE), "before": (1, 1)}
POOL = Window((3, 3), (2, 2), (1, 1, 1, 1))


def depthwise(stride):
    return QConv2d((stride, stride), (1,) * 4, (1, 1), CHANNELS, 0, 0, -128, 127)


OPERATORS = {
    "depthwise": (
        depthwise(1),
        1,
        {"kernel": (3, 3), "has_weights": True, "parameter_vectors": 11, **PADDED},
    ),
    "strided": (
        depthwise(2),
        1,
        {"kernel": (3, 3), "strides": (2, 2), "has_weights": True, "parameter_vectors": 11, **PADDED},
    ),
    "maximum": (QMaxPool2d(POOL), 1, {"kernel": (3, 3), "strides": (2, 2), **PADDED}),
    "border": (QPad2d((1, 1, 1, 1), fill=7), 1, {"source": (SIZE, SIZE), "before": (1, 1)}),
    "addition": (
        QAdd(64, 16384, 0, SCALE, 0, -128, 127),
        2,
        {"operands": 2, "keeps_accumulators": True, "parameter_vectors": 3},
    ),
}


def windows(case):
    _, _, sizes = OPERATORS[case]
    size = SIZE + 2 if case == "border" else SIZE // sizes.get("strides", (1, 1))[0]
    return Windows(blocks=CHANNELS // REFERENCE.cols, height=size, width=size, **sizes)


def window_tiling(sizes, config, height, width, first_height=None):
    return WindowSpace(windows=sizes, config=config).deepest(height, width, first_height)


def layer(case):
    operator, operands, _ = OPERATORS[case]
    names = [f"x{n}" for n in range(operands)]
    weights = {
        "weight": np.ones((CHANNELS, 1, 3, 3), np.int8),
        "bias": np.zeros(CHANNELS, np.int32),
        "scale": np.full(CHANNELS, SCALE, np.int32),
    }
    constants = weights if isinstance(operator, QConv2d) else {}
    quantised = [Node(f"quantise {name}", Quantise(0.1, 0), (name,), f"q{name}") for name in names]
    read = (*(f"q{name}" for name in names), *constants)
    return network(
        inputs=dict.fromkeys(names, (1, CHANNELS, SIZE, SIZE)),
        nodes=(
            *quantised,
            Node("layer", operator, read, "r"),
            Node("dequantise", Dequantise(0.1, 0), ("r",), "y"),
        ),
        outputs=("y",),
        constants=constants,
    )


def simulated_cycles(case, config, tiling, latency=ASSUMED_LATENCY_CYCLES):
    if case == "addition":
        schedule = addition_schedule(tiling)
    else:
        schedule = window_schedule(tiling, parameters=tiling.windows.parameter_vectors > 0)
    model = compile_function(layer(case), config, schedules={LayerPart("layer"): schedule})
    runner = ModelRunner(model, SimDevice(config), Environment(latency=latency))
    _, operands, _ = OPERATORS[case]
    return runner.run(
        {f"x{n}": np.zeros((1, CHANNELS, SIZE, SIZE), np.float32) for n in range(operands)}
    ).cycles


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("case", OPERATORS)
def test_the_event_model_takes_as_long_as_the_machine(case, machine):
    config = MACHINES[machine]
    tiling = choose_windows(windows(case), config)
    assert tiling.cycles == modelled_window_cycles(tiling)
    assert tiling.cycles == pytest.approx(simulated_cycles(case, config, tiling), rel=0.03)


@pytest.mark.parametrize("latency", [16, 100])
def test_the_latency_of_the_memory_is_counted(latency):
    tiling = choose_windows(windows("addition"), REFERENCE, latency)
    expected = simulated_cycles("addition", REFERENCE, tiling, latency)
    assert tiling.cycles == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    "shallow", [{"input_depth": 1}, {"result_depth": 1}, {"input_depth": 1, "result_depth": 1}], ids=str
)
@pytest.mark.parametrize("case", ["depthwise", "addition"])
def test_buffers_of_little_depth_take_as_long_as_on_the_machine(case, shallow):
    tiling = replace(window_tiling(windows(case), REFERENCE, 7, 28), **shallow)
    expected = simulated_cycles(case, REFERENCE, tiling)
    assert modelled_window_cycles(tiling) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("first", [2, 7, 11])
def test_a_first_row_of_tiles_may_have_another_height(first):
    tiling = window_tiling(windows("addition"), REFERENCE, 5, 28, first_height=first)
    assert sum(tiling.heights) == SIZE
    assert tiling.heights[0] == first
    expected = simulated_cycles("addition", REFERENCE, tiling)
    assert modelled_window_cycles(tiling) == pytest.approx(expected, rel=0.03)


def test_a_buffer_of_results_alone_is_waited_for():
    deep = window_tiling(windows("depthwise"), REFERENCE, 7, 28)
    shallow = replace(deep, result_depth=1)
    assert window_cycles(shallow) > window_cycles(deep)
    assert modelled_window_cycles(shallow) > modelled_window_cycles(deep)


def test_many_blocks_are_as_long_as_if_each_were_modelled():
    few, many = (replace(windows("depthwise"), blocks=count) for count in (6, 40))
    # The same tiling, so that only the number of blocks differs.
    short, long = (window_tiling(each, REFERENCE, 7, 28) for each in (few, many))
    per_block = (modelled_window_cycles(long) - modelled_window_cycles(short)) / 34
    work = 28 * 28 * 9 + 4 * 11
    assert per_block == pytest.approx(work, rel=1e-3)
