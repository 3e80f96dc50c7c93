"""The grid lies evenly however soon it ends; the classics find what chance does not."""

from math import gcd

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.space import Space
from tilewright.tune.harness import Budget, run
from tilewright.tune.search.annealing import AnnealingSearch
from tilewright.tune.search.genetic import GeneticSearch
from tilewright.tune.search.plain import GridSearch, RandomSearch, _stride
from tilewright.tune.search.prior import Prior, PriorSearch
from tilewright.tune.task import Task
from tune_landscape import bowl, with_prior


@given(st.integers(1, 10**6))
def test_the_stride_visits_every_point(size):
    assert gcd(_stride(size), size) == 1


def test_the_grid_leaves_no_large_gap():
    space = Space((Knob("a", tuple(range(100))), Knob("b", tuple(range(100)))))
    search = GridSearch(Task(key="flat", target="synthetic", machine="none", space=space, unit="cycles"))
    numbers = np.sort(space.numbers(search.propose(50)))
    gaps = np.diff(np.append(numbers, numbers[0] + space.size))
    assert gaps.max() < 3 * space.size / 50


@pytest.mark.parametrize("search", [GeneticSearch, AnnealingSearch])
def test_the_classics_find_better_points_than_chance(search):
    landscape = bowl(3, cliff=True)

    def end(make):
        return np.median(
            [
                run(make(landscape.task, seed), landscape.measure, Budget(trials=250)).best[-1]
                for seed in range(5)
            ]
        )

    assert end(search) < end(RandomSearch)


def test_the_prior_alone_goes_down_its_list():
    landscape = with_prior(bowl(), noise=0.0)
    trace = run(PriorSearch(landscape.task), landscape.measure, Budget(trials=50))
    assert (np.diff(trace.costs[1:]) >= 0).all()
    assert trace.costs[1] == landscape.best


def test_the_refinement_orders_the_list_where_there_is_one():
    landscape = with_prior(bowl(), noise=0.5, refine=True)
    refined = landscape.task.refine(
        run(PriorSearch(landscape.task), landscape.measure, Budget(trials=50)).positions
    )
    assert (np.diff(refined[1:]) >= 0).all()


def test_of_a_space_that_is_too_large_to_list_evolution_finds_what_the_estimate_likes():
    knobs = tuple(Knob(f"k{n}", tuple(range(16))) for n in range(6))

    def estimate(columns):
        return 1.0 + sum((columns[f"k{n}"] - 2 * n) ** 2 for n in range(6))

    task = Task(
        key="large", target="synthetic", machine="none", space=Space(knobs), unit="cycles", estimate=estimate
    )
    prior = Prior(task, np.random.default_rng(0))
    assert prior.ranking()[0].tolist() == [0, 2, 4, 6, 8, 10]
