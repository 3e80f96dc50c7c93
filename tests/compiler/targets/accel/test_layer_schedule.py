"""Schedules of layers as text: printed, read back, replayed, changed, refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
from tests.layers import Node, network

from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.schedule import BufferDepth, ScheduleError, Split, VirtualThread
from tilewright.compiler.targets.accel.allocation import AllocationError
from tilewright.compiler.targets.accel.compile import LayerError, Variants, compile_function
from tilewright.compiler.targets.accel.layer_schedule import (
    LayerPart,
    default_schedules,
    parse_schedules,
    print_schedules,
)
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.sim_device import SimDevice

TINY = PRESETS["tiny"]
CONVOLUTION = LayerPart('/conv "1" # a')
"""Names may hold anything."""


def layers():
    """A convolution, and an average pooling that runs in parts."""
    rng = np.random.default_rng(3)
    convolution = QConv2d((1, 1), (1, 1, 1, 1), (1, 1), 1, -4, -4, -128, 127)
    scales = tuple((count, int(pack_scale(128000, 2))) for count in (4, 6, 9))
    pooling = QAveragePool2d(Window((3, 3), (2, 2), (1, 1, 1, 1)), -4, 36, scales, 2, -128, 127)
    return network(
        inputs={"x": (1, 12, 9, 8)},
        nodes=(
            Node("quantise", Quantise(0.1, -4), ("x",), "q"),
            Node(CONVOLUTION.layer, convolution, ("q", "weight", "bias", "scale"), "r"),
            Node("pool", pooling, ("r",), "p"),
            Node("dequantise", Dequantise(0.1, 2), ("p",), "y"),
        ),
        outputs=("y",),
        constants={
            "weight": rng.integers(-60, 60, (10, 12, 3, 3)).astype(np.int8),
            "bias": np.arange(10, dtype=np.int32),
            "scale": pack_scale(np.full(10, 96000), np.full(10, 6)),
        },
    )


@pytest.fixture(scope="module")
def graph():
    return layers()


@pytest.fixture(scope="module")
def defaults(graph):
    return default_schedules(graph, TINY)


def answer(graph, schedules=None):
    """What the simulator says, and in how many cycles."""
    model = compile_function(graph, TINY, schedules=schedules)
    x = np.random.default_rng(5).normal(0, 4, (1, 12, 9, 8)).astype(np.float32)
    result = ModelRunner(model, SimDevice(TINY)).run({"x": x})
    assert np.array_equal(result.outputs["y"], graph.run({"x": x})["y"])
    return result.cycles


def changed(schedule, kind, name, **fields):
    """A schedule whose primitive of that kind and loop or buffer has other fields."""
    found = [
        p
        for p in schedule
        if isinstance(p, kind) and name in (getattr(p, "loop", ""), getattr(p, "buffer", ""))
    ]
    assert len(found) == 1
    return tuple(replace(p, **fields) if p is found[0] else p for p in schedule)


def test_the_text_reads_back(defaults):
    assert parse_schedules(print_schedules(defaults)) == defaults
    assert len([part for part in defaults if part.layer == "pool"]) > 1


def test_a_printed_default_makes_the_identical_program(graph, defaults):
    replayed = compile_function(graph, TINY, schedules=parse_schedules(print_schedules(defaults)))
    assert replayed.to_executable().to_bytes() == compile_function(graph, TINY).to_executable().to_bytes()


def test_another_tile_size_changes_the_cycles_and_no_byte(graph, defaults):
    schedule = changed(defaults[CONVOLUTION], Split, "tile_y", factor=2)
    assert answer(graph, {CONVOLUTION: schedule}) != answer(graph)


def test_depth_one_of_everything_computes_the_same(graph, defaults):
    bare = tuple(
        replace(p, depth=1) if isinstance(p, BufferDepth) else p
        for p in defaults[CONVOLUTION]
        if not isinstance(p, VirtualThread)
    )
    assert answer(graph, {CONVOLUTION: bare}) > answer(graph)


def test_a_layer_that_is_none_is_refused(graph, defaults):
    with pytest.raises(LayerError, match=r"must be of the layers .*'pool', not of layer \"conv9\""):
        compile_function(graph, TINY, schedules={LayerPart("conv9"): defaults[CONVOLUTION]})
    with pytest.raises(LayerError, match='not of layer "pool" part 99'):
        compile_function(graph, TINY, schedules={LayerPart("pool", 99): ()})


@pytest.mark.parametrize(
    ("kind", "name", "fields", "reason"),
    [
        (Split, "tile_y", {"loop": "tile_w"}, "there is no loop tile_w"),
        (Split, "tile_y", {"factor": 0}, "the factor must be at least 1, not 0"),
        (BufferDepth, "sums", {"buffer": "totals"}, "there is no buffer totals"),
    ],
)
def test_a_primitive_that_cannot_be_applied_is_refused_with_its_layer(
    graph, defaults, kind, name, fields, reason
):
    schedule = changed(defaults[CONVOLUTION], kind, name, **fields)
    with pytest.raises(LayerError) as refusal:
        compile_function(graph, TINY, schedules={CONVOLUTION: schedule})
    assert str(refusal.value).startswith(f"{CONVOLUTION}: ")
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_schedule_that_no_instruction_can_follow_is_refused_with_its_layer(graph):
    with pytest.raises(LayerError, match=re.escape(f"{CONVOLUTION}: block ")):
        compile_function(graph, TINY, schedules={CONVOLUTION: ()})


def test_what_does_not_fit_the_chip_is_refused_with_its_layer(graph, defaults):
    schedule = changed(defaults[CONVOLUTION], BufferDepth, "sums", depth=999)
    schedule = changed(schedule, Split, "tile_y", factor=1)
    with pytest.raises(
        AllocationError, match=r"layer '/conv .*sums 27 x 8: use smaller tiles or smaller depths"
    ):
        compile_function(graph, TINY, schedules={CONVOLUTION: schedule})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("split loop=a", r"line 1 must begin a section: layer \"NAME\""),
        ('# a\n\nlayer "a"\nsplit loop=b', "line 4: split must have loop, factor, outer, inner"),
        ('layer "a"\n  turn loop=b', "line 2: the verb must be one of"),
        ('layer "a"\nlayer "a" part 1\nlayer "a"', 'line 3: layer "a" must have one section'),
    ],
)
def test_text_that_says_nothing_is_refused_with_its_line(text, reason):
    with pytest.raises(ScheduleError, match=reason):
        parse_schedules(text)


# --- points ------------------------------------------------------------------------------------------------


def test_layers_have_the_points_that_are_named(graph):
    variants = Variants(graph, TINY)
    lowered = variants.lowered[LayerPart(CONVOLUTION.layer)]
    space = lowered.tunable.tilings().space
    (point, *_) = (each for each in space.points(space.neighbours(space.positions_of([lowered.default])[0])))
    points = {LayerPart(CONVOLUTION.layer): point}
    schedules = default_schedules(graph, TINY, points)
    assert schedules != default_schedules(graph, TINY)
    by_schedules = compile_function(graph, TINY, schedules=schedules).executable.code
    assert compile_function(graph, TINY, points=points).executable.code == by_schedules
    # Variants share what they have in common, and are none the worse for it.
    assert variants.variant().model().executable.code == compile_function(graph, TINY).executable.code
    assert variants.variant(points).model().executable.code == by_schedules
    with pytest.raises(LayerError, match="must be of the layers"):
        variants.variant({LayerPart("nobody"): point})


def test_an_excerpt_has_some_of_the_layers(graph):
    variants = Variants(graph, TINY)
    whole, own = variants.variant(), variants.variant(among={LayerPart(CONVOLUTION.layer)})
    assert [span.name for span in own.program.layers] == [CONVOLUTION.layer]
    assert own.program.layers[0].count == whole.program.layers[0].count
