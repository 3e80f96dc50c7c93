"""Random programs under random schedules, with loops of every kind: the bits of the interpreter."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.compiler.schedule.test_random import convolution, product, steps
from tests.compiler.targets.cpu.host_kernel import assert_same, run_compiled

from tilewright.compiler import schedule
from tilewright.compiler.schedule import Parallel, ScheduleError, Unroll, Vectorise
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.stmt import For
from tilewright.compiler.tir.walk import statements

STEPS = 6


def kinds(function):
    """A strategy for a kind of loop."""
    loops = [stmt.var.name for stmt in statements(function.body) if isinstance(stmt, For)]
    return st.one_of(st.builds(kind, st.sampled_from(loops)) for kind in (Unroll, Vectorise, Parallel))


@pytest.mark.parametrize("program", [convolution(), product()], ids=["convolution", "product"])
def test_compiled_programs_give_the_numbers_of_the_interpreter(program):
    @settings(max_examples=6, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def check(data):
        function, arrays = data.draw(program)
        expected = run(function, arrays)
        done = []
        for number in range(STEPS):
            step = data.draw(steps(function, number) if number < STEPS // 2 else kinds(function))
            try:
                function = schedule.apply(function, [step])
            except (ScheduleError, TirError):
                continue
            done.append(step)
        assert_same(run_compiled(function, arrays), expected, schedule.print_schedule(done))

    check()
