"""Programs are tuned as wholes: what is found is faster, kept, taken by compilers, and dropped if not."""

from dataclasses import replace

import numpy as np
import pytest
from tests.tuned_network import SHAPE, three_layers

import tilewright
from tilewright.api.accel_task import accel_layers, program_key
from tilewright.api.compile import compile_named
from tilewright.api.program_tuning import ProgramTuning
from tilewright.api.records import records_of
from tilewright.api.tuned_package import package_cycles, tuned_package
from tilewright.api.tuning import Tuning
from tilewright.compiler.frontend.onnx import load_onnx
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.accel.compile import Variants
from tilewright.isa.config import PRESETS
from tilewright.tune.harness import Budget
from tilewright.tune.inline import Inline
from tilewright.tune.program_record import ProgramRecord
from tilewright.tune.record_file import RecordFile
from tilewright.tune.record_index import Records
from tilewright.tune.session import Session

REFERENCE = PRESETS["reference"]
TRIALS = 24


@pytest.fixture(scope="module")
def package():
    return tilewright.compile(three_layers(), records=None)


def tune(package, session, trials=TRIALS, layers=None) -> ProgramTuning:
    tuning = Tuning(layers=layers or accel_layers(package, 16), session=session, measure=Inline())
    found = ProgramTuning(package, tuning, 16)
    for step in found.steps(Budget(trials=trials)):
        assert step.cycles <= step.default_cycles
    return found


@pytest.fixture(scope="module")
def found(package, tmp_path_factory):
    """A run of tuning, and its file."""
    path = tmp_path_factory.mktemp("records") / "records.jsonl"
    with Session(path) as session:
        return tune(package, session), path


def record_in(path) -> ProgramRecord:
    """The last of a file."""
    *_, last = (each for each in records_of(path) if isinstance(each, ProgramRecord))
    return last


def compiled(records, notes=None, config=REFERENCE):
    note = (lambda text: None) if notes is None else notes.append
    return compile_named(load_onnx(three_layers()), config, records=Records(records), note=note)


def test_a_program_is_faster_with_its_points_and_says_the_same(package, found):
    tuning, path = found
    tuned = compiled([record_in(path)])
    assert tuning.cycles < tuning.default_cycles == package_cycles(package, 16)
    assert package_cycles(tuned, 16) == package_cycles(tuning.tuned(), 16) == tuning.cycles
    x = {"x": np.random.default_rng(1).normal(0, 3, SHAPE).astype(np.float32)}
    before, after = package.run(x, check=True), tuned.run(x, check=True)
    np.testing.assert_array_equal(*(next(iter(each.outputs.values())) for each in (before, after)))
    assert (before.cycles, after.cycles) == (tuning.default_cycles, tuning.cycles)


def test_what_was_tried_is_kept_and_gone_on_from(package, found, tmp_path):
    tuning, path = found
    record = record_in(path)
    assert (record.trials, record.cycles) == (tuning.trials, tuning.cycles) == (TRIALS, tuning.cycles)
    copy = tmp_path / "records.jsonl"
    copy.write_bytes(path.read_bytes())
    with Session(copy) as session:
        again = tune(package, session, 3)
    assert again.trials == TRIALS + 3
    assert again.cycles <= tuning.cycles
    assert record_in(copy).trials == TRIALS + 3


def test_a_run_that_is_stopped_keeps_what_it_found(package, tmp_path):
    path = tmp_path / "records.jsonl"
    with Session(path) as session:
        tuning = Tuning(layers=accel_layers(package, 16), session=session, measure=Inline())
        programs = ProgramTuning(package, tuning, 16)
        steps = programs.steps(Budget(trials=TRIALS))
        for step in steps:
            if step.cycles < step.default_cycles:
                break
        next(steps)
        steps.close()
    assert record_in(path).trials == programs.trials == step.done + 1
    assert record_in(path).cycles == programs.cycles


def test_layers_that_are_not_named_keep_their_points(package):
    (layer, *_) = accel_layers(package, 16)
    with Session() as session:
        tuned = tune(package, session, layers=[layer]).tuned()
    (part,) = tuned.parts.values()
    assert {each.layer for each in part.points} <= set(layer.names)


# --- records that do not hold ------------------------------------------------------------------------------


def test_records_of_other_machines_latencies_and_programs_do_not_count(found, package):
    record = record_in(found[1])
    for key in (
        replace(record.key, machine="00"),
        replace(record.key, environment=Point({"latency": 100})),
        replace(record.key, target="accel-rtl"),
        replace(record.key, structure="00"),
    ):
        notes: list[str] = []
        tuned = compiled([replace(record, key=key)], notes)
        assert package_cycles(tuned, 16) == package_cycles(package, 16)
        assert notes == []
    assert package_cycles(compiled([record], config=PRESETS["zynq-7020"]), 16) > 0


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({0: Point({"height": 3})}, "fit no more"),
        ({7: Point({"height": 3})}, "fit no more"),
        ({0: Point({"height": 10**30})}, "fit no more"),
        (None, "the default is as fast now"),
    ],
    ids=str,
)
def test_a_record_that_holds_no_longer_is_told_and_skipped(found, package, points, message):
    record = record_in(found[1])
    if points is None:
        # Another one claims to be faster, and is the default.
        variants = Variants(next(iter(package.parts.values())).integers, REFERENCE)
        points = {0: next(iter(variants.lowered.values())).default}
    notes: list[str] = []
    tuned = compiled([replace(record, points=points, cycles=1)], notes)
    assert package_cycles(tuned, 16) == package_cycles(package, 16)
    (note,) = notes
    assert message in note
    assert not next(iter(tuned.parts.values())).points


def test_a_program_that_is_slower_with_its_points_is_not_taken(found, package):
    record = record_in(found[1])
    variants = Variants(next(iter(package.parts.values())).integers, REFERENCE)
    slow = {}
    for number, lowered in enumerate(variants.lowered.values()):
        space = lowered.tunable.tilings(16).space
        slow[number] = max(
            space.points(space.sample(np.random.default_rng(0), 64)), key=lowered.tunable.tilings(16).cycles
        )
    tuned = compiled([replace(record, points=slow, cycles=1)])
    assert package_cycles(tuned, 16) == package_cycles(package, 16)
    assert tuned_package(package, Records([replace(record, points=slow, cycles=1)])).parts == package.parts


def test_programs_of_equal_layers_have_one_key_whatever_their_names(package):
    (part,) = package.parts.values()
    key = program_key(Variants(part.integers, REFERENCE), 16)
    (other,) = tilewright.compile(three_layers(), records=None).parts.values()
    assert program_key(Variants(other.integers, REFERENCE), 16) == key
    assert program_key(Variants(part.integers, PRESETS["tiny"]), 16) != key


def test_a_cut_off_program_is_told_and_the_one_before_counts(found, tmp_path):
    path = tmp_path / "records.jsonl"
    line = record_in(found[1]).line()
    path.write_bytes(line + line[:-20])
    with RecordFile(path) as file:
        reading = file.read()
    assert len(reading.records) == len(reading.notes) == 1
