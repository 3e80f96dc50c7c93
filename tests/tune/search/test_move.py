"""Moves stay in the space and say what they change."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tilewright.tune.search.move import (
    all_neighbours,
    crossed,
    distinct,
    diverse,
    mutated,
    offspring,
    tournament,
)
from tune_landscape import SPACE

SEEDS = st.integers(0, 2**32 - 1)
SIZES = np.array([len(knob.values) for knob in SPACE.knobs])


def drawn(seed, count=30):
    return SPACE.sample(np.random.default_rng(seed), count)


@given(SEEDS)
def test_a_child_has_each_knob_of_a_parent(seed):
    mothers, fathers = drawn(seed), drawn(seed + 1)
    children = crossed(np.random.default_rng(seed), mothers, fathers)
    assert ((children == mothers) | (children == fathers)).all()


@given(SEEDS)
def test_a_mutant_stays_in_the_space(seed):
    mutants = mutated(np.random.default_rng(seed), SPACE, drawn(seed))
    assert ((mutants >= 0) & (mutants < SIZES)).all()


def test_mutants_mostly_step():
    parents = drawn(0, 500)
    mutants = mutated(np.random.default_rng(0), SPACE, parents)
    changed = (mutants != parents).sum(axis=1)
    assert 1 <= changed.mean() < 2.5
    steps = np.abs(mutants - parents)[:, :4]
    assert (steps[steps > 0] == 1).mean() > 0.6


def test_a_tournament_prefers_the_smaller():
    scores = np.arange(20.0)[::-1]
    won = tournament(np.random.default_rng(0), scores, 1000)
    assert scores[won].mean() < 7
    assert set(won.tolist()) <= set(range(20))
    assert len(offspring(np.random.default_rng(0), SPACE, drawn(0, 20), scores, 7)) == 7


def test_the_neighbours_of_the_first_come_first():
    rows = drawn(0, 2)
    found = all_neighbours(SPACE, rows)
    assert found.tolist() == [*SPACE.neighbours(rows[0]).tolist(), *SPACE.neighbours(rows[1]).tolist()]
    assert all_neighbours(SPACE, rows[:0]).shape == (0, 5)


def test_each_point_once_where_it_comes_first():
    rows = drawn(0, 5)
    assert distinct(SPACE, np.concatenate([rows, rows[::-1]])).tolist() == rows.tolist()


def test_a_batch_differs_in_two_knobs_while_it_can():
    rows = np.array([[0, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1], [2, 2, 2]])
    assert diverse(rows, 3).tolist() == [[0, 0, 0], [1, 1, 0], [2, 2, 2]]
    assert diverse(rows, 4).tolist() == [[0, 0, 0], [1, 1, 0], [2, 2, 2], [0, 0, 1]]
    assert len(diverse(rows, 9)) == 5
    assert len(diverse(rows[:0], 9)) == 0
