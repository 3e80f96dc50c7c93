"""Scheduled reductions: partial results, separate inits, consumers in loops of producers, kept orders."""

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
    Split,
    Vectorise,
)
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function

X = te.placeholder((6, 10), DType.INT32, "x")
START = te.placeholder((6,), DType.INT32, "start")
K = te.reduce_axis(10, "k")
ARRAYS = {
    "x": np.arange(60, dtype=np.int32).reshape(6, 10) * 7 % 13 - 6,
    "start": np.arange(6, dtype=np.int32) * 100,
}


def program(*outputs):
    return te.lower("f", [X, START], outputs)


SUM = program(te.compute((6,), lambda i: te.sum_of(X[i, K], K), "t"))
GUARDED = program(te.compute((6,), lambda i: te.sum_of(X[i, K], K, where=X[i, K] > 0, init=START[i]), "t"))
PRODUCT = program(te.compute((6,), lambda i: te.prod_of(X[i, K], K, where=K >= 1, init=3), "t"))
PLACE = program(
    *te.compute(
        (6,), lambda i: FIRST_MAXIMUM((te.cast(K, DType.INT32), X[i, K]), K, where=X[i, K] % 2 < 1), "t"
    )
)
ALL = program(te.compute((), lambda: te.max_of(X[0, K], K), "t"))
PROGRAMS = {"sum": SUM, "guarded": GUARDED, "product": PRODUCT, "place": PLACE, "all": ALL}


def after(function, *steps):
    """The scheduled function, whose numbers were compared."""
    result = schedule.apply(function, steps)
    expected = run(function, ARRAYS)
    for name, array in run(result, ARRAYS).items():
        np.testing.assert_array_equal(array, expected[name])
    assert schedule.parse_schedule(schedule.print_schedule(steps)) == steps
    return result


def text(function):
    return [line.strip() for line in print_function(function).splitlines()[1:]]


def test_r_factor_makes_the_loop_an_axis():
    assert text(after(SUM, Split("t_k", 5, "ko", "ki"), RFactor("t", "ko", "part"))) == [
        "allocate part: int32[2, 6]",
        "for part_i in range(6):",
        "for part_ko in range(2):",
        "for part_ki in range(5):",
        "block part(v_part_i = part_i, v_part_ko = part_ko, reduce v_part_ki = part_ki):",
        "init part[v_part_ko, v_part_i] = int32(0)",
        "part[v_part_ko, v_part_i] = part[v_part_ko, v_part_i] + x[v_part_i, 5 * v_part_ko + v_part_ki]",
        "for t_i in range(6):",
        "for ko in range(2):",
        "block t(v_t_i = t_i, reduce v_t_ko = ko):",
        "init t[v_t_i] = int32(0)",
        "t[v_t_i] = t[v_t_i] + part[v_t_ko, v_t_i]",
    ]


@pytest.mark.parametrize("loop", ["ko", "ki"])
@pytest.mark.parametrize("factor", [1, 4, 5, 16])
@pytest.mark.parametrize("name", PROGRAMS)
def test_r_factor_keeps_predicates_inits_and_tuples(name, factor, loop):
    found = after(PROGRAMS[name], Split("t_k", factor, "ko", "ki"), RFactor("t", loop, "part"))
    assert "select" in print_function(found) or name in ("sum", "all")


@pytest.mark.parametrize("loop", ["ko", "kio", "kii"])
def test_r_factor_of_a_split_of_a_tail(loop):
    after(GUARDED, Split("t_k", 4, "ko", "ki"), Split("ki", 3, "kio", "kii"), RFactor("t", loop, "part"))


def test_r_factor_of_the_only_reduced_loop_leaves_plain_elements():
    assert "part[v_part_k, v_part_i] = x[v_part_i, v_part_k]" in text(after(SUM, RFactor("t", "t_k", "part")))


def test_partial_results_are_computed_in_parallel():
    steps = (Split("t_k", 3, "ko", "ki"), RFactor("t", "ko", "part"), Reorder(("part_ko", "part_i")))
    assert "for part_ko in parallel(4):" in text(after(SUM, *steps, Parallel("part_ko")))


def test_attached_reduction_is_factored_where_it_is():
    k, half = te.reduce_axis(10, "h"), te.placeholder((6, 10), DType.INT32, "x")
    row = te.compute((6,), lambda i: te.sum_of(half[i, k], k), "row")
    out = te.compute((6,), lambda i: row[i] + 1, "out")
    function = te.lower("f", [half], [out])
    steps = [ComputeAt("row", "out_i"), Split("row_h", 4, "ho", "hi"), RFactor("row", "hi", "part")]
    found = schedule.apply(function, steps)
    np.testing.assert_array_equal(run(found, ARRAYS)["out"], run(function, ARRAYS)["out"])
    assert "allocate part: int32[4, 1]" in text(found)
    assert text(found).index("for out_i in range(6):") < text(found).index("allocate part: int32[4, 1]")


@pytest.mark.parametrize("name", PROGRAMS)
def test_init_is_a_block_of_its_own(name):
    before = [Split("t_k", 4, "ko", "ki")]
    lines = text(after(PROGRAMS[name], *before, DecomposeReduction("t", "ko", "zero")))
    assert not any(line.startswith("init") for line in lines)
    assert any(line.startswith("block zero(") for line in lines)


def test_init_is_repeated_for_the_loops_inside():
    steps = (Split("t_i", 4, "io", "ii"), Reorder(("t_k", "ii")), DecomposeReduction("t", "t_k", "zero"))
    assert text(after(SUM, *steps))[1:4] == [
        "for zero_ii in range(min(4, 6 - 4 * io)):",
        "block zero(v_zero_i = 4 * io + zero_ii):",
        "t[v_zero_i] = int32(0)",
    ]


def test_update_alone_can_still_be_factored():
    after(SUM, DecomposeReduction("t", "t_i", "zero"), RFactor("t", "t_k", "part"))


@pytest.fixture
def elementwise():
    doubled = te.compute((6, 10), lambda i, j: X[i, j] * 2, "doubled")
    shown = te.compute((10, 6), lambda i, j: doubled[j, i] * doubled[j, i] - START[j], "shown")
    return program(shown)


def test_consumer_becomes_what_the_producer_stores(elementwise):
    assert text(after(elementwise, Split("doubled_i", 4, "io", "ii"), ReverseInline("shown", "doubled"))) == [
        "for io in range(2):",
        "for ii in range(min(4, 6 - 4 * io)):",
        "for doubled_j in range(10):",
        "block doubled(v_doubled_i = 4 * io + ii, v_doubled_j = doubled_j):",
        "shown[v_doubled_j, v_doubled_i] = x[v_doubled_i, v_doubled_j] * 2 * "
        "(x[v_doubled_i, v_doubled_j] * 2) - start[v_doubled_i]",
    ]


def running():
    state = te.placeholder((6, 10), DType.INT32, "state")
    first = te.compute((1, 10), lambda t, i: X[t, i], "first")
    moved = te.compute((6, 10), lambda t, i: state[t - 1, (i + 1) % 10] * 2, "moved")
    update = te.compute((6, 10), lambda t, i: moved[t, i] + X[t, i], "next")
    (found,) = te.scan(first, update, state, "s")
    plus = te.compute((6, 10), lambda t, i: found[t, i] + 1, "plus")
    return program(plus)


SCAN = running()


@pytest.mark.parametrize(
    "steps",
    [
        (Split("s_t", 2, "to", "ti"), Split("next_i", 4, "io", "ii"), Vectorise("ii")),
        (ComputeAt("moved", "next_i"),),
        (Inline("moved"),),
        (Inline("moved"), Fuse("s_t", "next_i", "f")),
        (CacheRead("next", "x", MemoryScope.ACTIVATION, "near"), ComputeAt("near", "s_t")),
        (CacheRead("plus", "s", MemoryScope.ACTIVATION, "near"), ComputeAt("near", "plus_i")),
        (Inline("first"),),
        (ReverseInline("s_init", "first"),),
    ],
    ids=schedule.print_schedule,
)
def test_what_runs_at_each_step_is_scheduled_inside(steps):
    after(SCAN, *steps)


def opaque():
    twice = te.compute((6, 10), lambda i, j: X[i, j] * 2, "twice")

    def fill(a, b):
        b[:] = np.sort(a, axis=1)

    (rows,) = te.extern([((6, 10), DType.INT32)], [twice], fill, "rows")
    return program(te.compute((6, 10), lambda i, j: rows[i, j] + 1, "out"))


OPAQUE = opaque()


REFUSED = [
    (SUM, [], RFactor("t", "t_i", "p"), r"t_i must be a loop directly around t.*\(t_k\)"),
    (SCAN, [], RFactor("plus", "plus_i", "p"), "plus must reduce by an operator or its reducer"),
    (
        SUM,
        [Fuse("t_i", "t_k", "f")],
        RFactor("t", "f", "p"),
        "f must be reduced over alone: apply this before it is fused",
    ),
    (SUM, [], DecomposeReduction("t", "t_j", "z"), "there is no loop t_j"),
    (SCAN, [], DecomposeReduction("plus", "plus_i", "z"), "plus must have an init, and plus_i be around"),
    (
        SUM,
        [Split("t_k", 4, "ko", "ki")],
        DecomposeReduction("t", "ki", "z"),
        "t reduces over ko too, which is around ki: name that",
    ),
    (
        SUM,
        [Fuse("t_i", "t_k", "f")],
        DecomposeReduction("t", "f", "z"),
        "f must be reduced over alone: apply this before it is fused",
    ),
    (
        SUM,
        [DecomposeReduction("t", "t_i", "z")],
        DecomposeReduction("t", "t_i", "y"),
        "must have an init",
    ),
    (SCAN, [], ReverseInline("plus", "next"), "next must not reduce"),
    (SCAN, [], ReverseInline("next", "moved"), "next must not reduce"),
    (SCAN, [], ReverseInline("s_init", "moved"), "moved must be read by s_init alone"),
    (SCAN, [], Vectorise("s_t"), r"s_t must not run in order \(next does, over it\)"),
    (SCAN, [], Parallel("s_t"), "s_t must not run in order"),
    (SCAN, [Inline("moved")], Reorder(("next_i", "s_t")), "next runs in order over s_t"),
    (
        SCAN,
        [Inline("moved"), Split("s_t", 2, "to", "ti")],
        Reorder(("ti", "to")),
        "next runs in order over|the extent of",
    ),
    (SCAN, [], ReverseComputeAt("plus", "s_t"), "s, which plus reads, must be written by one block"),
    (SCAN, [], ReverseComputeAt("next", "moved_i"), "next runs in order and must stay where it is"),
    (
        SCAN,
        [],
        CacheRead("next", "s", MemoryScope.ACTIVATION, "n"),
        "there|must read buffer s and not write it",
    ),
    (SCAN, [], CacheWrite("next", MemoryScope.ACTIVATION, "n"), "s must be used by next alone"),
    (SCAN, [], ComputeAt("next", "plus_t"), "plus_t must be around all that read s, moved too"),
    (SCAN, [], Inline("s_init"), "s must be written by s_init alone"),
    (OPAQUE, [], ComputeAt("twice", "out_i"), "rows reads all of twice, at no loop"),
    (OPAQUE, [], Inline("twice"), "rows reads all of twice: it must stay a buffer"),
    (OPAQUE, [], ReverseComputeAt("out", "twice_i"), "must be written by one block inside|out must read"),
    (OPAQUE, [], ReverseInline("out", "twice"), "must be read by out alone"),
]


@pytest.mark.parametrize(("function", "before", "step", "reason"), REFUSED)
def test_refusal_names_step_reason_and_loops(function, before, step, reason):
    function = schedule.apply(function, before)
    with pytest.raises(ScheduleError, match=reason) as caught:
        schedule.apply(function, [step])
    assert str(caught.value).startswith(f"{step}: ")
    assert str(caught.value).endswith(print_function(function))


def test_copies_beside_opaque_code_keep_the_numbers():
    after(OPAQUE, CacheRead("out", "rows", MemoryScope.ACTIVATION, "near"), ComputeAt("near", "out_i"))
