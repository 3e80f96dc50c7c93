"""Wrong code that other compilers shipped, a test each: what went wrong there.

There are no thread bindings here: loops under virtual threads stand for them. That the depth of a buffer
survives in instructions is tested with the accelerator; here, that primitives keep it.
"""

import numpy as np
import pytest

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    CacheRead,
    CacheWrite,
    ComputeAt,
    DecomposeReduction,
    Inline,
    Parallel,
    Reorder,
    ReverseComputeAt,
    ReverseInline,
    RFactor,
    SetScope,
    Split,
    Tile,
    Vectorise,
    VirtualThread,
    double_buffer,
)
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.stmt import Allocate
from tilewright.compiler.tir.walk import statements

A = te.placeholder((48, 9), DType.INT32, "a")
VALUES = np.arange(432, dtype=np.int32).reshape(48, 9) * 31 % 101 - 50
ROWS = te.reduce_axis(48, "k")


def after(output, *steps):
    """The values of a tensor under a schedule, and the loops."""
    function = schedule.apply(te.lower("f", [A], [output]), steps)
    return run(function, {"a": VALUES})[output.name], function


@pytest.mark.parametrize(
    "steps",
    [
        (Reorder(("ko", "ci")),),
        (Reorder(("ko", "ki", "co", "ci")),),
        (Reorder(("ko", "ki", "co", "ci")), DecomposeReduction("sums", "ko", "zero")),
        (DecomposeReduction("sums", "ci", "zero"),),
        (RFactor("sums", "ki", "part"),),
    ],
    ids=schedule.print_schedule,
)
def test_init_under_splits_that_do_not_divide(steps):
    """The init ran beyond the end, for only the update was guarded."""
    sums = te.compute((9,), lambda c: te.sum_of(A[ROWS, c], ROWS, init=5), "sums")
    splits = [Split("sums_c", 4, "co", "ci"), Split("sums_k", 7, "ko", "ki")]
    np.testing.assert_array_equal(after(sums, *splits, *steps)[0], VALUES.sum(axis=0) + 5)


@pytest.mark.parametrize("loop", ["out_i", "io", "ii", "out_j"])
def test_copy_for_a_reader_at_a_border_has_no_negative_index(loop):
    """The copy read index -1 where the reader's guard was not the copy's."""
    b = te.compute((48, 9), lambda i, j: A[i, j] * 3, "b")

    def at(i, j):
        before = te.select(te.both([i >= 1, j >= 2]), b[i - 1, j - 2], 11)
        return before + te.select(i < 46, b[i + 2, j], 13)

    out = te.compute((48, 9), at, "out")
    expected = after(out)[0]
    steps = [] if loop == "out_i" else [Split("out_i", 7, "io", "ii")]
    steps += [
        CacheRead("out", "b", MemoryScope.ACTIVATION, "near"),
        ComputeAt("near", loop),
        ComputeAt("b", loop),
    ]
    if loop in ("io", "out_i"):
        np.testing.assert_array_equal(after(out, *steps)[0], expected)
    np.testing.assert_array_equal(after(out, *steps[:-1])[0], expected)


@pytest.mark.parametrize("steps", [(10, 32), (32, 10)])
@pytest.mark.parametrize("attached", [False, True])
def test_48_split_by_10_and_by_32(steps, attached):
    """The loop was parted where neither factor divides, and elements were computed twice or never."""
    b = te.compute((48, 9), lambda i, j: A[i, j] * 3, "b")
    out = te.compute((48, 9), lambda i, j: b[i, j] + 1, "out")
    splits = [Split("out_i", steps[0], "io", "ii"), Split("ii", steps[1], "iio", "iii")]
    moved = [ComputeAt("b", "iio")] if attached else [Split("b_i", steps[0], "x", "y")]
    np.testing.assert_array_equal(after(out, *splits, *moved)[0], VALUES * 3 + 1)
    sums = te.compute((9,), lambda c: te.sum_of(A[ROWS, c], ROWS), "sums")
    parts = [Split("sums_k", steps[0], "ko", "ki"), Split("ki", steps[1], "kio", "kii")]
    np.testing.assert_array_equal(after(sums, *parts)[0], VALUES.sum(axis=0))


def test_double_buffer_is_kept_by_what_follows():
    """A later step made a new buffer, of depth one."""
    b = te.compute((48, 9), lambda i, j: A[i, j] * 3, "b")
    out = te.compute((48, 9), lambda i, j: b[i, j] + 1, "out")
    steps = [double_buffer("b"), SetScope("b", MemoryScope.ACTIVATION), Split("out_i", 7, "io", "ii")]
    steps += [ComputeAt("b", "io"), Split("b_i", 2, "x", "y"), VirtualThread("io")]
    found, function = after(out, *steps)
    (buffer,) = (stmt.buffer for stmt in statements(function.body) if isinstance(stmt, Allocate))
    assert (buffer.depth, buffer.scope) == (2, MemoryScope.ACTIVATION)
    np.testing.assert_array_equal(found, VALUES * 3 + 1)


@pytest.mark.parametrize("kind", [VirtualThread, Parallel, Vectorise])
def test_stage_attached_under_threads_has_the_loops_of_one(kind):
    """The attached stage ran over the extent of all threads, or of none."""
    b = te.compute((48, 9), lambda i, j: A[i, j] * 3, "b")
    out = te.compute((48, 9), lambda i, j: b[i, j] + b[i, 0], "out")
    expected = VALUES * 3 + VALUES[:, :1] * 3
    for steps in (
        [Split("out_i", 7, "io", "ii"), kind("io"), ComputeAt("b", "io")],
        [Split("out_i", 7, "io", "ii"), kind("ii"), Reorder(("out_j", "ii")), ComputeAt("b", "io")],
        [kind("out_i"), ComputeAt("b", "out_i"), Split("out_i", 5, "io", "ii")],
    ):
        np.testing.assert_array_equal(after(out, *steps)[0], expected)


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (CacheWrite("narrow", MemoryScope.ACTIVATION, "tile"), ReverseComputeAt("tile", "narrow_i")),
        (ReverseInline("narrow", "wide"),),
        (Inline("wide"),),
    ],
    ids=schedule.print_schedule,
)
def test_narrowing_store_saturates_where_it_is_said_to(steps):
    """The store took the low bits."""
    wide = te.compute((48, 9), lambda i, j: A[i, j] * 5, "wide")
    narrow = te.compute((48, 9), lambda i, j: te.saturate(wide[i, j], DType.INT8), "narrow")
    np.testing.assert_array_equal(after(narrow, *steps)[0], np.clip(VALUES * 5, -128, 127))


@pytest.mark.parametrize("value", [0, -7, 1 << 20])
@pytest.mark.parametrize(
    "steps",
    [
        (Inline("padded"),),
        (ComputeAt("padded", "out_i"),),
        (Split("out_i", 7, "io", "ii"), ComputeAt("padded", "io"), Split("padded_i", 2, "x", "y")),
        (CacheRead("out", "padded", MemoryScope.ACTIVATION, "near"), ComputeAt("near", "out_i")),
    ],
    ids=schedule.print_schedule,
)
def test_padding_has_the_value_that_is_said(steps, value):
    """The border was filled with zeros, whatever was asked for."""

    def inside(i, j):
        return te.select(te.both([i >= 2, i < 50]), A[i - 2, j], value)

    padded = te.compute((53, 9), inside, "padded")
    out = te.compute((51, 9), lambda i, j: padded[i, j] - padded[i + 2, j], "out")
    border = np.pad(VALUES, ((2, 3), (0, 0)), constant_values=value)
    np.testing.assert_array_equal(after(out, *steps)[0], border[:51] - border[2:])


@pytest.mark.parametrize("size", [3, 4, 7, 8, 20, 64])
def test_product_is_the_same_for_every_block_size(size):
    """Sizes that were not those of an example gave another product."""
    b = te.compute((9, 20), lambda i, j: A[j, i] + 1, "b")
    k = te.reduce_axis(9, "k")
    c = te.compute((20, 20), lambda i, j: te.sum_of(A[i, k] * b[k, j], k), "c")
    steps = [Tile("c_i", "c_j", size, size), Split("c_k", size, "ko", "ki")]
    steps += [
        Reorder(("c_i_o", "c_j_o", "ko", "c_i_i", "ki", "c_j_i")),
        ComputeAt("b", "ko"),
        Vectorise("c_j_i"),
    ]
    np.testing.assert_array_equal(after(c, *steps)[0], VALUES[:20] @ (VALUES[:20].T + 1))
