"""isa.sliding: every tap of every result is in a window of its chunk, and items are counted as they come."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.isa.instruction import ReduceMode, SourceA, SourceB, Vector, VectorOp
from tilewright.isa.sliding import (
    WINDOW_TAPS,
    WINDOWS,
    chunks_of_row,
    newest_tap,
    sliding_chunks,
    sliding_items,
    taps_apart,
)

CONVOLUTION = Vector(
    op=VectorOp.MULTIPLY,
    reduce=ReduceMode.ADD,
    a_from=SourceA.ACTIVATION,
    b_from=SourceB.PARAMETER,
    n_0=2,
    n_1=5,
    n_2=3,
    n_3=3,
    a_stride_0=20,
    a_stride_1=1,
    a_stride_2=10,
    a_stride_3=1,
    b_stride_2=3,
    b_stride_3=1,
)


def chunks_of(columns, step):
    """The taps of each chunk of a row, by the ends that further results read."""
    first, apart = newest_tap(columns, step), taps_apart(step)
    ends = [first + apart * place for place in range(chunks_of_row(columns, step))]
    if step == 1:
        return [[tap for tap in range(end - WINDOW_TAPS + 1, end + 1) if tap >= 0] for end in ends]
    return [list(range(end % step, end + 1, step)) for end in ends]


@given(columns=st.integers(1, 20), step=st.integers(0, 4))
def test_chunks_share_out_the_taps_of_a_row_and_hold_no_more_than_a_window(columns, step):
    if not chunks_of_row(columns, step):
        assert columns < WINDOW_TAPS or columns > {1: 9, 2: 6}.get(step, 0)
        return
    chunks = chunks_of(columns, step)
    assert sorted(tap for chunk in chunks for tap in chunk) == list(range(columns))
    assert all(len(chunk) <= WINDOW_TAPS for chunk in chunks)


@given(columns=st.integers(3, 9), step=st.sampled_from([1, 2]), results=st.integers(1, 9))
def test_inputs_shifted_in_one_by_one_are_those_of_the_taps_of_every_result(columns, step, results):
    if not chunks_of_row(columns, step):
        return
    inputs = np.arange(1, (results - 1) * step + columns + 1)
    for chunk in chunks_of(columns, step):
        window = list(inputs[chunk])
        for result in range(1, results):
            window = [*window[1:], inputs[result * step + chunk[-1]]]
            assert window == [inputs[result * step + tap] for tap in chunk]


@pytest.mark.parametrize(
    ("change", "chunks"),
    [
        ({}, 1),
        ({"b_from": SourceB.CONSTANT, "b_stride_0": 7}, 1),
        ({"n_3": 5}, 2),
        ({"n_3": 9, "n_2": 10}, 3),
        ({"n_3": 9, "n_2": 11}, 0),
        ({"n_3": 10}, 0),
        ({"n_3": 2}, 0),
        ({"n_2": WINDOWS}, 1),
        ({"n_2": WINDOWS + 1}, 0),
        ({"a_stride_1": 2}, 2),
        ({"a_stride_1": 2, "n_3": 6}, 2),
        ({"a_stride_1": 2, "n_3": 7}, 0),
        ({"a_stride_1": -4, "a_stride_3": -2}, 2),
        ({"a_stride_1": 3}, 0),
        ({"a_stride_1": 1, "a_stride_3": 2}, 0),
        ({"b_stride_0": 1}, 0),
        ({"b_stride_1": 1}, 0),
        ({"op": VectorOp.ADD}, 0),
        ({"reduce": ReduceMode.MAXIMUM}, 0),
        ({"a_from": SourceA.ACCUMULATOR}, 0),
    ],
)
def test_a_window_slides_in_convolutions_alone(change, chunks):
    vector = replace(CONVOLUTION, **change)
    assert sliding_chunks(vector, 1, WINDOW_TAPS) == chunks
    assert sliding_chunks(vector, 1, 1) == 0


def test_a_window_that_is_too_fast_for_the_requantiser_does_not_slide():
    assert [sliding_chunks(CONVOLUTION, interval, WINDOW_TAPS) for interval in (1, 2, 4)] == [1, 1, 0]


@given(n=st.tuples(*(st.integers(1, 5) for _ in range(4))), chunks=st.integers(0, 3))
def test_items_are_those_of_the_first_results_of_lines_and_of_the_further_ones(n, chunks):
    counted = sum(n[3] if i1 == 0 or not chunks else chunks for _, i1, _ in product(*map(range, n[:3])))
    assert sliding_items(*n, chunks) == counted
