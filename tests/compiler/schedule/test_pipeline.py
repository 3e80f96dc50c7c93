"""Pipelines: stages of a loop are issued in the steps that their offsets say, and compute the same."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    CacheRead,
    ComputeAt,
    Pipeline,
    ReverseComputeAt,
    ScheduleError,
    Split,
    VirtualThread,
)
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.issue_order import IssuePlace, loops_across
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import For, PipelineStage, Pipelining
from tilewright.compiler.tir.walk import rewrite_stmt, statements

X = np.arange(42, dtype=np.int32).reshape(6, 7) % 11 - 4


def build():
    """Twice x; its products with weights, summed over columns; what is over a mean, in tiles of rows."""
    x, w = te.placeholder((6, 7), DType.INT32, "x"), te.placeholder((7, 5), DType.INT32, "w")
    twice = te.compute((6, 7), lambda i, k: x[i, k] * 2, "twice")
    next_ = te.compute((6, 7), lambda i, k: twice[i, k] + 1, "next")
    k = te.reduce_axis(7, "k")
    sums = te.compute((6, 5), lambda i, j: te.sum_of(next_[i, k] * w[k, j], k), "sums")
    out = te.compute((6, 5), lambda i, j: sums[i, j] - 3, "out")
    return te.lower("steps", [x, w], [out])


STEPS = build()
ARRAYS = {"x": X, "w": np.arange(35, dtype=np.int32).reshape(7, 5) - 16}
INSIDE = (
    Split("out_i", 4, "io", "ii"),
    ComputeAt("sums", "io"),
    schedule.Reorder(("sums_k", "sums_i", "sums_j")),
    ComputeAt("next", "sums_k"),
    ComputeAt("twice", "sums_k"),
)
"""A loop over the columns of each tile of rows, with stages twice, next and sums; out behind it."""
NAMES = ("twice", "next", "sums")


def pipeline(offsets=(0, 0, 0), stages=NAMES, across="io", drain=None):
    return Pipeline("sums_k", across, stages, offsets, max(offsets) if drain is None else drain)


@pytest.mark.parametrize("offsets", [each for each in product(range(3), repeat=3) if sorted(each) == [*each]])
@pytest.mark.parametrize("across", ["io", "sums_k"])
@pytest.mark.parametrize("further", [0, 2])
def test_any_rising_offsets_keep_the_numbers(offsets, across, further):
    steps = (*INSIDE, pipeline(offsets, across=across, drain=max(offsets) + further))
    found = run(schedule.apply(STEPS, steps), ARRAYS)["out"]
    assert np.array_equal(found, run(STEPS, ARRAYS)["out"])


def test_later_stages_may_be_named_first_where_they_are_of_iterations_before():
    steps = (*INSIDE, pipeline((2, 1, 0), ("sums", "next", "twice")))
    assert np.array_equal(run(schedule.apply(STEPS, steps), ARRAYS)["out"], run(STEPS, ARRAYS)["out"])


def pipelined(function, pipelining):
    """Whatever order, sound or not."""

    def change(stmt):
        is_it = isinstance(stmt, For) and stmt.var.name == "sums_k"
        return replace(stmt, pipelining=pipelining) if is_it else stmt

    return replace(function, body=rewrite_stmt(function.body, change))


@pytest.mark.parametrize(
    "order",
    [
        Pipelining("io", (PipelineStage("twice", 1), PipelineStage("next", 0), PipelineStage("sums", 1)), 1),
        Pipelining("io", (PipelineStage("next", 0), PipelineStage("twice", 0), PipelineStage("sums", 0)), 0),
        Pipelining("io", (PipelineStage("twice", 0), PipelineStage("next", 0), PipelineStage("sums", 1)), 0),
    ],
)
def test_interpreter_issues_in_the_order_that_is_written(order):
    """An order that is not sound gives other numbers: nothing runs in the order of the program."""
    function = pipelined(schedule.apply(STEPS, INSIDE), order)
    assert not np.array_equal(run(function, ARRAYS)["out"], run(STEPS, ARRAYS)["out"])


def test_steps_go_on_over_tiles():
    """With a drain of two steps, results of the first tile leave when the second is under way."""
    function = schedule.apply(STEPS, (*INSIDE, pipeline((0, 0, 1), drain=2)))
    assert loops_across(function.body) == {"io": True, "sums_k": False}
    assert "pipeline(twice + 0, next + 0, sums + 1; across io, drain + 2)" in print_function(function)
    assert IssuePlace(0, 7, 0).behind(7, 2) > IssuePlace(0, 8, 5)


def test_buffers_of_iterations_are_their_own():
    """Twice of the next iteration is computed before next of this one: in one buffer it would be lost."""
    steps = (*INSIDE, pipeline((0, 1, 1), ("twice", "next", "sums")))
    assert np.array_equal(run(schedule.apply(STEPS, steps), ARRAYS)["out"], run(STEPS, ARRAYS)["out"])


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (CacheRead("twice", "x", MemoryScope.ACTIVATION, "copy"), "stages must name each loop nest"),
        (VirtualThread("io"), "loop io, virtual_thread, must not have an order of its own"),
        (Split("io", 1, "first", "second"), "across must be sums_k or a loop around it"),
    ],
)
def test_what_would_break_a_pipeline_afterwards_is_refused(later, reason):
    steps = (*INSIDE, pipeline((0, 1, 1)))
    first = CacheRead("twice", "x", MemoryScope.ACTIVATION, "copy")
    later = (first, ComputeAt("copy", "sums_k")) if later == first else (later,)
    with pytest.raises(ScheduleError, match=f"pipeline loop=sums_k .*{reason}"):
        schedule.apply(STEPS, (*steps, *later))


def test_stage_that_moves_into_a_pipelined_loop_must_be_named():
    steps = (*INSIDE[:-1], Pipeline("sums_k", "sums_k", ("next", "sums"), (0, 1), 1))
    with pytest.raises(ScheduleError, match="stages must name each loop nest in sums_k once"):
        schedule.apply(STEPS, (*steps, ComputeAt("twice", "sums_k")))


def test_loops_that_are_pipelined_print_and_keep_it_through_other_steps():
    function = schedule.apply(STEPS, (*INSIDE, pipeline((0, 1, 1)), Split("sums_i", 2, "so", "si")))
    (loop,) = [s for s in statements(function.body) if isinstance(s, For) and s.pipelining is not None]
    assert loop.var.name == "sums_k"


def shared():
    """Twice x, which a stage beside and one behind read."""
    x = te.placeholder((6, 7), DType.INT32, "x")
    twice = te.compute((6, 7), lambda i, k: x[i, k] * 2, "twice")
    next_ = te.compute((6, 7), lambda i, k: twice[i, k] + 1, "next")
    return te.lower("shared", [x], [te.compute((6, 7), lambda i, k: next_[i, k] - twice[5 - i, k], "out")])


SHARED = shared()
REFUSED = [
    (STEPS, INSIDE, pipeline(across="out_j"), "across must be sums_k or a loop around it: one of io, sums_k"),
    (
        STEPS,
        (*INSIDE, VirtualThread("io")),
        pipeline(),
        "loop io, virtual_thread, must not have an order of its own",
    ),
    (STEPS, INSIDE, pipeline(stages=("twice", "sums")), "stages must name each loop nest in sums_k once"),
    (STEPS, INSIDE, pipeline((0, 0)), "offsets must be 3 numbers of at least 0, .* not 0, 0"),
    (STEPS, INSIDE, pipeline((0, 1, 2), drain=1), "drain must be at least the largest offset, 2, not 1"),
    (STEPS, INSIDE, pipeline((1, 0, 1)), "next needs twice after twice: give it a larger offset"),
    (STEPS, INSIDE, pipeline(stages=("next", "twice", "sums")), "next needs twice after twice"),
    (
        STEPS,
        (Split("out_i", 4, "io", "ii"), ComputeAt("sums", "ii"), ComputeAt("next", "ii")),
        Pipeline("io", "io", ("twice",), (0,), 0),
        "stages must name each loop nest",
    ),
    (
        # What is computed once for all tiles.
        STEPS,
        (Split("sums_i", 4, "io", "ii"), schedule.Reorder(("io", "sums_k", "ii", "sums_j"))),
        Pipeline("sums_k", "io", ("sums",), (1,), 1),
        "sums must be allocated in the loop around sums_k",
    ),
    (
        SHARED,
        (ReverseComputeAt("next", "twice_i"),),
        Pipeline("twice_i", "twice_i", ("twice", "next"), (0, 1), 1),
        "twice, of twice and next, must be allocated in twice_i: its iterations share it",
    ),
    (STEPS, (*INSIDE, pipeline()), Split("sums_k", 2, "a", "b"), "sums_k must be pipelined behind this"),
]
