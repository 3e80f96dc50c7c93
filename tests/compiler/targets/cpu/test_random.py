"""Random programs under random schedules, with loops of every kind: the numbers of numpy."""

from random import Random

import pytest
from tests.compiler.targets.cpu.host_kernel import assert_same, run_compiled
from tests.schedules.case import draw_case
from tests.schedules.program import PROGRAMS

from tilewright.compiler import schedule
from tilewright.compiler.schedule import Parallel, ScheduleError, Unroll, Vectorise
from tilewright.compiler.tir.stmt import For
from tilewright.compiler.tir.walk import statements

CASES, KINDS = 4, 3


def with_kinds(function, random):
    """The function with some loops of other kinds."""
    done = []
    for _ in range(KINDS):
        loops = [stmt.var.name for stmt in statements(function.body) if isinstance(stmt, For)]
        step = random.choice((Unroll, Vectorise, Parallel))(random.choice(loops))
        try:
            function = schedule.apply(function, [step])
        except ScheduleError:
            continue
        done.append(step)
    return function, done


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_programs_give_the_numbers_of_numpy(name):
    for seed in range(CASES):
        case = draw_case(seed, name)
        function, done = with_kinds(case.scheduled(), Random(seed))
        text = f"seed {seed}\n{schedule.print_schedule((*case.steps, *done))}"
        assert_same(run_compiled(function, case.program.arrays), case.expected, text)
