"""Spaces count, draw and find neighbours; what does not fit is never among them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.compiler.space.error import SpaceError
from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Space

NUMBERS = st.lists(st.integers(-9, 99), min_size=1, max_size=5, unique=True).map(tuple)
WORDS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True).map(tuple)


@st.composite
def spaces(draw):
    values = draw(st.lists(st.one_of(NUMBERS, WORDS), min_size=1, max_size=4))
    knobs = tuple(Knob(f"k{n}", each) for n, each in enumerate(values))
    modulus = draw(st.integers(1, 4))

    def fits(columns):
        return sum(columns.values()) % modulus == 0

    return Space(knobs, fits)


def listed(space):
    return {tuple(row) for row in space.all_that_fit().tolist()}


@given(spaces())
def test_positions_numbers_and_points_are_forms_of_each_other(space):
    numbers = np.arange(space.size)
    positions = space.positions(numbers)
    assert (space.numbers(positions) == numbers).all()
    assert (space.positions_of(space.points(positions)) == positions).all()


@given(spaces())
def test_all_points_that_fit_are_those_that_are_not_refused(space):
    points = space.points(space.positions(np.arange(space.size)))
    fitting = [point for point in points if space.refuse(point) is None]
    assert fitting == space.points(space.all_that_fit())


@given(spaces(), st.integers(0, 2**32 - 1), st.integers(1, 50))
def test_a_sample_has_different_points_that_fit_and_as_many_as_there_are(space, seed, count):
    drawn = [tuple(row) for row in space.sample(np.random.default_rng(seed), count).tolist()]
    assert len(set(drawn)) == len(drawn) == min(count, len(listed(space)))
    assert set(drawn) <= listed(space)


@given(spaces(), st.integers(0, 2**32 - 1))
def test_neighbours_differ_in_one_knob_and_fit(space, seed):
    every = space.positions(np.arange(space.size))
    at = every[seed % len(every)]
    found = {tuple(row) for row in space.neighbours(at).tolist()}
    expected = set()
    for row in every:
        differs = np.flatnonzero(row != at)
        if len(differs) == 1:
            knob = space.knobs[differs[0]]
            if not knob.is_number or abs(row - at).sum() == 1:
                expected.add(tuple(row.tolist()))
    assert found == expected & listed(space)


def test_samples_are_drawn_evenly():
    space = Space((Knob("a", tuple(range(10))), Knob("b", ("x", "y"))))
    counts = np.zeros(space.size)
    for seed in range(400):
        counts[space.numbers(space.sample(np.random.default_rng(seed), 5))] += 1
    assert counts.min() > 60
    assert counts.max() < 140


def test_points_are_equal_whatever_the_order_and_print_in_theirs():
    one, other = Point({"a": 1, "b": "x"}), Point({"b": "x", "a": 1})
    assert one == other
    assert hash(one) == hash(other)
    assert str(one) == "a=1 b=x"
    assert one.number("a") == 1
    assert one.word("b") == "x"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Knob("a", ()), "must have values"),
        (lambda: Knob("a", (1, 1)), "each once"),
        (lambda: Knob("a", (1, "x")), "numbers or words alone"),
        (lambda: Space((Knob("a", (1,)), Knob("a", (2,)))), "each name once"),
        (lambda: Space(()), "must have knobs"),
        (lambda: Space(tuple(Knob(f"k{n}", tuple(range(1000))) for n in range(7))), "at most"),
        (lambda: Space((Knob("a", (1, 2)),)).positions_of([Point({"a": 3})]), "a must be one of 1, 2, not 3"),
        (lambda: Space((Knob("a", (1, 2)),)).positions_of([Point({"a": True})]), "must be one of"),
        (lambda: Space((Knob("a", (1, 2)),)).positions_of([Point({"b": 1})]), "must have the knobs"),
        (lambda: Point({"a": 1}).word("a"), "must be a word"),
        (lambda: Point({"a": "x"}).number("a"), "must be a number"),
    ],
)
def test_what_makes_no_space_is_refused(make, message):
    with pytest.raises(SpaceError, match=message):
        make()
