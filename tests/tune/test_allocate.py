"""Trials go to where network time is gained: a little to everyone, much to whoever still gains."""

from collections import Counter

import numpy as np
import pytest

from tilewright.tune.allocate import Progress, turns
from tilewright.tune.error import TuneError
from tilewright.tune.harness import Budget


def given(weights, curves, budget, *, seconds=lambda task: 0.0, points=10**9, **options):
    """The trials that each task got, of tasks whose best cost after some trials is a curve."""
    trials, order = Counter(), []
    generator = turns(weights, budget, **options)
    turn = next(generator, None)
    while turn is not None:
        measured = min(turn.count, points - trials[turn.task])
        trials[turn.task] += measured
        order.append(turn.task)
        progress = Progress(
            best_cost=curves[turn.task](trials[turn.task]),
            measured=measured,
            seconds=seconds(turn.task) * measured,
            is_over=trials[turn.task] >= points,
        )
        try:
            turn = generator.send(progress)
        except StopIteration:
            turn = None
    return [trials[task] for task in range(len(weights))], order


def flat(trials):
    return 100.0


def falling(trials):
    return 100.0 * 0.5 ** (trials / 200) + 10


def test_all_trials_are_given_and_no_more():
    for total in (1, 7, 100, 1001):
        trials, _ = given([1.0, 2.0, 3.0], [flat, falling, flat], Budget(trials=total))
        assert sum(trials) == total


def test_everyone_gets_the_minimum_the_longest_first():
    trials, order = given([1.0, 5.0, 3.0], [flat] * 3, Budget(trials=96), minimum=32)
    assert trials == [32, 32, 32]
    assert order == [1, 1, 2, 2, 0, 0]


def test_few_trials_are_shared_evenly():
    assert given([1.0, 5.0, 3.0], [flat] * 3, Budget(trials=30))[0] == [10, 10, 10]


def test_a_tiny_task_gets_little_however_well_it_does():
    trials, _ = given([0.001, 1.0, 1.0], [falling, falling, flat], Budget(trials=2000))
    assert trials[0] <= 64
    assert trials[1] > trials[2]


def test_trials_follow_the_gain():
    trials, _ = given([1.0, 1.0], [falling, flat], Budget(trials=600))
    assert trials[0] > 2 * trials[1]


def test_where_nothing_gains_trials_go_by_time():
    trials, _ = given([3.0, 1.0], [flat, flat], Budget(trials=4000))
    assert trials[0] / trials[1] == pytest.approx(3, rel=0.25)


def test_a_task_of_which_nothing_was_right_is_not_preferred_for_ever():
    trials, _ = given([1.0, 1.0], [lambda trials: np.inf, falling], Budget(trials=640))
    assert trials[1] > 100


def test_a_task_without_more_points_is_left():
    trials, _ = given([9.0, 1.0], [falling, falling], Budget(trials=300), points=40)
    assert trials == [40, 40]


def test_with_a_budget_of_time_slow_points_are_dear():
    trials, order = given(
        [1.0, 1.0], [falling] * 2, Budget(seconds=1000), seconds=lambda task: (0.1, 2.0)[task]
    )
    assert trials[0] > 2 * trials[1]
    assert len(order) < 200


def test_equal_seeds_share_the_same():
    first, again = (given([1.0, 2.0], [falling, flat], Budget(trials=900), seed=3)[1] for _ in range(2))
    assert first == again


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(TuneError, match=r"weights.*-1.*batch.*minimum"):
        next(turns([1.0, -1.0], Budget(), batch=0, minimum=0))
    with pytest.raises(TuneError, match="must be a task"):
        next(turns([], Budget()))
