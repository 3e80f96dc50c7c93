"""Wrong code that random schedules found, each in its smallest form."""

import numpy as np
import pytest

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    CacheRead,
    ComputeAt,
    DecomposeReduction,
    ReverseComputeAt,
    RFactor,
    ScheduleError,
    Split,
)
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.interpret import run

A = te.placeholder((7, 6), DType.INT32, "a")
B = te.placeholder((9,), DType.INT32, "b")
ARRAYS = {"a": np.arange(42, dtype=np.int32).reshape(7, 6) % 11 - 4, "b": np.arange(9, dtype=np.int32) * 3}
K = te.reduce_axis(6, "k")


def after(steps, *outputs):
    """The numbers of the scheduled program, which were compared with numpy's."""
    function = schedule.apply(te.lower("f", [A, B], outputs), steps)
    expected = te.evaluate(outputs, {A: ARRAYS["a"], B: ARRAYS["b"]})
    found = run(function, ARRAYS)
    for output, array in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(found[output.name], array)


@pytest.mark.parametrize(("size", "ahead"), [(5, 0), (5, 2), (7, 2)])
def test_consumer_of_a_part_does_not_run_over_all_that_is_produced(size, ahead):
    """It took the range of its producer, and stored behind the end of its own tensor, or before its begin."""
    part = te.compute((size,), lambda i: B[i + ahead] + 1, "part")
    after([CacheRead("part", "b", MemoryScope.LANE, "near"), ReverseComputeAt("part", "near_0")], part)
    after(
        [
            CacheRead("part", "b", MemoryScope.LANE, "near"),
            Split("near_0", 4, "o", "i"),
            ReverseComputeAt("part", "o"),
        ],
        part,
    )


@pytest.mark.parametrize(("before", "behind"), [(1, 1), (1, 0), (0, 1)])
def test_consumer_that_pads_stays_behind_what_it_pads(before, behind):
    """It ran only where it read its producer: the border was never stored."""

    def bordered(i):
        return te.select(te.both([i >= before, i < 9 + before]), B[i - before], 7)

    padded = te.compute((9 + before + behind,), bordered, "padded")
    function = te.lower("f", [A, B], [padded])
    steps = [CacheRead("padded", "b", MemoryScope.LANE, "near"), ReverseComputeAt("padded", "near_0")]
    with pytest.raises(
        ScheduleError, match="padded_i must run over elements of near that near stores, and no"
    ):
        schedule.apply(function, steps)


def test_init_does_not_leave_the_loop_in_which_its_start_is():
    """The init stood before the loop in which the buffer that it reads is allocated and filled."""
    total = te.compute((7,), lambda i: te.sum_of(A[i, K], K, init=B[i]), "total")
    near = [CacheRead("total", "b", MemoryScope.LANE, "near"), ComputeAt("near", "total_i")]
    after([*near, DecomposeReduction("total", "total_k", "zero")], total)
    function = te.lower("f", [A, B], [total])
    with pytest.raises(ScheduleError, match="near, which the init reads, must be there before total_i"):
        schedule.apply(function, [*near, DecomposeReduction("total", "total_i", "zero")])


@pytest.mark.parametrize("factor", [4, 5])
def test_partial_results_of_a_tail_are_attached_as_far_as_they_go(factor):
    """The shorter last part of a split reduction was run over at full length."""
    total = te.compute((7,), lambda i: te.sum_of(A[i, K], K), "total")
    steps = [
        Split("total_k", factor, "ko", "ki"),
        RFactor("total", "ki", "part"),
        ComputeAt("part", "total_i"),
    ]
    after(steps, total)
