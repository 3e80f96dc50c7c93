"""tests.cosim.coverage: what programs reached is seen, the rest is named; runs go on where they stopped."""

from collections import Counter

import numpy as np
import pytest
from tests.cosim import fuzz
from tests.cosim.case import Case, Run
from tests.cosim.compare import observe_simulator
from tests.cosim.coverage import Coverage, all_points
from tests.cosim.generate import random_case

from tilewright.isa.config import PRESETS
from tilewright.isa.instruction import Finish, Load, Nop, Store, Vector
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.random_program import random_config
from tilewright.sim.machine import Simulator

TINY = PRESETS["tiny"]
PAD = Load(memory=Memory.ACTIVATION, n_y=0, n_x=0, pad_top=1, pad_left=8, pad_value=-3)


def covered(*program, **run):
    coverage = Coverage()
    case = Case(config=TINY, runs=(Run(program=program, **run),), memory_bytes=2048)
    seen = observe_simulator(Simulator(TINY), case, case.runs[0], case.dram())
    fuzz._cover(case, [seen], coverage)
    return {f"{axis}: {what}" for axis, what in coverage.reached}


def test_every_point_is_there_once_and_missing_until_it_is_reached():
    points = all_points()
    assert len(points) == len(set(points))
    assert {axis for axis, _ in points} >= {"field", "operand", "fault", "rule", "start", "queue", "tokens"}
    assert Coverage().missing() == points
    some = Coverage(Counter(points[::2]))
    assert some.missing() == points[1::2]
    assert any("never: " in line for line in some.lines())


def test_values_of_fields_count_where_an_instruction_started():
    seen = covered(PAD, Finish())
    assert {"field: Load.pad_value negative", "field: Load.pad_top more", "field: Load.n_y least"} <= seen
    assert "operand: Load.address activation" in seen
    assert not [point for point in seen if point.startswith("field: Vector")]


def test_a_start_has_its_reason():
    load = Load(memory=Memory.ACTIVATION, n_y=0, n_x=0, pad_top=1, pad_left=99, signal=1 << Engine.STORE)
    store = Store(memory=Memory.ACTIVATION, bytes=4, wait=1 << Engine.LOAD)
    vector = Vector(a=0, destination=256, n_0=9, n_1=99, a_stride_1=1, destination_stride_1=1)
    seen = covered(load, store, Finish())
    assert {"start: load at once", "start: store with a token of load"} <= seen
    assert "overlap: load and store" not in seen
    seen = covered(load, store, vector, Finish())
    assert {"start: store behind a claim of vector", "overlap: load and vector"} <= seen
    assert "start: vector behind a claim of store" not in seen


def test_a_broken_rule_and_its_fault_are_seen():
    seen = covered(Nop(runs_on=Engine.LOAD), Finish(), patches=((0, 8 + Engine.LOAD),))
    assert "fault: FETCH ILLEGAL" in seen
    assert "rule: Nop: wait must name other engines only" in seen
    assert "rule: Nop: signal must name other engines only" not in seen


def test_counts_are_the_same_behind_a_file():
    coverage, read = Coverage(Counter(dict.fromkeys(all_points(), 2))), Coverage()
    read.merge(coverage.to_json())
    assert read == coverage


def test_a_stopped_run_goes_on_behind_what_its_journal_holds(tmp_path, monkeypatch, capsys):
    asked = []

    def run(config, *, seed, programs, tally, coverage, shrinks):
        asked.append((config, seed, programs))
        tally["programs"] += programs
        coverage.add_config(config)

    monkeypatch.setattr(fuzz, "fuzz_config", run)
    journal = tmp_path / "journal.jsonl"
    arguments = ["--programs", "30", "--per-config", "10", "--journal", str(journal)]
    assert fuzz.main(arguments) == 0
    whole, lines = capsys.readouterr().out, journal.read_text().splitlines()
    assert len(asked) == len(lines) == 3
    journal.write_text("\n".join((*lines[:2], lines[2][:40])) + "\n")
    assert fuzz.main(arguments) == 0
    assert asked[3:] == asked[2:3]
    again = capsys.readouterr().out
    assert again.splitlines()[1:] == whole.splitlines()[1:]
    assert fuzz.main([*arguments, "--seed", "5"]) == 0
    assert len(asked) == 7


@pytest.mark.slow
def test_some_hundred_programs_reach_every_field_and_operand():
    rng, coverage = np.random.default_rng(1), Coverage()
    for config in (random_config(rng) for _ in range(16)):
        simulator = Simulator(config)
        for _ in range(25):
            case = random_case(rng, config)
            drams = [case.dram()[: case.memory_size_bytes(run)] for run in case.runs]
            runs = zip(case.runs, drams, strict=True)
            fuzz._cover(case, [observe_simulator(simulator, case, *each) for each in runs], coverage)
    axes = ("field", "operand", "overlap", "queue")
    assert [point for point in coverage.missing() if point[0] in axes] == []
