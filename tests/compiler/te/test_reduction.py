"""Reductions with predicates, starts and reducers of the user: the same by expressions and by loops."""

import numpy as np
import pytest

from tilewright.compiler import te
from tilewright.compiler.dtype import DType
from tilewright.compiler.te.evaluate import evaluate
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function

A = te.placeholder((3, 5), DType.INT32, "a")
B = te.placeholder((3,), DType.INT32, "b")
K = te.reduce_axis(5, "k")
VALUES = np.array([[3, -7, 8, 8, 1], [0, 0, -2, -9, -2], [5, 4, 3, 2, 5]], np.int32)
STARTS = np.array([10, -20, 30], np.int32)

ARGMAX = te.reducer(
    lambda a, b: (te.select(a[1] >= b[1], a[0], b[0]), te.maximum(a[1], b[1])),
    lambda place, value: (-1, int(np.iinfo(value.numpy).min)),
)
XOR = te.reducer(lambda a, b: a + b - 2 * (te.minimum(a, b) * te.maximum(a, b)), lambda dtype: 0)
"""Of numbers that are 0 or 1."""


def both_ways(*outputs):
    """The values by expressions, which loops must give too."""
    found = evaluate(outputs, {A: VALUES, B: STARTS})
    by_loops = run(te.lower("f", [A, B], outputs), {"a": VALUES, "b": STARTS})
    for output, array in zip(outputs, found, strict=True):
        np.testing.assert_array_equal(by_loops[output.name], array)
    return [array.tolist() for array in found]


def positive(i):
    return A[i, K] > 0


def test_only_points_of_the_predicate_are_reduced():
    total = te.compute((3,), lambda i: te.sum_of(A[i, K], K, where=positive(i)), "total")
    product = te.compute((3,), lambda i: te.prod_of(A[i, K], K, where=positive(i)), "product")
    least = te.compute((3,), lambda i: te.min_of(A[i, K], K, where=positive(i)), "least")
    largest = int(np.iinfo(np.int32).max)
    assert both_ways(total, product, least) == [[20, 0, 19], [192, 1, 600], [1, largest, 2]]


def test_value_is_not_evaluated_where_the_predicate_does_not_hold():
    shifted = te.compute((3,), lambda i: te.sum_of(A[i, K - 1], K, where=K >= 1), "shifted")
    assert both_ways(shifted) == [[12, -11, 14]]


def test_reduction_starts_from_its_init():
    total = te.compute((3,), lambda i: te.sum_of(A[i, K], K, init=B[i] * 2), "total")
    largest = te.compute((3,), lambda i: te.max_of(A[i, K], K, init=4), "largest")
    assert both_ways(total, largest) == [[33, -53, 79], [8, 4, 5]]


def test_init_and_predicate_print_in_the_loops():
    total = te.compute((3,), lambda i: te.sum_of(A[i, K], K, where=positive(i), init=B[i]), "total")
    text = print_function(te.lower("f", [A, B], [total]))
    assert "init total[v_total_i] = b[v_total_i]" in text
    assert "select(0 < a[v_total_i, v_total_k], a[v_total_i, v_total_k], 0)" in text


def test_reducer_of_tuples_carries_the_place_of_the_maximum():
    place, value = te.compute((3,), lambda i: ARGMAX((te.cast(K, DType.INT32), A[i, K]), K), "best")
    assert (place.name, value.name) == ("best_0", "best_1")
    assert both_ways(place, value) == [[2, 0, 0], [8, 0, 5]]


def test_reducer_of_tuples_has_predicates_and_inits():
    def at(i):
        return ARGMAX((te.cast(K, DType.INT32), A[i, K]), K, where=K >= 1, init=(7, B[i]))

    assert both_ways(*te.compute((3,), at, "best")) == [[7, 1, 7], [10, 0, 30]]


def test_reducer_of_one_element():
    odd = te.compute((3,), lambda i: XOR(A[i, K] % 2, K), "odd")
    assert both_ways(odd) == [(np.bitwise_xor.reduce(VALUES % 2, axis=1)).tolist()]


def test_tuple_of_elements_is_a_stage_of_several_tensors():
    less, more = te.compute((3,), lambda i: (B[i] - 1, te.cast(B[i], DType.INT64) + 1), "pair")
    assert both_ways(less, more) == [[9, -21, 29], [11, -19, 31]]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: te.sum_of(A[0, K], K, where=A[0, K]), "predicate of a reduction must be bool, not int32"),
        (lambda: te.sum_of(A[0, K], K, init=te.cast(B[0], DType.INT8)), "must be of these types: cast it"),
        (lambda: ARGMAX((A[0, K], A[0, K]), K, init=(1,)), "must be of these types"),
        (lambda: te.reducer(lambda a, b: (a[0],), lambda a, b: 0)((A[0, K], A[0, K]), K), "must combine to"),
        (
            lambda: te.compute((3,), lambda i: te.sum_of(A[i, K], K, init=A[i, K]), "t"),
            "variable 'k' must be one of its axes",
        ),
        (
            lambda: te.compute((3,), lambda i: (te.sum_of(A[i, K], K), te.max_of(A[i, K], K)), "t"),
            "must be all results of one reduction in order",
        ),
        (
            lambda: te.compute((3,), lambda i: ARGMAX((A[i, K], A[i, K]), K)[0], "t"),
            "must be all results of one reduction in order",
        ),
    ],
)
def test_reduction_that_means_nothing_is_refused(make, text):
    with pytest.raises(TirError, match=text):
        make()


def test_tensor_is_not_iterated_over():
    with pytest.raises(TypeError, match="b must be indexed, not iterated over"):
        list(B)
