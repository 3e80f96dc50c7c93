"""The event model says what the simulator will, and what each way to hide loads is worth."""

from dataclasses import replace

import numpy as np
import pytest
from tests.layers import Node, network

from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.compiler.targets.accel.cost.burst import Rows, read_cycles
from tilewright.compiler.targets.accel.cost.event_model import cycles_within, instructions_of, modelled_cycles
from tilewright.compiler.targets.accel.cost.loop_order import order
from tilewright.compiler.targets.accel.cost.problem import (
    ASSUMED_LATENCY_CYCLES,
    ORDERS,
    BlockedConvolution,
    BufferDepths,
    TileSizes,
    Tiling,
)
from tilewright.compiler.targets.accel.layer_schedule import LayerPart
from tilewright.compiler.targets.accel.operator.schedule import convolution_schedule
from tilewright.compiler.targets.accel.tiling import choose
from tilewright.isa.config import PRESETS
from tilewright.isa.instruction import Matrix
from tilewright.numerics.requantise import pack_scale
from tilewright.runtime.device import Environment
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
    return BlockedConvolution(
        out_blocks=outputs // cols,
        out_height=SIZE // stride,
        out_width=SIZE // stride,
        in_blocks=inputs // cols,
        kernel=(kernel, kernel),
        strides=(stride, stride),
        picks_rows=kernel < stride,
    )


def layer(inputs, outputs, kernel, stride):
    pad = kernel // 2
    operator = QConv2d((stride, stride), (pad,) * 4, (1, 1), 1, 0, 0, -128, 127)
    return network(
        inputs={"x": (1, inputs, SIZE, SIZE)},
        nodes=(
            Node("quantise", Quantise(0.1, 0), ("x",), "q"),
            Node("layer", operator, ("q", "weight", "bias", "scale"), "r"),
            Node("dequantise", Dequantise(0.1, 0), ("r",), "y"),
        ),
        outputs=("y",),
        constants={
            "weight": np.ones((outputs, inputs, kernel, kernel), np.int8),
            "bias": np.zeros(outputs, np.int32),
            "scale": pack_scale(np.full(outputs, 96000), np.full(outputs, 4)),
        },
    )


def simulated_cycles(inputs, *sizes, schedules=None):
    environment = Environment(latency=ASSUMED_LATENCY_CYCLES)
    model = compile_function(layer(inputs, *sizes), REFERENCE, schedules=schedules)
    runner = ModelRunner(model, SimDevice(REFERENCE), environment)
    return runner.run({"x": np.zeros((1, inputs, SIZE, SIZE), np.float32)}).cycles


@pytest.mark.parametrize("case", CASES)
def test_the_event_model_takes_as_long_as_the_machine(case):
    expected = simulated_cycles(*CASES[case])
    assert choose(convolution(*CASES[case]), REFERENCE).cycles == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("shallow", [{"weights": 1}, {"weights": 2}, {"inputs": 1}, {"accumulators": 1}])
def test_buffers_of_little_depth_take_as_long_as_on_the_machine(shallow):
    tiling = choose(convolution(*CASES["pointwise"]), REFERENCE)
    tiling = replace(tiling, depths=replace(tiling.depths, **shallow), threads=1)
    schedule = convolution_schedule(tiling, pooled=False, residual=False)
    expected = simulated_cycles(*CASES["pointwise"], schedules={LayerPart("layer"): schedule})
    found = modelled_cycles(tiling)
    assert found == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    "first",
    [
        {},
        {"first_height": 4},
        {"first_height": 8, "first_reduction_blocks": 1},
        {"first_reduction_blocks": 4},
    ],
    ids=str,
)
@pytest.mark.parametrize("loops", ORDERS, ids=" ".join)
def test_the_event_model_goes_the_way_of_the_schedule(first, loops):
    # Outer tiles, tiles and reduction tiles of two sizes each: none of the loops can be mistaken for another.
    tile_sizes = TileSizes(
        convolution=convolution(64, 112, 1, 1),
        config=REFERENCE,
        outer_blocks=4,
        height=6,
        width=8,
        taps=(1, 1),
        reduction_blocks=3,
        **first,
    )
    depths = BufferDepths(inputs=4, weights=16, accumulators=4, results=4, residuals=1, parameters=4)
    tiling = Tiling(tile_sizes=tile_sizes, depths=depths, threads=3, order=loops)
    schedule = convolution_schedule(tiling, pooled=False, residual=False)
    model = compile_function(layer(64, 112, 1, 1), REFERENCE, schedules={LayerPart("layer"): schedule})
    found = [work for work in model.executable.program() if isinstance(work, Matrix)]
    expected = list(order(tiling))
    assert [work.n_y * work.n_x for work in found] == [tile.height * tile.width for tile, _, _ in expected]
    assert [work.n_ci for work in found] == [reduction_tile.blocks for _, reduction_tile, _ in expected]
    assert len(found) == instructions_of(tile_sizes)


def test_depths_and_threads_hide_loads():
    tile_sizes = TileSizes(
        convolution=convolution(128, 256, 1, 2),
        config=REFERENCE,
        outer_blocks=16,
        height=7,
        width=7,
        taps=(1, 1),
        reduction_blocks=2,
    )
    plenty = BufferDepths(inputs=8, weights=64, accumulators=18, results=18, residuals=1, parameters=16)

    def cycles(threads, **depths):
        return modelled_cycles(
            Tiling(tile_sizes=tile_sizes, depths=replace(plenty, **depths), threads=threads)
        )

    assert cycles(16) < cycles(1)
    assert cycles(1, inputs=1) > cycles(1)
    # With depth one, weights are loaded, waited for and used one after the other.
    weights = read_cycles(
        REFERENCE,
        Rows(
            count=tile_sizes.taps[0] * tile_sizes.taps[1],
            row_bytes=tile_sizes.weight_vectors * REFERENCE.cols,
            origin_bytes=REFERENCE.burst_bytes,
        ),
        ASSUMED_LATENCY_CYCLES,
    )
    alone = weights + ASSUMED_LATENCY_CYCLES + tile_sizes.accumulator_vectors * tile_sizes.reduction_blocks
    assert cycles(1, weights=1) > instructions_of(tile_sizes) * alone


@pytest.mark.parametrize("case", CASES)
def test_a_limit_stops_only_what_exceeds_it(case):
    tiling = choose(convolution(*CASES[case]), REFERENCE)
    for share in (0.5, 0.9, 0.99, 0.9999, 1, 1.1):
        limit = int(tiling.cycles * share)
        found = cycles_within(tiling, limit)
        assert found == tiling.cycles or (found is None and limit < tiling.cycles)
    assert cycles_within(tiling, tiling.cycles // 2) is None
