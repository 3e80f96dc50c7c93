"""Tuning keeps what it measured, goes on from there, and never makes a network slower."""

from dataclasses import replace

import numpy as np
import pytest
from tests.compiler.targets.accel.test_chain import CHAIN, Block
from tests.compiler.targets.accel.test_event_model import layer
from tests.compiler.targets.accel.test_window_model import STARVED
from tests.compiler.targets.accel.test_window_model import layer as windows_layer

from tilewright.api.accel_runner import AccelRunner
from tilewright.api.accel_task import accel_layers, key_of
from tilewright.api.error import PackageError
from tilewright.api.file import package_of_model
from tilewright.api.program_clock import ProgramClock
from tilewright.api.records import TunedPoints, records_of
from tilewright.api.tuned_package import package_cycles, tuned_package
from tilewright.api.tuning import Tuning, chosen_layers
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.compile import Variants, compile_function
from tilewright.isa.config import PRESETS
from tilewright.tune.error import TuneError
from tilewright.tune.harness import Budget
from tilewright.tune.inline import Inline
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.record import Record
from tilewright.tune.record_index import Records
from tilewright.tune.session import Session

REFERENCE = PRESETS["reference"]


@pytest.fixture(scope="module")
def package():
    return package_of_model(compile_function(layer(64, 128, 1, 1), STARVED))


def tune(package, session, trials=12, **options):
    tuning = Tuning(layers=accel_layers(package, 16), session=session, measure=Inline(), **options)
    return tuning, list(tuning.steps(Budget(trials=trials)))


def test_the_default_is_measured_first_and_the_best_is_never_slower(package):
    with Session() as session:
        tuning, steps = tune(package, session)
    (result,) = tuning.results()
    assert steps[0].trial.point == result.layer.task.default
    assert [step.done for step in steps] == list(range(1, 13))
    assert result.cost <= result.default_cost == steps[0].trial.outcome.cost
    assert result.trials == 12


def test_a_run_that_was_stopped_goes_on_and_measures_nothing_twice(package, tmp_path):
    path = tmp_path / "records.jsonl"
    with Session(path) as session:
        tuning = Tuning(layers=accel_layers(package, 16), session=session, measure=Inline())
        for step in tuning.steps(Budget(trials=12)):
            if step.done == 5:
                break
    with Session(path) as session:
        _, steps = tune(package, session)
    assert [step.done for step in steps] == list(range(6, 13))
    lines = path.read_bytes().splitlines()
    assert len(lines) == len(set(lines)) == 12
    with Session(path) as session:
        assert tune(package, session)[1] == []


BLOCK = Block(16, 48, 16, (16, 14))


def test_a_chain_is_a_layer_like_any_other(tmp_path):
    """Its points are measured, kept by structure, and taken by the compiler."""
    package = package_of_model(compile_function(BLOCK.network(), REFERENCE))
    (chain,) = accel_layers(package, 16)
    assert chain.names == (CHAIN.layer,)
    with Session(tmp_path / "records.jsonl") as session:
        tuning, steps = tune(package, session, trials=8)
    (result,) = tuning.results()
    assert steps[0].trial.point == chain.task.default
    assert {step.trial.outcome.kind for step in steps} == {Kind.OK}
    assert result.cost < result.default_cost
    tuned = tuned_package(package, records_of(tmp_path / "records.jsonl"))
    ((part, point),) = next(iter(tuned.parts.values())).points.items()
    assert (part, point) == (CHAIN, result.point)
    before, after = (each.run(BLOCK.given(), check=True) for each in (package, tuned))
    np.testing.assert_array_equal(after.outputs["y"], before.outputs["y"])
    assert after.cycles < before.cycles


@pytest.mark.slow
def test_the_tuned_network_gives_the_same_answers_in_fewer_cycles(package):
    with Session() as session:
        tuning, _ = tune(package, session, trials=40)
        tuned = tuned_package(package, session.records)
        (result,) = tuning.results()
    assert result.cost < result.default_cost
    x = {"x": np.random.default_rng(1).normal(0, 3, (1, 64, 14, 14)).astype(np.float32)}
    before, after = package.run(x), tuned.run(x)
    np.testing.assert_array_equal(after.outputs["y"], before.outputs["y"])
    assert after.cycles == package_cycles(tuned, 16) < package_cycles(package, 16) == before.cycles


@pytest.mark.parametrize("tuned_cycles", [999, 1000, 1001])
def test_a_program_that_is_not_faster_as_a_whole_keeps_its_defaults(package, monkeypatch, tuned_cycles):
    _, _, records = measured(package, (100, 90))
    # As if layers that are faster alone held each other up.
    cycles = iter((tuned_cycles, 1000))
    monkeypatch.setattr(ProgramClock, "cycles", lambda *arguments: next(cycles))
    tuned = tuned_package(package, Records(records))
    assert (tuned.parts == package.parts) == (tuned_cycles >= 1000)


def test_layers_of_one_structure_are_one_task():
    named = layer(64, 64, 1, 1)
    (one,) = accel_layers(package_of_model(compile_function(named, REFERENCE)), 16)
    assert one.name == "layer"
    assert one.task.weight == pytest.approx(one.runner.lowered.tunable.tilings(16).cycles(one.task.default))


def test_layers_that_are_not_there_are_named(package):
    with pytest.raises(PackageError, match="must be of layer, not other"):
        chosen_layers(accel_layers(package, 16), ["other"])
    with pytest.raises(PackageError, match="must have layers there"):
        chosen_layers([], [])


@pytest.mark.parametrize("device", ["sim"])
def test_a_runner_refuses_and_measures_and_finds_wrong_answers(device, monkeypatch):
    (found,) = accel_layers(
        package_of_model(compile_function(windows_layer("addition"), REFERENCE)), 16, device
    )
    runner, default = found.runner, found.task.default
    assert runner(default).kind is Kind.OK
    assert runner(
        Point({**default, "height": 28, "first_height": 3, "input_stages": 4, "width": 28})
    ).kind in (
        Kind.OK,
        Kind.REFUSED,
    )
    unknown = Point({**default, "height": 999})
    assert runner(unknown).kind is Kind.REFUSED
    assert "height must be one of" in runner(unknown).detail
    # Other constants: the answer is another.
    constants = {name: array + 7 for name, array in runner.lowered.constants.items()}
    other = replace(runner.lowered, pack=lambda: constants)
    spoilt = AccelRunner(lowered=other, config=REFERENCE, latency_cycles=16)
    spoilt.__dict__["_answers"] = runner._answers
    assert spoilt(default).kind is Kind.WRONG


# --- records in compilers ----------------------------------------------------------------------------------


def measured(package, costs):
    """Records of the only layer: of its default, and of another point."""
    (found,) = accel_layers(package, 16)
    other = Point({**found.task.default, "result_stages": "single"})
    key = key_of(found.runner.lowered.tunable, package.config, 16)
    points = (found.task.default, other)
    return (
        other,
        found.runner.lowered.tunable,
        [
            Record(key=key, point=point, outcome=Outcome(kind=Kind.OK, cost=cost))
            for point, cost in zip(points, costs, strict=True)
            if cost is not None
        ],
    )


def points(records, config, latency_cycles=16):
    return TunedPoints(records=Records(records), config=config, latency_cycles=latency_cycles)


@pytest.mark.parametrize(
    ("costs", "is_taken"), [((100, 90), True), ((100, 100), False), ((90, 100), False), ((None, 90), False)]
)
def test_a_record_counts_where_it_is_better_than_the_measured_default(package, costs, is_taken):
    other, tunable, records = measured(package, costs)
    choose = points(records, package.config)
    assert choose(tunable) == (other if is_taken else None)
    (part,) = package.parts.values()
    assert list(choose.points(Variants(part.integers, package.config)).values()) == [other] * is_taken


def test_records_of_other_machines_and_latencies_do_not_count(package):
    _, tunable, records = measured(package, (100, 90))
    assert points(records, REFERENCE)(tunable) is None
    assert points(records, package.config, 100)(tunable) is None


def test_a_record_of_a_point_that_is_no_more_does_not_count(package):
    _, tunable, (default, record) = measured(package, (100, 90))
    gone = replace(record, point=Point({"height": 3}))
    assert points([default, gone], package.config)(tunable) is None


def test_lines_that_are_no_records_are_told(tmp_path):
    path, notes = tmp_path / "records.jsonl", []
    path.write_bytes(b'{"version":99}\n{"version":1}\n{"vers')
    assert len(records_of(path, notes.append)) == 0
    assert len(notes) == 3
    path.write_text("something else\n")
    with pytest.raises(TuneError, match="must be a file of records"):
        records_of(path)
    assert len(records_of(None)) == 0
