"""Points of the host's convolutions measured, and the tasks that they belong to."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from tilewright.api import host_runner
from tilewright.api.host_runner import HostRunner, case_of, is_right
from tilewright.api.host_task import convolution_task, host_schedules, host_text
from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.convolution_space import schedule_of
from tilewright.tune.harness import Budget, run
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.record import Key, Record
from tilewright.tune.record_index import Records
from tilewright.tune.search.plain import RandomSearch

SIZES = ConvolutionSizes(height=6, width=7, channels=12, outputs=20, kernel=(3, 3), pads=(1, 1, 1, 1))


def runner(is_float=False, is_shared=False):
    return HostRunner(sizes=replace(SIZES, is_float=is_float), is_shared=is_shared, limit_seconds=0.01)


@pytest.mark.parametrize("is_shared", [True, False], ids=["all", "one"])
@pytest.mark.parametrize("is_float", [True, False], ids=["float32", "int8"])
def test_the_default_is_right_and_takes_time(is_float, is_shared):
    measured = pickle.loads(pickle.dumps(runner(is_float, is_shared)))
    task = convolution_task(measured.sizes, is_shared=is_shared)
    outcome = measured(task.default)
    assert (outcome.kind, outcome.detail) == (Kind.OK, "")
    assert 0 < outcome.cost < outcome.seconds


def test_what_does_not_fit_is_refused_before_it_is_compiled(monkeypatch):
    monkeypatch.setattr(host_runner, "compile_function", None)
    default = convolution_task(SIZES, is_shared=False).default
    cases = {
        "registers must hold": {"rows": 3, "columns": 7},
        "threads must be none": {"threads": "both"},
        "unroll must be one of": {"unroll": 5},
        "a point must have the knobs": {"colour": 1},
    }
    for reason, changes in cases.items():
        outcome = runner()(Point({**default, **changes}))
        assert outcome.kind is Kind.REFUSED
        assert reason in outcome.detail


@pytest.mark.parametrize("is_float", [True, False], ids=["float32", "int8"])
def test_a_wrong_answer_is_none(is_float, monkeypatch):
    measured = runner(is_float)
    default = convolution_task(measured.sizes, is_shared=False).default
    case = case_of(measured.sizes)
    other = replace(case, answer=case.answer + case.answer.dtype.type(1))
    monkeypatch.setattr(host_runner, "case_of", lambda sizes: other)
    outcome = measured(default)
    assert (outcome.kind, outcome.cost) == (Kind.WRONG, None)


def test_floats_may_differ_by_rounding_alone():
    sizes = replace(SIZES, is_float=True)
    answer = case_of(sizes).answer
    assert is_right(sizes, answer + np.float32(1e-5))
    assert not is_right(sizes, answer + np.float32(0.1))
    assert not is_right(sizes, np.full_like(answer, np.nan))


def test_int8_answers_are_not_clamped_much():
    answer = case_of(SIZES).answer
    assert (abs(answer.astype(int)) == 127).mean() < 0.1
    assert len(np.unique(answer)) > 50


def test_a_task_is_searched():
    sizes = replace(SIZES, is_float=True)
    task, measured = convolution_task(sizes, is_shared=False), runner(is_float=True)
    trace = run(
        RandomSearch(task, 0), lambda points: [(p, measured(p)) for p in points], Budget(trials=3), batch=3
    )
    assert trace.kinds == {Kind.OK: 3}
    columns = task.space.columns(trace.positions)
    assert (task.estimate(columns) > 0).all()
    assert task.features(columns).shape == (3, len(task.feature_names))


def record(task, point, cost, machine=None, target="cpu"):
    key = Key(structure=task.key, target=target, machine=machine or task.machine, unit=task.unit)
    return Record(key=key, point=point, outcome=Outcome(kind=Kind.OK, cost=cost))


def test_the_best_schedules_of_this_machine_are_found_in_records():
    task = convolution_task(SIZES, is_shared=True)
    first, second, third = task.space.points(task.space.sample(np.random.default_rng(0), 3))
    records = Records(
        [
            record(task, first, 2e-3),
            record(task, second, 1e-3),
            record(task, third, 1e-4, machine="another"),
            record(task, third, 1e-4, target="accel"),
        ]
    )
    assert task.machine == host_text()
    assert host_schedules(records) == {task.key: schedule_of(second)}
