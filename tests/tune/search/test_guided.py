"""The search by models finds what others do not, goes beyond a good prior, and recovers from a wrong one."""

from dataclasses import replace
from statistics import median

import numpy as np
import pytest

from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.space import Space
from tilewright.tune.error import TuneError
from tilewright.tune.feature import describe
from tilewright.tune.harness import Budget, run, trials_to
from tilewright.tune.model import CostModel, Samples
from tilewright.tune.search import level
from tilewright.tune.search.guided import GuidedSearch
from tilewright.tune.search.plain import RandomSearch
from tilewright.tune.search.prior import PriorSearch
from tilewright.tune.task import Task
from tune_landscape import bowl, layer, outcome, with_prior


def reached(make, landscape, share=0.95, trials=128, seeds=3):
    """The median of trials to a share of the best."""
    best = landscape.best
    traces = [run(make(seed), landscape.measure, Budget(trials=trials)) for seed in range(seeds)]
    return median(trials_to(trace, share, best) or 10 * trials for trace in traces)


def guided(landscape, **options):
    return lambda seed: GuidedSearch(landscape.task, seed, **options)


def by_chance(landscape):
    return lambda seed: RandomSearch(landscape.task, seed)


def alone(landscape):
    return lambda seed: PriorSearch(landscape.task, seed)


@pytest.mark.slow
@pytest.mark.parametrize("cliff", [False, True], ids=["bowl", "cliff"])
def test_it_finds_the_best_with_a_share_of_the_points_of_chance(cliff):
    landscape = bowl(3, cliff=cliff)
    assert reached(guided(landscape), landscape, 0.99) < reached(by_chance(landscape), landscape, 0.99) / 2


@pytest.mark.slow
def test_refusals_are_avoided_once_they_are_known(monkeypatch):
    landscape = bowl(5, cliff=True)

    def refused():
        traces = [
            run(GuidedSearch(landscape.task, seed), landscape.measure, Budget(trials=96)) for seed in range(3)
        ]
        return np.mean([np.isinf(trace.costs[48:]).mean() for trace in traces])

    with_model = refused()
    monkeypatch.setattr(level, "_ENOUGH_REFUSED", 1000)
    assert with_model < 0.7 * refused()


def test_a_good_prior_is_followed_at_once():
    landscape = with_prior(bowl(1), noise=0.1)
    assert reached(guided(landscape), landscape, trials=16) <= 4


def test_a_refinement_is_believed_before_the_estimate():
    landscape = with_prior(bowl(1), noise=0.0)
    wrong = replace(landscape.task, estimate=lambda columns: 1e6 / landscape.task.estimate(columns))

    def refine(positions):
        return landscape.task.estimate(wrong.space.columns(positions))

    task = replace(wrong, refine=refine)
    trace = run(GuidedSearch(task), landscape.measure, Budget(trials=32))
    assert trace.rank[0] == pytest.approx(1)


def test_few_points_are_refined():
    asked = []

    def refine(positions):
        asked.append(len(positions))
        return np.ones(len(positions))

    landscape = with_prior(bowl(1), noise=0.5)
    run(GuidedSearch(replace(landscape.task, refine=refine)), landscape.measure, Budget(trials=32))
    assert max(asked) <= 512
    assert sum(asked) <= 512 + 2 * 150


@pytest.mark.slow
def test_it_goes_beyond_a_prior_that_is_only_half_right():
    landscape, other = layer(30, 30, 100, bus_bytes=4), layer(30, 30, 100, bus_bytes=32)

    def estimate(columns):
        knobs = landscape.task.space.knobs
        rows = [
            np.searchsorted(knob.values, columns[knob.name]) if knob.is_number else columns[knob.name]
            for knob in knobs
        ]
        return other.cost_of(np.stack(rows, axis=1))

    half = replace(landscape, task=replace(landscape.task, estimate=estimate))
    assert reached(guided(half), half, 0.99) < reached(alone(half), half, 0.99) / 2


@pytest.mark.slow
def test_it_recovers_from_a_prior_that_misleads():
    landscape = with_prior(bowl(1), noise=0.3, sign=-1)
    assert reached(guided(landscape), landscape) <= 128
    assert reached(alone(landscape), landscape) > 128


def test_a_share_of_each_batch_is_drawn_by_chance():
    landscape = with_prior(bowl(1), noise=0.1)
    estimates = np.sort(landscape.cost_of(landscape.task.space.all_that_fit()))
    for explored, expected in ((0.0, 0), (0.1, 3.6), (0.5, 18)):
        search = GuidedSearch(landscape.task, explored=explored)
        proposed = landscape.cost_of(search.propose(41))[1:]
        assert (proposed > estimates[len(estimates) // 10]).sum() == pytest.approx(
            expected, abs=0.2 * expected + 1
        )
    assert (landscape.cost_of(GuidedSearch(landscape.task).propose(41))[1:] > np.median(estimates)).any()


def test_evolution_goes_where_neither_chance_nor_neighbours_lead():
    knobs = tuple(Knob(f"k{n}", tuple(range(16))) for n in range(6))
    task = Task(key="large", target="synthetic", machine="none", space=Space(knobs), unit="cycles")
    seen = task.space.sample(np.random.default_rng(0), 100)
    search = GuidedSearch(task, explored=0.0)
    search.learn(seen, [outcome(float(np.exp(row.sum() / 20))) for row in seen])
    proposed = search.propose(8)
    assert proposed.sum(axis=1).mean() < seen.sum(axis=1).min() - 2


def test_what_is_expected_is_said_as_soon_as_something_is():
    bare, known = bowl().task, with_prior(bowl(), noise=0.3).task
    positions = bare.space.sample(np.random.default_rng(0), 5)
    assert GuidedSearch(bare).predict(positions) is None
    assert GuidedSearch(known).predict(positions) == pytest.approx(describe(known, positions).prior)


# --- transfer ----------------------------------------------------------------------------------------------


def elsewhere(power=1.0):
    """What was learned from a hundred points each of three other layers."""
    samples = []
    for seed, other in enumerate([layer(56, 56, 64), layer(14, 14, 256), layer(28, 20, 96)]):
        positions = other.task.space.sample(np.random.default_rng(seed), 100)
        table = describe(other.task, positions, portable=True)
        samples.append(Samples(table=table, costs=other.cost_of(positions) ** power))
    return CostModel.fit(samples, relative=True)


@pytest.mark.slow
def test_what_was_learned_elsewhere_saves_trials():
    landscape, transferred = layer(112, 112, 32), elsewhere()
    assert reached(guided(landscape, transferred=transferred), landscape) < reached(
        guided(landscape), landscape
    )


@pytest.mark.slow
def test_it_recovers_from_what_was_learned_wrong_elsewhere():
    landscape, transferred = layer(112, 112, 32), elsewhere(power=-1)
    assert reached(guided(landscape, transferred=transferred), landscape) <= 128


def test_what_was_learned_from_other_features_is_refused_before_anything_is_measured():
    with pytest.raises(TuneError, match=r"other features.*missing: log volume"):
        GuidedSearch(bowl().task, transferred=elsewhere())
