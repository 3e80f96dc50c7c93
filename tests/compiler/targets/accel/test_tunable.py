"""Spaces of schedules: every point that fits is a program with the right answer, what does not is refused."""

from dataclasses import replace

import numpy as np
import pytest
from tests.compiler.targets.accel.test_event_model import convolution
from tests.compiler.targets.accel.test_event_model import layer as convolution_layer
from tests.compiler.targets.accel.test_window_model import OPERATORS, STARVED
from tests.compiler.targets.accel.test_window_model import layer as windows_layer

from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.compiler.targets.accel.cost.convolution_space import FEATURES, ConvolutionSpace
from tilewright.compiler.targets.accel.layer_schedule import LayerPart, legal_network, lowered_parts
from tilewright.compiler.targets.accel.tiling import choose
from tilewright.isa.config import PRESETS
from tilewright.runtime.device import Environment
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.sim_device import SimDevice

REFERENCE = PRESETS["reference"]
CONVOLUTIONS = {
    "pointwise": (64, 128, 1, 1),
    "strided": (128, 64, 1, 2),
    "window": (32, 48, 3, 1),
}
LAYERS = {
    **{name: convolution_layer(*sizes) for name, sizes in CONVOLUTIONS.items()},
    **{name: windows_layer(name) for name in OPERATORS},
}
MACHINES = {"reference": REFERENCE, "starved": STARVED, "tiny": PRESETS["tiny"]}
CASES = [(name, machine) for name in LAYERS for machine in MACHINES]


def lowered(name, config):
    network = legal_network(LAYERS[name], config)
    (unit,) = network.layers
    ((_, found),) = lowered_parts(network, unit, config)
    return found


def samples(name):
    named, rng = LAYERS[name], np.random.default_rng(3)
    shapes, _ = named.sample_shapes
    return {key: rng.normal(0, 3, (1, *shape)).astype(np.float32) for key, shape in shapes.items()}


def run(name, config, schedule):
    model = compile_function(LAYERS[name], config, schedules={LayerPart("layer"): schedule})
    return ModelRunner(model, SimDevice(config), Environment(latency=16)).run(samples(name))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "machine"), CASES)
def test_every_point_that_fits_is_a_schedule_with_the_right_answer(name, machine):
    config = MACHINES[machine]
    tunable = lowered(name, config).tunable
    space = tunable.tilings().space
    expected = LAYERS[name].run(samples(name))["y"]
    drawn = space.points(space.sample(np.random.default_rng(5), 4))
    for point in (*drawn, tunable.default()):
        assert space.refuse(point) is None
        np.testing.assert_array_equal(run(name, config, tunable.schedule(point)).outputs["y"], expected)


@pytest.mark.parametrize(("name", "machine"), CASES)
def test_the_default_is_a_point_and_the_same_as_an_array(name, machine):
    tunable = lowered(name, MACHINES[machine]).tunable
    tilings, point = tunable.tilings(), tunable.default()
    columns = tilings.space.columns(tilings.space.positions_of([point]))
    assert tilings.space.refuse(point) is None
    assert tilings.features(columns).shape == (1, len(tunable.feature_names))
    assert np.isfinite(tilings.features(columns)).all()
    assert tilings.estimate(columns)[0] == pytest.approx(tilings.cycles(point), rel=0.35)
    assert tilings.instructions(point) > 0


@pytest.mark.parametrize("name", LAYERS)
def test_the_event_model_is_near_the_simulator_at_any_point(name):
    tunable = lowered(name, REFERENCE).tunable
    tilings = tunable.tilings(16)
    points = tilings.space.points(tilings.space.sample(np.random.default_rng(8), 5))
    measured = [run(name, REFERENCE, tunable.schedule(point)).cycles for point in points]
    assert [tilings.cycles(point) for point in points] == pytest.approx(measured, rel=0.15)


def test_a_tiling_and_its_point_are_forms_of_each_other():
    sizes = convolution(*CONVOLUTIONS["pointwise"])
    space = ConvolutionSpace(convolution=sizes, config=REFERENCE)
    tiling = choose(sizes, REFERENCE)
    assert space.tiling(space.point(tiling)) == replace(tiling, cycles=0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"threads": 8, "outer_blocks": 4}, "threads must be at most outer_blocks"),
        (
            {"threads": 4, "outer_blocks": 4, "reduction_blocks": 4, "first_reduction_blocks": 0},
            "must be 1 where",
        ),
        ({"first_height": 13, "height": 2}, "at most twice"),
        ({"first_reduction_blocks": 2, "reduction_blocks": 2}, "must be less than reduction_blocks"),
        ({"height": 14, "first_height": 0, "order": "yo og xo"}, "changes nothing"),
    ],
    ids=str,
)
def test_what_does_not_fit_says_why(change, reason):
    sizes = convolution(*CONVOLUTIONS["pointwise"])
    space = ConvolutionSpace(convolution=sizes, config=REFERENCE)
    point = Point({**space.point(choose(sizes, REFERENCE)), **change})
    assert reason in space.space.refuse(point)


def test_threads_are_of_use_where_only_the_first_tiles_reduce_in_steps():
    sizes = {"reduction_blocks": 4, "first_reduction_blocks": 2, "first_height": 0, "height": 7}
    found = lowered("pointwise", REFERENCE).tunable
    space = found.tilings().space
    point = Point({**found.default(), **sizes, "outer_blocks": 8, "threads": 8, "order": "og yo xo"})
    assert space.refuse(point) is None
    assert "must be 1 where" in (space.refuse(Point({**point, "first_reduction_blocks": 0})) or "")
    expected = LAYERS["pointwise"].run(samples("pointwise"))["y"]
    ran = run("pointwise", REFERENCE, found.schedule(point))
    np.testing.assert_array_equal(ran.outputs["y"], expected)


def test_tiles_larger_than_the_memories_are_refused():
    sizes = replace(convolution(*CONVOLUTIONS["pointwise"]), out_height=200, out_width=200)
    space = ConvolutionSpace(convolution=sizes, config=REFERENCE)
    point = Point({**space.point(choose(sizes, REFERENCE)), "height": 200, "width": 200, "first_height": 0})
    assert "must fit the memories" in space.space.refuse(point)


def test_keys_tell_sizes_apart_and_leave_the_machine_out():
    keys = {name: lowered(name, REFERENCE).tunable.key for name in LAYERS}
    assert len(set(keys.values())) == len(keys)
    assert lowered("pointwise", STARVED).tunable.key == keys["pointwise"]


def test_features_have_a_name_each():
    assert len(set(FEATURES)) == len(FEATURES)
