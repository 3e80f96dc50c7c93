"""Costs of machines: the models near the simulator, layers that add up, refusals with reasons."""

from dataclasses import replace

import numpy as np
import pytest
from onnx import helper
from tests.compiler.targets.accel.test_chain import CHAIN, NAMES, WIDE

import tilewright
from split_network import X, save_nodes, save_split
from tilewright.api.cotune import front_points, layer_rows, measured_front, spread_of_front
from tilewright.api.error import PackageError
from tilewright.api.file import package_of_model
from tilewright.api.hardware_cost import HardwareCost
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.isa.config import PRESETS
from tilewright.isa.error import TilewrightError
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.tune.area import Area
from tilewright.tune.budget import Board
from tilewright.tune.evaluated import Evaluated

TINY = PRESETS["tiny"]
LATENCY = 16
BOARD = Board(family="xc7", lut=50_000, ff=100_000, dsp=300, bram=150, bus_bytes=(8,), source="made up")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    save_split(path)
    return tilewright.compile(path, config=TINY, calibration={"x": X})


@pytest.fixture(scope="module")
def cost(package):
    return HardwareCost({"net": package}, LATENCY)


def test_the_models_are_near_the_simulator(cost):
    for config in (TINY, replace(TINY, rows=8, cols=8), PRESETS["reference"]):
        model, measured = cost(config), cost.measured(config)
        assert model.cycles["net"] == pytest.approx(measured.cycles["net"], rel=0.2)
        assert model.moved_bytes["net"] == pytest.approx(measured.moved_bytes["net"], rel=0.3)


def test_the_simulator_has_the_cycles_of_a_run(cost, package):
    assert cost.measured(TINY).cycles["net"] == package.run({"x": X[:1]}).cycles


@pytest.fixture(scope="module")
def chains():
    """Of a network whose layers are a chain where there is room for it."""
    model = compile_function(WIDE.network(), PRESETS["reference"])
    return HardwareCost({"chain": package_of_model(model)}, LATENCY)


def test_machines_are_priced_with_chains_as_the_compiler_makes_them(chains):
    reference = PRESETS["reference"]
    small = replace(reference, activation_vectors=64, accumulator_vectors=16)
    for config, names, error in ((reference, [CHAIN.layer], 0.06), (small, list(NAMES), 0.2)):
        assert [each.part.layer for each in chains.layers("chain", config)] == names
        assert len(chains.tunables("chain", config)) == len(names)
        measured = chains.measured(config)
        assert chains(config).cycles["chain"] == pytest.approx(measured.cycles["chain"], rel=error)
        assert chains(config).moved_bytes["chain"] == pytest.approx(measured.moved_bytes["chain"], rel=0.2)
    assert layer_rows(chains.layers("chain", reference))[0]["operator"] == "chain"


def test_what_does_not_fit_is_asked_for_once(chains, monkeypatch):
    small = replace(PRESETS["reference"], activation_vectors=64, accumulator_vectors=16)
    costs = chains(small)

    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr("tilewright.compiler.targets.accel.operator.tunable.likely_chain", refuse)
    assert chains(small) == costs


def test_a_network_is_quantised_once_for_all_machines(package, cost):
    wide = replace(TINY, rows=8, cols=8)
    other = HardwareCost({"net": _compiled_for(package, wide)}, LATENCY)
    assert other(TINY) == cost(TINY)
    assert other(wide) == cost(wide)


def _compiled_for(package, config):
    """The same integers in the package of another machine: only they are read."""
    return replace(package, config=config)


def test_equal_layers_are_costed_once(package):
    fresh = HardwareCost({"net": package, "again": package}, LATENCY)
    costs = fresh(TINY)
    assert costs.cycles["net"] == costs.cycles["again"]
    assert len(fresh._known) == len({each.key for each in fresh.tunables("net", TINY)})


def test_layers_have_what_bounds_them(cost):
    layers = cost.layers("net", TINY)
    rows = layer_rows(layers)
    assert [row["layer"] for row in rows] == ['"first"', '"second"']
    assert all(
        row[row["bound"]] == max(row[name] for name in ("load", "matrix", "vector", "store")) for row in rows
    )
    assert sum(row["cycles"] for row in rows) == pytest.approx(cost(TINY).cycles["net"], rel=0.2)


def test_a_machine_without_room_is_refused_with_the_reason(tmp_path):
    weight = np.random.default_rng(1).normal(0, 1, (4, 1, 5, 5)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], "wide", group=4)
    ports = {"x": ("f", ("N", 4, 8, 8))}, {"y": ("f", ("N", 4, 4, 4))}
    save_nodes(tmp_path / "wide.onnx", [node], *ports, {"w": weight})
    x = np.ones((1, 4, 8, 8), np.float32)
    package = tilewright.compile(tmp_path / "wide.onnx", config=TINY, calibration={"x": x})
    wide = HardwareCost({"wide": package}, LATENCY)
    with pytest.raises(TilewrightError, match="a bank of parameter memory must hold 27 vectors, not 16"):
        wide(replace(TINY, parameter_vectors=16))


def test_there_must_be_something_on_the_accelerator(package):
    with pytest.raises(PackageError, match="there must be a network"):
        HardwareCost({}, LATENCY)
    with pytest.raises(PackageError, match="which idle has not"):
        HardwareCost({"net": package, "idle": replace(package, parts={})}, LATENCY)


def evaluated(config, costs, lut=1000.0):
    return Evaluated(config=config, area=Area(lut=lut, ff=1.0, dsp=1, bram=10.0), costs=costs)


def test_the_front_is_measured_from_the_first_machine_on(cost):
    slow, fast = replace(TINY, queue_depth=1), replace(TINY, rows=8, cols=8)
    machines = [evaluated(TINY, cost(TINY)), evaluated(slow, cost(slow)), evaluated(fast, cost(fast), 2000.0)]
    chosen = spread_of_front(machines, BOARD, 3)
    assert chosen[0].config == TINY
    assert fast in [each.config for each in chosen]
    points = measured_front(cost, chosen, BOARD, lambda done, count: None)
    assert all(point.is_measured for point in points)
    assert [point.costs.latency for point in points] == sorted(point.costs.latency for point in points)
    assert points[0].report(TINY)["changed"] == {"rows": 8, "cols": 8}


def test_who_interrupts_the_measuring_has_the_front_by_the_models(cost):
    def stop(done, count):
        raise KeyboardInterrupt

    machines = [evaluated(TINY, cost(TINY))]
    assert measured_front(cost, machines, BOARD, stop) == front_points(machines, BOARD)


def test_a_first_machine_that_was_refused_is_told():
    refused = Evaluated(config=TINY, area=Area(lut=1, ff=1, dsp=1, bram=1), costs=None, refusal="too small")
    with pytest.raises(TilewrightError, match="too small"):
        spread_of_front([refused], BOARD, 3)


@pytest.mark.slow
def test_the_gates_confirm_a_machine(cost):
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    found = cost.confirmed(TINY, "net")
    assert found.is_equal
    assert found.cycles == cost.measured(TINY).cycles["net"]


def test_without_verilator_nothing_is_confirmed(cost, monkeypatch):
    monkeypatch.setattr("tilewright.api.hardware_cost.find_toolchain", lambda: None)
    with pytest.raises(PackageError, match="tilewright doctor --for rtl"):
        cost.confirmed(TINY, "net")


def test_random_inputs_are_the_same_each_time(cost):
    assert cost.measured(TINY) == cost.measured(TINY)
    assert np.isfinite(cost(TINY).latency)
