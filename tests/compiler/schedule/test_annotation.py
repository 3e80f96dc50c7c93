"""Tiles, parts, single trips, alignment and prefetching: what they become, and what they refuse."""

import numpy as np
import pytest

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    ComputeAt,
    Fuse,
    Prefetch,
    Reorder,
    ScheduleError,
    Split,
    SplitParts,
    StorageAlign,
    Tile,
    UnitLoop,
)
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function

ARRAYS = {"a": np.arange(70, dtype=np.int32).reshape(10, 7)}


def made():
    a, k = te.placeholder((10, 7), DType.INT32, "a"), te.reduce_axis(7, "k")
    twice = te.compute((10, 7), lambda i, j: a[i, j] * 2, "twice")
    out = te.compute((10, 7), lambda i, j: twice[i, j] + 1, "out")
    row = te.compute((), lambda: te.sum_of(a[3, k], k), "row")
    last = te.compute((), lambda: row[()] + 1, "last")
    return te.lower("f", [a], [out, last])


PROGRAM = made()


def after(*steps):
    """The loops of the scheduled program, whose numbers were compared, and whose steps print and parse."""
    result, expected = schedule.apply(PROGRAM, steps), run(PROGRAM, ARRAYS)
    for name, array in run(result, ARRAYS).items():
        np.testing.assert_array_equal(array, expected[name])
    assert schedule.parse_schedule(schedule.print_schedule(steps)) == steps
    return [line.strip() for line in print_function(result).splitlines()]


def test_tile_is_two_splits_and_a_reorder():
    tile = Tile("out_i", "out_j", 4, 3)
    assert schedule.print_schedule(tile.steps).splitlines() == [
        "split loop=out_i factor=4 outer=out_i_o inner=out_i_i",
        "split loop=out_j factor=3 outer=out_j_o inner=out_j_i",
        "reorder loops=out_i_o,out_j_o,out_i_i,out_j_i",
    ]
    lines = after(tile)
    start = lines.index("for out_i_o in range(3):")
    assert lines[start + 1 : start + 4] == [
        "for out_j_o in range(3):",
        "for out_i_i in range(min(4, 10 - 4 * out_i_o)):",
        "for out_j_i in range(min(3, 7 - 3 * out_j_o)):",
    ]
    assert after(*tile.steps) == lines


@pytest.mark.parametrize(
    ("parts", "loops"), [(1, (1, 10)), (2, (2, 5)), (5, (5, 2)), (10, (10, 1)), (12, (10, 1))]
)
def test_split_by_parts(parts, loops):
    lines = after(SplitParts("out_i", parts, "io", "ii"))
    assert [f"for {name} in range({n}):" for name, n in zip(("io", "ii"), loops, strict=True)] == [
        line for line in lines if line.startswith(("for io", "for ii"))
    ]


def test_parts_that_do_not_divide_leave_a_smaller_one():
    assert "for ii in range(min(4, 10 - 4 * io)):" in after(SplitParts("out_i", 3, "io", "ii"))


def test_number_of_rank_0_has_a_loop_to_attach_to():
    lines = after(UnitLoop("last", "once"), ComputeAt("row", "once"))
    assert lines[lines.index("for once in range(1):") + 1] == "allocate row: int32[]"


def test_alignment_is_part_of_the_buffer():
    lines = after(StorageAlign("twice", 0, 8, 4), StorageAlign("twice", 0, 16, 1))
    assert "allocate twice: int32[10, 7] align(0, 16, 1)" in lines


def test_hint_stays_with_the_iterations_that_it_counts():
    lines = after(Prefetch("twice", "out_i", 2), Split("out_i", 4, "io", "ii"))
    assert "for ii in range(min(4, 10 - 4 * io)): prefetch(twice, 2)" in lines
    assert "for f in range(70): prefetch(twice, 14)" in after(
        Prefetch("twice", "out_i", 2), Fuse("out_i", "out_j", "f")
    )
    assert "for out_i in range(10): prefetch(a, 1)" not in after(Reorder(("out_j", "out_i")))


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (Tile("out_i", "out_j", 0, 2), "the factor must be at least 1"),
        (Tile("out_i", "row_k", 2, 2), "must be around or inside of the others"),
        (SplitParts("out_i", 0, "a", "b"), "parts be at least 1, not 0: use split by a factor"),
        (UnitLoop("out", "out_i"), "'out_i' must be a new identifier"),
        (UnitLoop("none", "n"), "there is no block none"),
        (StorageAlign("out", 0, 8, 0), "buffer out is a parameter"),
        (StorageAlign("twice", 2, 8, 0), "axis must be from 0 to 1 and offset from 0 to factor - 1, not 2"),
        (StorageAlign("twice", 0, 8, 8), "offset from 0 to factor - 1, not 0 and 8"),
        (Prefetch("twice", "out_i", 0), "the distance must be at least 1, not 0"),
        (Prefetch("out", "out_i", 1), "out_i read out, allocated outside of it: use cache_read"),
    ],
)
def test_refusal_names_step_reason_and_loops(step, reason):
    with pytest.raises(ScheduleError, match=reason) as caught:
        schedule.apply(PROGRAM, [step])
    assert "function f(" in str(caught.value)


def test_parts_of_a_tail_are_refused():
    with pytest.raises(ScheduleError, match="ii must have a constant extent"):
        schedule.apply(PROGRAM, [Split("out_i", 4, "io", "ii"), SplitParts("ii", 2, "x", "y")])
