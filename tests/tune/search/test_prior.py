"""The ranking by the machine's own models: what one says nothing of, and what it knows not."""

from dataclasses import replace

import numpy as np
import pytest

from tilewright.tune.search.prior import REFINED, Prior
from tune_landscape import bowl


def ranked(landscape, estimate):
    """Costs over the best, rank by rank, by an estimate and a refinement that is right."""
    space, asked = landscape.task.space, []

    def refine(positions):
        asked.append(len(positions))
        return landscape.cost_of(positions)

    task = replace(landscape.task, estimate=estimate, refine=refine)
    found = Prior(task, np.random.default_rng(0)).ranking()
    assert sum(asked) <= REFINED
    assert len(np.unique(space.numbers(found))) == len(space.all_that_fit())
    return landscape.cost_of(found) / landscape.best


def test_of_points_that_are_alike_to_the_estimate_a_few_come_before_those_behind():
    task = replace(bowl(0).task, estimate=lambda columns: np.where(columns["order"] == 2, 2.0, 1.0))
    found = Prior(task, np.random.default_rng(0)).ranking()
    order = task.space.columns(found)["order"]
    assert len(found) == len(task.space.all_that_fit())
    assert (order[:8] != 2).all()
    assert (order[8:16] == 2).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_best_is_found_beside_what_the_estimate_likes(seed):
    landscape = bowl(seed)
    knobs = landscape.task.space.knobs

    def estimate(columns):
        # It likes all but the best few.
        at = [
            np.searchsorted(np.array(knob.values), columns[knob.name]) if knob.is_number else columns["order"]
            for knob in knobs
        ]
        costs = landscape.cost_of(np.stack(at, axis=1))
        return np.where(costs < 1.05 * landscape.best, 1e3 * costs, costs)

    assert ranked(landscape, estimate)[0] < 1.01
