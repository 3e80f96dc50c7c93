"""Fronts and hypervolumes are exact: they agree with counting and with what is obvious."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.tune.error import TuneError
from tilewright.tune.front import Quartiles, calls_until, front_places, hypervolume, hypervolumes

GRID = st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=12)


def counted(points, reference):
    """Unit cubes below the reference that a point dominates."""
    cells = np.indices(reference).reshape(3, -1).T
    return sum(any((cell >= point).all() for point in np.array(points)) for cell in cells)


@given(GRID)
def test_a_hypervolume_is_what_counting_says(points):
    values, reference = np.array(points, float), (5, 4, 5)
    assert hypervolume(values, reference) == pytest.approx(counted(points, reference))


@given(GRID)
def test_nobody_dominates_a_point_of_the_front(points):
    values = np.array(points, float)
    places = front_places(values)
    for place in places:
        dominates = (values <= values[place]).all(axis=1) & (values < values[place]).any(axis=1)
        assert not dominates.any()
    front = values[places]
    assert all((front <= row).all(axis=1).any() for row in values)


def test_what_was_refused_is_on_no_front():
    values = np.array([[np.inf, 0.1, 0.1], [1.0, 0.5, 0.5]])
    assert front_places(values) == [1]
    assert front_places(values[:1]) == []
    assert hypervolume(values[:1]) == 0


@given(GRID)
def test_hypervolumes_never_fall_and_end_with_that_of_all(points):
    values = np.array(points, float) / 5
    curve = hypervolumes(values)
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == pytest.approx(hypervolume(values))


def test_quartiles_are_over_seeds_and_short_curves_stay_where_they_ended():
    quartiles = Quartiles.of([np.array([1.0, 2.0]), np.array([3.0]), np.array([5.0, 6.0])])
    assert quartiles.median.tolist() == [3.0, 3.0]
    assert quartiles.low.tolist() == [2.0, 2.5]
    with pytest.raises(TuneError):
        Quartiles.of([])


def test_calls_until_counts_from_one():
    curve = np.array([0.1, 0.2, 0.4])
    assert [calls_until(curve, volume) for volume in (0.05, 0.3, 0.5)] == [1, 3, None]


def test_without_moocore_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "moocore", None)
    with pytest.raises(TuneError, match=r"pip install 'tilewright\[tune\]'"):
        hypervolume(np.zeros((1, 3)))
