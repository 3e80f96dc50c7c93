"""Ranks are those of the definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.tune.rank import ranks, spearman

NUMBERS = st.lists(st.integers(-5, 5), min_size=1, max_size=20)


@given(NUMBERS)
def test_a_rank_is_the_mean_place_among_equals(numbers):
    places = sorted(range(len(numbers)), key=lambda row: numbers[row])
    of = {n: [at for at, row in enumerate(places) if numbers[row] == n] for n in numbers}
    expected = [sum(of[n]) / len(of[n]) for n in numbers]
    assert ranks(np.array(numbers, float)).tolist() == expected


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=20))
def test_the_correlation_is_that_of_ranks(pairs):
    first, second = np.array(pairs, float).T
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert spearman(first, second) is None
    else:
        expected = np.corrcoef(ranks(first), ranks(second))[0, 1]
        assert spearman(first, second) == pytest.approx(expected)


def test_any_rising_function_correlates_wholly():
    numbers = np.array([3.0, 1.0, 2.0, 9.0])
    assert spearman(numbers, np.exp(numbers)) == pytest.approx(1)
    assert spearman(numbers, -numbers) == pytest.approx(-1)
