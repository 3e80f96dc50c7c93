"""Rows that are short beside a slow memory's latency take as long as their bursts: models know it."""

from functools import cache

import numpy as np
import pytest
from tests.compiler.targets.accel.test_window_model import STARVED
from tests.layers import Node, network

from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.compile import Variants
from tilewright.compiler.targets.accel.cost.burst import Rows, write_cycles
from tilewright.compiler.targets.accel.cost.problem import assumed_latency
from tilewright.isa.config import PRESETS
from tilewright.isa.model import CONSTANTS, INPUTS
from tilewright.numerics.requantise import pack_scale
from tilewright.runtime.device import Environment
from tilewright.runtime.sim_device import SimDevice

REFERENCE = PRESETS["reference"]
BURST = REFERENCE.burst_bytes
SLOW = 100


@pytest.mark.parametrize(
    ("row_bytes", "origin_bytes"),
    [(160, 16), (160, 64), (128, 128), (112, 16), (448, 64), (256, 256), (16, 16)],
)
def test_a_slow_memory_takes_the_mean_number_of_bursts(row_bytes, origin_bytes):
    starts = range(0, BURST, origin_bytes)
    bursts = sum(-(-(start + row_bytes) // BURST) for start in starts)
    rows = Rows(count=len(starts), row_bytes=row_bytes, origin_bytes=origin_bytes)
    more = write_cycles(REFERENCE, rows, 10_000 + 8) - write_cycles(REFERENCE, rows, 10_000)
    assert more * REFERENCE.outstanding_writes == pytest.approx(8 * bursts, abs=8)


def test_in_a_fast_memory_beats_alone_count():
    rows = Rows(count=7, row_bytes=160, origin_bytes=16)
    assert write_cycles(REFERENCE, rows, 1) == 7 * 160 // REFERENCE.bus_bytes


# --- a layer whose rows are short --------------------------------------------------------------------------


@cache
def pointwise(latency_cycles: int) -> Variants:
    inputs, outputs, size = 144, 32, 28
    named = network(
        inputs={"x": (1, inputs, size, size)},
        nodes=(
            Node("quantise", Quantise(0.1, 0), ("x",), "q"),
            Node("layer", QConv2d((1, 1), (0,) * 4, (1, 1), 1, 0, 0, -128, 127), ("q", "w", "b", "s"), "r"),
            Node("dequantise", Dequantise(0.1, 0), ("r",), "y"),
        ),
        outputs=("y",),
        constants={
            "w": np.ones((outputs, inputs, 1, 1), np.int8),
            "b": np.zeros(outputs, np.int32),
            "s": pack_scale(np.full(outputs, 96000), np.full(outputs, 4)),
        },
    )
    return Variants(named, STARVED, latency_cycles=assumed_latency(latency_cycles))


def simulated(variants: Variants, points=None) -> int:
    executable = variants.variant(points or {}).executable
    read = (INPUTS, CONSTANTS)
    given = {each.base: bytes(each.size_bytes) for each in executable.regions if each.base in read}
    return SimDevice(STARVED).time(executable, given, Environment(latency=SLOW)).cycles


@pytest.mark.parametrize("width", [7, 10, 14, 28])
def test_the_event_model_knows_what_narrow_tiles_take(width):
    variants = pointwise(SLOW)
    ((part, lowered),) = variants.lowered.items()
    height = {7: 14, 10: 9, 14: 8, 28: 4}[width]
    point = Point({**lowered.default, "height": height, "width": width, "first_height": 0})
    expected = simulated(variants, {part: point})
    assert lowered.tunable.tilings(SLOW).cycles(point) == pytest.approx(expected, rel=0.03)


def test_schedules_are_chosen_for_a_slow_memory():
    assert simulated(pointwise(SLOW)) < 0.92 * simulated(pointwise(16))
    assert assumed_latency(16) == assumed_latency(1) < assumed_latency(SLOW) == SLOW
