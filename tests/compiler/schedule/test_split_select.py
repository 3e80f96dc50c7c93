"""split_select: a border is filled and what is inside computed, by loop nests without a guard."""

import numpy as np
import pytest

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import ComputeAt, Split, SplitSelect
from tilewright.compiler.te import both
from tilewright.compiler.tir.expr import Select
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.stmt import For
from tilewright.compiler.tir.walk import blocks, nodes, statements

ARRAYS = {"x": np.arange(1, 43, dtype=np.int32).reshape(6, 7)}


def build(before=(1, 2), size=(8, 10), stride=1, condition=None):
    """Twice x with a border of 5, and the sums of neighbours in it, of every `stride`th row."""
    x = te.placeholder((6, 7), DType.INT32, "x")

    def bordered(i, j):
        at = i - before[0], j - before[1]
        inside = both([at[0] >= 0, at[0] < 6, at[1] >= 0, at[1] < 7])
        return te.select(inside if condition is None else condition(i, j), x[at] * 2, 5)

    border = te.compute(size, bordered, "border")
    rows = (size[0] - 2) // stride + 1
    out = te.compute(
        (rows, size[1] - 1), lambda i, j: border[stride * i, j] + border[stride * i + 1, j + 1], "out"
    )
    return te.lower("bordered", [x], [out])


PROGRAM = build()


def selects(function):
    values = (block.body.value for block in blocks(function.body))
    return sum(isinstance(node, Select) for value in values for node in nodes(value))


@pytest.mark.parametrize("before", [(1, 2), (0, 0), (2, 3)])
@pytest.mark.parametrize("size", [(8, 10), (6, 7), (14, 15)])
@pytest.mark.parametrize("stride", [1, 2])
def test_whole_border(before, size, stride):
    function = build(before, size, stride)
    split = schedule.apply(function, (SplitSelect("border"),))
    assert selects(split) == 0
    assert np.array_equal(run(split, ARRAYS)["out"], run(function, ARRAYS)["out"])


@pytest.mark.parametrize("rows", range(1, 8))
@pytest.mark.parametrize("columns", [2, 4, 9])
def test_tiles_that_lie_inside_across_the_border_and_outside(rows, columns):
    """With borders of more than a tile, some tiles read nothing but border."""
    for function in (PROGRAM, build((4, 5), (15, 18), 2)):
        steps = (
            Split("out_i", rows, "io", "ii"),
            Split("out_j", columns, "jo", "ji"),
            schedule.Reorder(("io", "jo", "ii", "ji")),
            ComputeAt("border", "jo"),
            SplitSelect("border"),
        )
        tiled = schedule.apply(function, steps)
        assert np.array_equal(run(tiled, ARRAYS)["out"], run(function, ARRAYS)["out"])


def test_border_that_is_never_met_has_no_loop_nest():
    function = build((0, 0), (6, 7))
    split = schedule.apply(function, (SplitSelect("border"),))
    assert [block.name for block in blocks(split.body)] == ["border", "out"]


def test_inside_runs_over_what_is_inside_and_fill_over_all():
    split = schedule.apply(PROGRAM, (SplitSelect("border"),))
    extents = {s.var.name: str(s.extent.value) for s in statements(split.body) if isinstance(s, For)}
    assert [extents[name] for name in ("border_i_fill", "border_j_fill")] == ["8", "10"]
    assert [extents[name] for name in ("border_i", "border_j")] == ["6", "7"]
    assert [block.name for block in blocks(split.body)] == ["border_fill", "border", "out"]


def diagonal(i, j):
    return i + j < 5


REFUSED = [
    (PROGRAM, (), SplitSelect("out"), "out must assign a select, and not reduce"),
    (
        build(condition=lambda i, j: i.equal(2)),
        (),
        SplitSelect("border"),
        "the condition of border must be comparisons < and <= that all hold",
    ),
    (
        build(condition=diagonal),
        (),
        SplitSelect("border"),
        "each comparison of border must be of one of its loops, which steps by 1, not of border_i, border_j",
    ),
]
