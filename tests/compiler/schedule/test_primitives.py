"""Each primitive on small programs: what the loops become, and what is refused with which remedy."""

import numpy as np
import pytest

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    BufferDepth,
    CacheRead,
    CacheWrite,
    ComputeAt,
    Fuse,
    Inline,
    Parallel,
    Reorder,
    ReverseComputeAt,
    ScheduleError,
    SetScope,
    Split,
    Unroll,
    Vectorise,
    VirtualThread,
    double_buffer,
)
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import BufferLoad, Const, Var, maximum
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import Allocate, Block, BufferStore, For, Iter, IterKind, PrimFunc, Seq
from tilewright.compiler.tir.walk import statements

ARRAYS = {"a": np.arange(70, dtype=np.int32).reshape(10, 7), "w": np.array([3, 5], np.int32)}


def build():
    """Twice a, its sums along rows with weights (of two neighbours), and those plus one."""
    a, w = te.placeholder((10, 7), DType.INT32, "a"), te.placeholder((2,), DType.INT32, "w")
    twice = te.compute((10, 7), lambda i, j: a[i, j] * 2, "twice")
    k = te.reduce_axis(2, "k")
    row = te.compute((9, 7), lambda i, j: te.sum_of(twice[i + k, j] * w[k], k), "row")
    out = te.compute((9, 7), lambda i, j: row[i, j] + 1, "out")
    return te.lower("program", [a, w], [out])


PROGRAM = build()


@pytest.fixture
def program():
    return PROGRAM


def after(program, *steps):
    """The scheduled function, whose numbers were compared."""
    result = schedule.apply(program, steps)
    np.testing.assert_array_equal(run(result, ARRAYS)["out"], run(program, ARRAYS)["out"])
    return result


def loops(function):
    lines = print_function(function).splitlines()
    return [line.strip() for line in lines if line.strip().startswith(("for", "allocate", "block"))]


def test_split_makes_the_last_tile_smaller(program):
    text = loops(after(program, Split("out_i", 4, "io", "ii")))
    assert text[-4:-1] == [
        "for io in range(3):",
        "for ii in range(min(4, 9 - 4 * io)):",
        "for out_j in range(7):",
    ]
    assert text[-1] == "block out(v_out_i = 4 * io + ii, v_out_j = out_j):"


def test_split_by_a_divisor_or_more_than_the_extent_needs_no_minimum(program):
    text = loops(after(program, Split("out_i", 3, "io", "ii"), Split("out_j", 8, "jo", "ji")))
    assert text[-5:-1] == [
        f"for {name} in range({n}):" for name, n in (("io", 3), ("ii", 3), ("jo", 1), ("ji", 7))
    ]


def test_split_of_a_tail_splits_what_is_left(program):
    text = loops(after(program, Split("out_i", 4, "io", "ii"), Split("ii", 3, "iio", "iii")))
    assert "for iio in range((min(4, 9 - 4 * io) + 2) // 3):" in text
    assert "for iii in range(min(3, min(4, 9 - 4 * io) - 3 * iio)):" in text


@pytest.mark.parametrize("factors", [(10, 32), (2, 3), (5, 4), (48, 7)])
def test_split_of_a_split_runs_every_iteration_once(factors):
    a = te.placeholder((48,), DType.INT32, "a")
    k = te.reduce_axis(48, "k")
    total = te.compute((), lambda: te.sum_of(a[k], k), "total")
    function = te.lower("f", [a], [total])
    first, second = factors
    steps = [
        Split("total_k", first, "ko", "ki"),
        Split("ki", second, "kio", "kii"),
        Split("ko", 2, "koo", "koi"),
    ]
    result = run(schedule.apply(function, steps), {"a": np.arange(48, dtype=np.int32)})
    assert result["total"] == 48 * 47 // 2


def test_fuse_is_undone_by_a_split(program):
    text = loops(after(program, Fuse("out_i", "out_j", "f"), Split("f", 7, "i", "j")))
    assert text[-1] == "block out(v_out_i = i, v_out_j = j):"


def test_reorder_keeps_other_loops_in_their_places(program):
    text = loops(after(program, Reorder(("row_k", "row_i"))))
    assert [line for line in text if "row_" in line][:3] == [
        "for row_k in range(2):",
        "for row_j in range(7):",
        "for row_i in range(9):",
    ]


def test_compute_at_takes_what_the_consumer_needs_there(program):
    tiled = after(program, Split("out_i", 4, "io", "ii"), ComputeAt("row", "io"), ComputeAt("twice", "io"))
    tile = "min(4, 9 - 4 * io)"
    assert loops(tiled)[:5] == [
        "for io in range(3):",
        f"allocate twice: int32[{tile} + 1, 7]",
        f"allocate row: int32[{tile}, 7]",
        f"for twice_i in range({tile} + 1):",
        "for twice_j in range(7):",
    ]


def test_compute_at_inside_of_a_reduction(program):
    text = loops(after(program, ComputeAt("twice", "row_k")))
    assert "allocate twice: int32[1, 1]" in text
    assert "block twice(v_twice_i = row_i + row_k + twice_i, v_twice_j = row_j + twice_j):" in text


def test_compute_at_moves_an_attached_stage_further_in(program):
    once = [ComputeAt("row", "out_i"), ComputeAt("twice", "row_i"), ComputeAt("twice", "row_k")]
    assert "allocate twice: int32[1, 1]" in loops(after(program, *once))


def test_compute_at_moves_along_what_is_attached(program):
    text = loops(after(program, ComputeAt("twice", "row_j"), ComputeAt("row", "out_i")))
    assert text.index("for out_i in range(9):") < text.index("allocate twice: int32[2, 1]")


@pytest.mark.parametrize(
    "step", [Split("io", 2, "x", "y"), Fuse("io", "out_j", "f"), Split("io", 8, "x", "y")], ids=str
)
def test_shape_of_an_attached_buffer_follows_its_loops(program, step):
    tiled = after(program, Split("out_i", 4, "io", "ii"), Reorder(("out_j", "ii")), ComputeAt("row", "out_j"))
    assert "allocate row: int32[min(4, 9 - 4 * io), 1]" in loops(tiled)
    after(tiled, step)


def test_halo_is_clipped_to_what_there_is():
    a = te.placeholder((9,), DType.INT32, "a")
    b = te.compute((9,), lambda i: a[i] + 1, "b")

    def around(i):
        before = te.select(i >= 1, b[i - 1], 0)
        return before + te.select(i < 8, b[i + 1], 0)

    out = te.compute((9,), around, "out")
    function = te.lower("f", [a], [out])
    arrays = {"a": np.arange(9, dtype=np.int32)}
    tiled = schedule.apply(function, [Split("out_i", 3, "io", "ii"), ComputeAt("b", "io")])
    assert "allocate b: int32[min(3 * io + 3, 8) - max(3 * io - 1, 0) + 1]" in loops(tiled)
    np.testing.assert_array_equal(run(tiled, arrays)["out"], run(function, arrays)["out"])


def test_cache_read_copies_in_front_of_the_nest(program):
    text = loops(
        after(program, CacheRead("row", "w", MemoryScope.WEIGHT, "weights"), ComputeAt("weights", "row_k"))
    )
    assert "allocate weights: int32[1] weight" in text


def test_cache_write_copies_behind_the_nest_and_moves_into_it(program):
    steps = (Split("out_i", 4, "io", "ii"), CacheWrite("out", MemoryScope.ACTIVATION, "tile"))
    assert "allocate tile: int32[9, 7] activation" in loops(after(program, *steps))
    assert loops(after(program, *steps, ReverseComputeAt("tile", "io")))[-7:] == [
        "allocate tile: int32[min(4, 9 - 4 * io), 7] activation",
        "for ii in range(min(4, 9 - 4 * io)):",
        "for out_j in range(7):",
        "block out(v_out_i = 4 * io + ii, v_out_j = out_j):",
        "for tile_i in range(min(4, 9 - 4 * io)):",
        "for tile_j in range(7):",
        "block tile(v_tile_i = 4 * io + tile_i, v_tile_j = tile_j):",
    ]


def test_a_buffer_of_which_an_earlier_element_is_read_stays_whole():
    a, t, b, c = (Buffer(name, (Const(6),), DType.INT32) for name in "atbc")
    i, j = Var("i"), Var("j")

    def block(name, loop, target, value):
        index = Var(f"v_{name}")
        return Block(
            name, (Iter(index, IterKind.SPATIAL, loop),), BufferStore(target, (index,), value(index))
        )

    first = block("first", i, t, lambda v: BufferLoad(a, (v,)))
    before = block("before", i, b, lambda v: BufferLoad(t, (maximum(v - 1, 0),)))
    twice = block("twice", j, c, lambda v: BufferLoad(t, (v,)) * 2)
    body = Seq((For(i, Const(6), Seq((first, before))), For(j, Const(6), twice)))
    result = schedule.apply(PrimFunc("f", (a, b, c), 2, Allocate(t, body)), [ReverseComputeAt("twice", "i")])
    found = run(result, {"a": np.arange(6, dtype=np.int32)})
    assert found["b"].tolist() == [0, 0, 1, 2, 3, 4]
    assert found["c"].tolist() == [0, 2, 4, 6, 8, 10]


def test_inline_leaves_no_stage(program):
    text = print_function(after(program, Inline("twice"), ComputeAt("row", "out_j")))
    assert "allocate twice" not in text
    assert "a[v_row_i + v_row_k, v_row_j] * 2 * w[v_row_k]" in text


def test_scope_depth_and_kinds_are_printed(program):
    steps = [
        SetScope("row", MemoryScope.ACCUMULATOR),
        double_buffer("row"),
        Parallel("row_i"),
        Vectorise("row_j"),
        Unroll("row_k"),
        VirtualThread("out_i"),
    ]
    text = loops(after(program, *steps))
    assert "allocate row: int32[9, 7] accumulator x2" in text
    assert "for row_i in parallel(9):" in text
    assert "for row_j in vectorise(7):" in text
    assert "for row_k in unroll(2):" in text
    assert "for out_i in virtual_thread(9):" in text


SPLIT = Split("out_i", 4, "io", "ii")
OWN = CacheWrite("out", MemoryScope.ACTIVATION, "tile")


REFUSED = [
    ([], Split("out_z", 2, "a", "b"), "there is no loop out_z: name one of twice_i"),
    ([], Split("out_i", 0, "a", "b"), "the factor must be at least 1, not 0"),
    ([], Split("out_i", 2, "n", "n"), "'n' must be a new identifier"),
    ([], Split("out_i", 2, "row", "n"), "'row' must be a new identifier"),
    ([SPLIT], Reorder(("ii", "io")), "the extent of ii depends on io: keep io outside"),
    ([], Reorder(("row_i", "out_i")), "loop row_i must be around or inside of the others"),
    ([], Reorder(("row_i", "row_i")), "loops must name each loop once"),
    (
        [ComputeAt("row", "out_i")],
        Reorder(("out_j", "out_i")),
        "reorder before other stages are attached",
    ),
    ([], Fuse("row_i", "row_k", "f"), "row_k must be directly inside of row_i: reorder first"),
    ([SPLIT], Fuse("io", "ii", "f"), "the extent of ii must be constant"),
    (
        [],
        SetScope("a", MemoryScope.WEIGHT),
        "buffer a is a parameter, in the caller's memory: use cache_read",
    ),
    ([], SetScope("b", MemoryScope.WEIGHT), "there is no buffer b: name one of twice, row"),
    ([], BufferDepth("row", 0), "the depth must be from 1 to 1024, not 0"),
    ([], Vectorise("row_k"), r"row_k must not reduce \(row does, over it\)"),
    (
        [],
        CacheRead("row", "a", MemoryScope.WEIGHT, "n"),
        "block row must read buffer a and not write it: name one of twice, w",
    ),
    (
        [],
        CacheRead("column", "a", MemoryScope.WEIGHT, "n"),
        "there is no block column: name one of twice, row, out",
    ),
    ([], ComputeAt("out", "row_i"), "buffer out is a parameter"),
    (
        [],
        ComputeAt("twice", "out_i"),
        "out_i must be around all that read twice, row too: attach row first",
    ),
    ([], ComputeAt("row", "row_i"), "row_i is a loop of row itself"),
    (
        [Split("row_i", 3, "x", "y")],
        ComputeAt("row", "out_i"),
        "dimension 0 of row is stored at 3 \\* x \\+ y",
    ),
    (
        [OWN, Reorder(("row_k", "row_i"))],
        ReverseComputeAt("out", "row_k"),
        "row is not complete inside of row_k",
    ),
    (
        [OWN],
        ReverseComputeAt("tile", "row_i"),
        "must be written by one block inside of row_i or be there before",
    ),
    (
        [],
        ReverseComputeAt("row", "twice_i"),
        "row reads at row_i \\+ row_k where it must read element by element",
    ),
    ([], ReverseComputeAt("twice", "row_i"), "twice must come behind row_i: use compute_at"),
    (
        [ComputeAt("row", "out_i")],
        ReverseComputeAt("out", "out_i"),
        "out must lie behind out_i, not in it",
    ),
    ([], Inline("row"), "row must not reduce: use compute_at"),
    ([], Inline("out"), "buffer out is a parameter"),
    ([], ReverseComputeAt("out", "twice_i"), "row, which out reads, must be written by one block inside"),
]


@pytest.mark.parametrize(("before", "step", "reason"), REFUSED)
def test_refusal_names_step_reason_and_loops(program, before, step, reason):
    function = schedule.apply(program, before)
    with pytest.raises(ScheduleError, match=reason) as caught:
        schedule.apply(function, [step])
    assert str(caught.value).startswith(f"{step}: ")
    assert str(caught.value).endswith(print_function(function))


def test_every_loop_keeps_its_kind_when_split(program):
    function = after(program, Unroll("out_i"), Split("out_i", 3, "io", "ii"))
    kinds = {stmt.var.name: stmt.kind for stmt in statements(function.body) if isinstance(stmt, For)}
    assert kinds["io"] == kinds["ii"] == "unroll"
