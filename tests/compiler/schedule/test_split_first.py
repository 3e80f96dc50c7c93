"""A split whose first parts differ: sizes, numbers, text and refusals."""

import numpy as np
import pytest

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import ComputeAt, ScheduleError, Split, SplitFirst
from tilewright.compiler.tir.evaluate import evaluate
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import For
from tilewright.compiler.tir.walk import statements

EXTENT = 11
ARRAYS = {"a": np.arange(4 * (EXTENT + 1), dtype=np.int32).reshape(4, EXTENT + 1)}


def made():
    a, k = te.placeholder((4, EXTENT + 1), DType.INT32, "a"), te.reduce_axis(2, "k")
    twice = te.compute((4, EXTENT + 1), lambda i, j: a[i, j] * 2, "twice")
    out = te.compute((4, EXTENT), lambda i, j: te.sum_of(twice[i, j + k], k), "out")
    return te.lower("f", [a], [out])


PROGRAM = made()


def after(*steps):
    """The scheduled program, whose numbers were compared, and whose steps print and parse."""
    result = schedule.apply(PROGRAM, steps)
    np.testing.assert_array_equal(run(result, ARRAYS)["out"], run(PROGRAM, ARRAYS)["out"])
    assert schedule.parse_schedule(schedule.print_schedule(steps)) == steps
    return result


def sizes(function, env):
    """How long the inner loop is in each iteration of the outer one."""
    loops = {stmt.var.name: stmt.extent for stmt in statements(function.body) if isinstance(stmt, For)}

    def extent(loop, **more):
        points = {name: np.array(value) for name, value in {**env, **more}.items()}
        return int(evaluate(loops[loop], points, {}))

    return [extent("ji", jo=jo) for jo in range(extent("jo"))]


def expected(factor, first, alone):
    """Parts of the extent."""
    found = []
    while sum(found) < EXTENT:
        found.append(min(first if not found or not alone else factor, EXTENT - sum(found)))
    return found


PAIRS = [(factor, first) for factor in (1, 2, 4, 11, 20) for first in (1, 3, 4, 9, 11, 20)]


@pytest.mark.parametrize(("factor", "first"), PAIRS)
def test_the_first_part_alone_differs_at_its_own_loop(factor, first):
    steps = SplitFirst("out_j", factor, first, "jo", "jo", "ji")
    assert sizes(after(steps), {}) == expected(factor, first, alone=True)
    after(steps, ComputeAt("twice", "jo"))


@pytest.mark.parametrize(("factor", "first"), PAIRS)
def test_all_parts_differ_while_a_loop_around_begins(factor, first):
    steps = SplitFirst("out_j", factor, first, "out_i", "jo", "ji")
    function = after(steps)
    assert sizes(function, {"out_i": 0}) == expected(factor, first, alone=False)
    for row in (1, 3):
        assert sizes(function, {"out_i": row}) == expected(factor, factor, alone=False)
    after(steps, ComputeAt("twice", "jo"))


def test_no_iteration_is_guarded_and_a_part_of_a_part_can_be_split():
    function = after(
        Split("out_j", 6, "o", "j"), SplitFirst("j", 2, 3, "jo", "jo", "ji"), ComputeAt("twice", "jo")
    )
    text = print_function(function)
    assert "for jo in range(" in text
    assert " if " not in text
    assert "where" not in text


def test_loops_show_where_parts_begin():
    lines = [
        line.strip()
        for line in print_function(after(SplitFirst("out_j", 4, 2, "jo", "jo", "ji"))).split("\n")
    ]
    assert "for jo in range(4):" in lines
    assert any("max(4 * jo - 2, 0) + ji" in line for line in lines)


@pytest.mark.parametrize(
    ("step", "remedy"),
    [
        (SplitFirst("out_j", 0, 1, "x", "x", "y"), "factor and first must be at least 1, not 0 and 1"),
        (SplitFirst("out_j", 2, -1, "x", "x", "y"), "factor and first must be at least 1, not 2 and -1"),
        (
            SplitFirst("out_j", 2, 1, "out_k", "x", "y"),
            "must be the new outer loop or one around out_j, not out_k",
        ),
        (SplitFirst("out_j", 2, 1, "x", "x", "x"), "must be a new identifier"),
        (SplitFirst("none", 2, 1, "x", "x", "y"), "there is no loop none"),
    ],
    ids=str,
)
def test_mistakes_are_refused_with_a_remedy(step, remedy):
    with pytest.raises(ScheduleError, match=remedy):
        schedule.apply(PROGRAM, [step])
