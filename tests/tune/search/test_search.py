"""Every search keeps the protocol: the default first, no point twice, none that does not fit, one by seed."""

from dataclasses import replace

import numpy as np
import pytest

from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.space import Space
from tilewright.tune.error import TuneError
from tilewright.tune.harness import Budget, run
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.search.annealing import AnnealingSearch
from tilewright.tune.search.genetic import GeneticSearch
from tilewright.tune.search.guided import GuidedSearch
from tilewright.tune.search.plain import GridSearch, RandomSearch
from tilewright.tune.search.prior import PriorSearch
from tilewright.tune.task import Task
from tune_landscape import bowl, outcome, with_prior

SEARCHES = [RandomSearch, GridSearch, GeneticSearch, AnnealingSearch, PriorSearch, GuidedSearch]
KNOWN = with_prior(bowl(3, cliff=True), noise=0.3, refine=True)
SMALL = Space((Knob("a", (1, 2, 3, 4, 5)), Knob("b", ("x", "y"))), lambda columns: columns["a"] != 3)

every_search = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.__name__)


def numbers(trace, landscape=KNOWN):
    return landscape.task.space.numbers(trace.positions).tolist()


@every_search
def test_the_default_is_first_and_no_point_comes_twice(search):
    trace = run(search(KNOWN.task, 1), KNOWN.measure, Budget(trials=60), batch=11)
    assert KNOWN.task.space.points(trace.positions[:1]) == [KNOWN.task.default]
    assert len(set(numbers(trace))) == 60
    assert len(KNOWN.task.space.that_fit(trace.positions)) == 60


@every_search
def test_equal_seeds_propose_the_same(search):
    first, again = (
        numbers(run(search(KNOWN.task, 5), KNOWN.measure, Budget(trials=40), batch=16)) for _ in range(2)
    )
    assert first == again


@every_search
@pytest.mark.parametrize("batch", [1, 5])
def test_a_small_space_is_measured_whole_and_then_ended(search, batch):
    task = Task(key="small", target="synthetic", machine="none", space=SMALL, unit="seconds")

    def measure(points):
        return [(point, outcome(1.0 + point.number("a"))) for point in points]

    trace = run(search(task), measure, Budget(), batch=batch)
    assert sorted(SMALL.numbers(trace.positions)) == sorted(SMALL.numbers(SMALL.all_that_fit()))


@every_search
def test_a_space_in_which_nothing_fits_ends_at_once(search):
    space = replace(SMALL, fits=lambda columns: columns["a"] > 5)
    task = Task(key="empty", target="synthetic", machine="none", space=space, unit="seconds")
    assert not run(search(task), lambda points: [], Budget(trials=9)).batches


@every_search
def test_a_task_of_which_every_point_is_refused_is_searched_to_the_end(search):
    task = KNOWN.task

    def measure(points):
        return [(point, Outcome(kind=Kind.REFUSED, detail="never")) for point in points]

    trace = run(search(task), measure, Budget(trials=64), batch=16)
    assert trace.kinds == {Kind.REFUSED: 64}
    assert np.isinf(trace.best).all()


@every_search
def test_what_was_measured_before_is_not_proposed_again(search):
    before = run(RandomSearch(KNOWN.task), KNOWN.measure, Budget(trials=50))
    resumed = search(KNOWN.task, 1)
    resumed.learn(before.positions, [each for batch in before.batches for each in batch.outcomes])
    after = run(resumed, KNOWN.measure, Budget(trials=50))
    assert not set(numbers(before)) & set(numbers(after))


@every_search
def test_what_was_lost_may_be_proposed_again(search):
    asked = search(KNOWN.task)
    positions = asked.propose(1)
    asked.learn(positions, [Outcome(kind=Kind.LOST, detail="it went away")])
    assert asked.propose(1).tolist() == positions.tolist()
    assert not len(asked.measured)


def test_there_is_one_outcome_for_each_point():
    search = RandomSearch(KNOWN.task)
    with pytest.raises(TuneError, match="as many outcomes"):
        search.learn(search.propose(3), [])
