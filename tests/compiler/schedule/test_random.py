"""Random programs under random schedules: each primitive keeps the numbers of numpy, or refuses."""

from functools import lru_cache

import pytest
from tests.schedules.case import draw_case
from tests.schedules.fuzz import main
from tests.schedules.program import PROGRAMS
from tests.schedules.step import DRAWS

from tilewright.compiler import schedule
from tilewright.compiler.schedule import Inline
from tilewright.compiler.schedule.text import PRIMITIVES
from tilewright.compiler.tir.interpret import run

CASES, PART = 300, 30

case_of = lru_cache(draw_case)


@pytest.mark.parametrize("first", range(0, CASES, PART))
def test_every_primitive_keeps_the_numbers_or_refuses(first):
    for seed in range(first, first + PART):
        case = case_of(seed)
        failure = case.failure()
        assert failure is None, f"seed {seed}: {failure}\n\n{case.smaller().text()}"


def test_every_primitive_is_drawn_and_applied():
    assert set(DRAWS) == set(PRIMITIVES)
    cases = [case_of(seed) for seed in range(PART * 3)]
    assert {kind for case in cases for kind in case.drawn} == set(PRIMITIVES)
    assert {type(step) for case in cases for step in case.steps} == set(PRIMITIVES)
    assert {case.name for case in cases} == set(PROGRAMS)


def test_schedules_that_were_applied_are_replayed_from_their_text():
    for seed in range(PART):
        case = case_of(seed)
        assert schedule.parse_schedule(schedule.print_schedule(case.steps)) == case.steps


def test_case_is_a_function_of_its_seed():
    assert case_of(7).text() == draw_case(7).text()


def test_step_that_breaks_down_shows_its_schedule(monkeypatch):
    def breaks(self, function):
        raise KeyError(self)

    monkeypatch.setattr(Inline, "apply", breaks)
    with pytest.raises(KeyError) as caught:
        list(map(draw_case, range(PART)))
    steps, program = caught.value.__notes__[0].split("\n\n")
    assert steps.splitlines()[-1].startswith("inline block=")
    assert program.startswith("function ")


def broken(function, arrays):
    """A runner that is wrong where a loop was split."""
    text = str(function)
    return {name: array + ("n2o" in text) for name, array in run(function, arrays).items()}


def test_long_run_ends_at_the_first_difference_with_a_short_schedule(capsys, monkeypatch):
    monkeypatch.setitem(main.__globals__["RUNNERS"], "host", broken)
    assert main(["--seed", "0", "--cases", "60", "--target", "host"]) == 1
    report = capsys.readouterr().out
    assert "host: " in report
    assert "outer=n2o" in report
    assert len(report.split("\n\n")[1].splitlines()) < 4
    assert "function " in report


def test_long_run_counts_its_cases(capsys):
    assert main(["--seed", "3", "--cases", "2", "--target", "interpreter"]) == 0
    assert "2 cases on interpreter, no difference" in capsys.readouterr().out
