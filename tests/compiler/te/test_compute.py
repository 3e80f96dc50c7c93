import numpy as np
import pytest

from tilewright.compiler import te
from tilewright.compiler.dtype import DType
from tilewright.compiler.te.evaluate import GRID_LIMIT
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import Var

A = te.placeholder((2, 3), DType.INT8, "a")
K = te.reduce_axis(3, "k")
VALUES = np.array([[-128, -100, -90], [5, 127, 100]], np.int8)


def value(*outputs):
    arrays = te.evaluate(outputs, {A: VALUES})
    return arrays[0].tolist() if len(outputs) == 1 else [array.tolist() for array in arrays]


def test_axes_are_named_by_the_function():
    assert te.compute((2, 3), lambda row, column: A[row, column], "b").stage.axes == (
        Var("row"),
        Var("column"),
    )


def test_reductions_of_int8_start_at_its_own_ends():
    largest = te.compute((2,), lambda i: te.max_of(A[i, K], K), "largest")
    smallest = te.compute((2,), lambda i: te.min_of(A[i, K], K), "smallest")
    assert value(largest, smallest) == [[-90, 127], [-128, 5]]


def test_sum_wraps_in_the_type_of_the_value():
    assert value(te.compute((2,), lambda i: te.sum_of(A[i, K], K), "total")) == [-62, -24]


def test_single_number_has_no_axes():
    wide, i = te.compute((2, 3), lambda i, j: te.cast(A[i, j], DType.INT32), "wide"), te.reduce_axis(2, "i")
    total = te.compute((), lambda: te.sum_of(wide[i, K], [i, K]), "total")
    assert value(total) == int(VALUES.sum(dtype=int))


def test_reduction_over_more_points_than_one_grid_is_exact():
    n = GRID_LIMIT // 2 + 3
    x, k, j = te.placeholder((n,), DType.INT8, "x"), te.reduce_axis(n, "k"), te.reduce_axis(3, "j")
    total = te.compute(
        (), lambda: te.sum_of(te.cast(x[k], DType.INT32) * te.cast(j, DType.INT32), [j, k]), "t"
    )
    array = np.arange(n).astype(np.int8)
    assert te.evaluate([total], {x: array})[0] == 3 * int(array.sum(dtype=np.int64))


def test_side_of_a_select_that_is_not_taken_may_index_outside():
    shifted = te.compute((2, 5), lambda i, j: te.select(j >= 2, A[i, j - 2], 7), "shifted")
    assert value(shifted) == [[7, 7, -128, -100, -90], [7, 7, 5, 127, 100]]


def test_index_outside_is_refused():
    with pytest.raises(TirError, match=r"index 1 of a\[i, j - 2\] must be from 0 to 2, not -2"):
        value(te.compute((2, 3), lambda i, j: A[i, j - 2], "b"))


def test_saturation_clamp_and_division():
    wide = te.compute((2, 3), lambda i, j: te.cast(A[i, j], DType.INT32) * 2, "wide")
    narrow = te.compute((2, 3), lambda i, j: te.saturate(wide[i, j], DType.INT8), "narrow")
    cut = te.compute((2, 3), lambda i, j: te.clamp(wide[i, j] // 100, -2, 1), "cut")
    assert value(narrow, cut) == [[[-128] * 3, [10, 127, 127]], [[-2, -2, -2], [0, 1, 1]]]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: te.compute((2, 3), lambda i: A[i, 0], "b"), "must take 2 indices, not 1"),
        (lambda: te.compute((2,), lambda i: A[i], "b"), r"a\[2, 3\] must have 2 indices, not 1"),
        (lambda: te.compute((3,), lambda k: te.sum_of(A[0, K], K), "b"), "axis name 'k' must be used once"),
        (lambda: te.compute((2,), lambda i: A[i, K], "b"), "variable 'k' must be one of its axes"),
        (
            lambda: te.compute((2,), lambda i: te.sum_of(A[i, K], K) + 1, "b"),
            "must be the whole of a compute",
        ),
        (lambda: te.compute((2, 0), lambda i, j: A[i, j], "b"), "extents of b must be positive"),
        (lambda: te.placeholder((2,), DType.INT8, "a b"), "must be an identifier, not 'a b'"),
        (lambda: te.reduce_axis(0, "k"), "extent of axis k must be positive"),
        (lambda: te.sum_of(A[0, 0], []), "must have an axis"),
        (lambda: te.requantise(A[0, 0], A[0, 0]), r"requantise must not be applied to \(int8, int8\)"),
        (lambda: te.saturate(A[0, 0], DType.UINT8), "must be int8 or int16, not uint8"),
        (lambda: value(te.compute((2, 3), lambda i, j: A[i, j], "a")), "tensor a must be unique"),
        (lambda: te.evaluate([A], {}), r"placeholder a, int8\[2, 3\]"),
        (lambda: te.evaluate([A], {A: VALUES.T}), r"input a must be int8\[2, 3\], not int8\[3, 2\]"),
    ],
)
def test_what_means_nothing_is_refused(make, text):
    with pytest.raises(TirError, match=text):
        make()


def test_function_that_gives_a_number_is_refused():
    with pytest.raises(TypeError, match=r"must give an expression, not 3: use cast\(\) or constant\(\)"):
        te.compute((2,), lambda i: 3, "b")
