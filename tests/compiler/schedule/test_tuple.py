"""Blocks with several outputs under every primitive: they stay together, or the reason is said."""

import numpy as np
import pytest

from te_reduction import FIRST_MAXIMUM
from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    CacheRead,
    CacheWrite,
    ComputeAt,
    DecomposeReduction,
    Fuse,
    Inline,
    Parallel,
    Reorder,
    ReverseComputeAt,
    ReverseInline,
    RFactor,
    ScheduleError,
    SetScope,
    Split,
    StorageAlign,
    Vectorise,
    double_buffer,
)
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function

X = te.placeholder((8, 5), DType.INT32, "x")
K = te.reduce_axis(5, "k")
ARRAYS = {"x": np.arange(40, dtype=np.int32).reshape(8, 5) * 7 % 13 - 6}


def lowered(*outputs):
    return te.lower("f", [X], outputs)


def argmax():
    """Both results of a reduction, read together, of neighbours, and alone."""
    wide = te.compute((8, 5), lambda i, j: X[i, j] + 1, "wide")
    place, value = te.compute((8,), lambda i: FIRST_MAXIMUM((te.cast(K, DType.INT32), wide[i, K]), K), "best")
    return te.compute((7,), lambda i: place[i] * 100 + value[i + 1], "out"), place, value


OUT, PLACE, VALUE = argmax()
BEST = lowered(OUT)
RESULTS = lowered(PLACE, VALUE)


QUOTIENT, REST = te.compute((8, 5), lambda i, j: (X[i, j] // 3, X[i, j] % 3), "part")
PARTS = lowered(
    *te.compute((8, 5), lambda i, j: (QUOTIENT[i, j] + REST[i, j], QUOTIENT[i, j] - REST[i, j]), "both")
)
FIRST_ONLY = lowered(te.compute((8, 5), lambda i, j: QUOTIENT[i, j] * 2, "twice"))


def after(function, *steps):
    """The scheduled function, whose numbers were compared."""
    result = schedule.apply(function, steps)
    expected = run(function, ARRAYS)
    for name, array in run(result, ARRAYS).items():
        np.testing.assert_array_equal(array, expected[name])
    return print_function(result)


def test_both_results_are_attached_with_the_box_of_either():
    text = after(BEST, Split("out_i", 3, "io", "ii"), ComputeAt("best", "io"), ComputeAt("wide", "io"))
    assert "allocate best_0: int32[min(3, 7 - 3 * io) + 1]" in text
    assert "allocate best_1: int32[min(3, 7 - 3 * io) + 1]" in text
    assert "for best_i in range(min(3, 7 - 3 * io) + 1):" in text


def test_one_block_copies_both_results_out():
    text = after(RESULTS, CacheWrite("best", MemoryScope.ACCUMULATOR, "own"))
    assert "allocate own_0: int32[8] accumulator" in text
    assert "best_0[v_own_i], best_1[v_own_i] = own_0[v_own_i], own_1[v_own_i]" in text


@pytest.mark.parametrize(
    ("function", "steps"),
    [
        (BEST, (Split("best_k", 2, "ko", "ki"), Reorder(("ko", "best_i")), ComputeAt("best", "out_i"))),
        (BEST, (ComputeAt("best", "out_i"), ComputeAt("wide", "best_i"), Split("out_i", 2, "a", "b"))),
        (BEST, (RFactor("best", "best_k", "p"), ComputeAt("p", "best_i"), ComputeAt("best", "out_i"))),
        (BEST, (DecomposeReduction("best", "best_i", "zero"), Parallel("best_i"))),
        (
            BEST,
            (
                CacheWrite("best", MemoryScope.LANE, "own"),
                ComputeAt("own", "out_i"),
                ComputeAt("best", "own_i"),
            ),
        ),
        (BEST, (CacheRead("out", "best_1", MemoryScope.LANE, "near"), ComputeAt("near", "out_i"))),
        (BEST, (SetScope("best_0", MemoryScope.LANE), double_buffer("best_1"), ComputeAt("best", "out_i"))),
        (BEST, (StorageAlign("best_0", 0, 4, 1), ComputeAt("best", "out_i"))),
        (RESULTS, (CacheWrite("best", MemoryScope.LANE, "own"), ReverseComputeAt("own", "best_i"))),
        (RESULTS, (CacheWrite("best", MemoryScope.LANE, "own"), RFactor("best", "best_k", "p"))),
        (PARTS, (ComputeAt("part", "both_j"),)),
        (PARTS, (Inline("part"),)),
        (PARTS, (ReverseComputeAt("both", "part_i"), Vectorise("both_j"))),
        (PARTS, (Fuse("part_i", "part_j", "f"), Split("f", 7, "a", "b"))),
        (PARTS, (CacheWrite("part", MemoryScope.LANE, "own"), ReverseComputeAt("own", "part_i"))),
        (FIRST_ONLY, (ComputeAt("part", "twice_i"),)),
        (FIRST_ONLY, (Inline("part"),)),
    ],
    ids=lambda value: (
        schedule.print_schedule(value) if isinstance(value, tuple) else value.parameters[-1].name
    ),
)
def test_schedule_of_several_outputs_keeps_the_numbers(function, steps):
    after(function, *steps)


def test_consumer_with_several_outputs_becomes_what_its_producer_stores():
    wide = te.compute((8, 5), lambda i, j: X[i, j] + 1, "wide")
    less, more = te.compute((8, 5), lambda i, j: (wide[i, j] - 3, wide[i, j] * 3), "pair")
    text = after(lowered(less, more), ReverseInline("pair", "wide"))
    assert "pair_0[v_wide_i, v_wide_j], pair_1[v_wide_i, v_wide_j] = " in text


REFUSED = [
    (
        FIRST_ONLY,
        [Split("part_i", 8, "o", "i"), ReverseComputeAt("twice", "o")],
        CacheWrite("part", MemoryScope.LANE, "own"),
        "part must store to the same element of part_0 and part_1",
    ),
    (BEST, [], Inline("best"), "best must not reduce: use compute_at"),
    (RESULTS, [], ComputeAt("best", "best_i"), "buffer best_0 is a parameter"),
    (PARTS, [], ReverseInline("both", "part"), "part must store to one buffer, not to part_0, part_1"),
    (BEST, [], ComputeAt("best", "wide_i"), "wide_i must be around all that read best_0 and best_1"),
    (
        FIRST_ONLY,
        [ReverseComputeAt("twice", "part_i")],
        ComputeAt("part", "twice_i"),
        "must store to the same element of part_0 and part_1: apply this before one of them is attached",
    ),
    (
        FIRST_ONLY,
        [ReverseComputeAt("twice", "part_j"), Fuse("part_i", "part_j", "f")],
        CacheWrite("part", MemoryScope.LANE, "own"),
        "must store to the same element of part_0 and part_1|must be allocated at one place",
    ),
]


@pytest.mark.parametrize(("function", "before", "step", "reason"), REFUSED)
def test_what_would_part_the_outputs_is_refused(function, before, step, reason):
    function = schedule.apply(function, before)
    with pytest.raises(ScheduleError, match=reason) as caught:
        schedule.apply(function, [step])
    assert str(caught.value).startswith(f"{step}: ")
    assert str(caught.value).endswith(print_function(function))
