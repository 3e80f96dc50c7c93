"""The recipe of README for a primitive, followed from outside of the tree: one file is enough to try one."""

from dataclasses import dataclass

import numpy as np
import pytest

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import Primitive, ScheduleError, Split
from tilewright.compiler.schedule.loop_nest import edit, find_loop, simplified, substitute_stmt
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.tir.expr import Var
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import For, PrimFunc
from tilewright.compiler.tir.verify import verify

STEPS = "split loop=out_i factor=4 outer=io inner=ii\nreverse_loop loop=io\n"
A = np.arange(10 * 6, dtype=np.int32).reshape(10, 6)


@dataclass(frozen=True)
class ReverseLoop(Primitive):
    """for i in n: body(i) → for i in n: body(n - 1 - i), for a loop that carries nothing."""

    loop: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The iterations of `loop` in the opposite order."""
        loop = find_loop(self, function, self.loop)[-1]
        assert isinstance(loop, For)
        if loop.extent == 1:
            raise self.refusal(function, f"{self.loop} must have several iterations")
        body = substitute_stmt(loop.body, {self.loop: loop.extent - 1 - Var(self.loop)})
        return simplified(
            edit(function, {id(loop): For(loop.var, loop.extent, body, loop.kind, loop.prefetch)})
        )


def program():
    a, k = te.placeholder(A.shape, DType.INT32, "a"), te.reduce_axis(A.shape[1], "k")
    out = te.compute((A.shape[0],), lambda i: te.sum_of(a[i, k] * a[i, k], k), "out")
    return te.lower("f", [a], [out])


def scheduled():
    return schedule.apply(program(), schedule.parse_schedule(STEPS, (ReverseLoop,)))


def test_it_parses_prints_and_is_known_only_where_it_is_named():
    steps = schedule.parse_schedule(STEPS, (ReverseLoop,))
    assert steps == (Split("out_i", 4, "io", "ii"), ReverseLoop("io"))
    assert schedule.print_schedule(steps) == STEPS.strip()
    with pytest.raises(ScheduleError, match="line 2: the verb must be"):
        schedule.parse_schedule(STEPS)


def test_the_result_verifies_and_means_the_same_in_interpreter_and_on_the_host():
    function = scheduled()
    verify(function)
    assert print_function(function) != print_function(
        schedule.apply(program(), (Split("out_i", 4, "io", "ii"),))
    )
    expected = (A * A).sum(axis=1)
    np.testing.assert_array_equal(run(function, {"a": A})["out"], expected)
    np.testing.assert_array_equal(compile_function(function).run({"a": A})["out"], expected)


def test_its_mistakes_are_told_as_those_of_any_other():
    with pytest.raises(ScheduleError, match=r"reverse_loop loop=j: .*io"):
        schedule.apply(scheduled(), (ReverseLoop("j"),))
