"""The harness keeps the budget, says every trial, and counts what traces are asked for."""

import numpy as np
import pytest

from tilewright.tune.error import TuneError
from tilewright.tune.harness import (
    Batch,
    Budget,
    Trace,
    Trial,
    over_seeds,
    quartiles,
    run,
    steps,
    trials_to,
)
from tilewright.tune.search.guided import GuidedSearch
from tilewright.tune.search.plain import RandomSearch
from tilewright.tune.search.prior import PriorSearch
from tune_landscape import bowl, outcome, with_prior

BOWL = bowl(3, cliff=True)


def trace_of(*costs):
    batch = Batch(
        positions=np.zeros((len(costs), 5), np.int64), outcomes=tuple(map(outcome, costs)), rank=None
    )
    return Trace(batches=(batch,), seconds=1.0)


def test_each_trial_is_said_as_it_arrives_and_then_its_batch():
    found = list(steps(RandomSearch(BOWL.task), BOWL.measure, Budget(trials=10), batch=4))
    assert [type(each) for each in found] == [*[Trial] * 4, Batch, *[Trial] * 4, Batch, *[Trial] * 2, Batch]
    trials = [each for each in found if isinstance(each, Trial)]
    assert [each.number for each in trials] == list(range(1, 11))
    costs = [each.outcome.cost or np.inf for each in trials]
    assert [each.best_cost for each in trials] == np.minimum.accumulate(costs).tolist()


def test_outcomes_may_arrive_in_any_order():
    def backwards(points):
        return reversed(list(BOWL.measure(points)))

    first, second = (
        run(RandomSearch(BOWL.task), each, Budget(trials=9)) for each in (BOWL.measure, backwards)
    )
    assert first.costs.tolist() == second.costs.tolist()
    assert first.positions.tolist() == second.positions.tolist()


@pytest.mark.parametrize(
    "spoil",
    [lambda rows: rows[1:], lambda rows: [*rows, rows[0]], lambda rows: [(BOWL.task.default, rows[0][1])]],
)
def test_each_point_has_exactly_one_outcome(spoil):
    search = RandomSearch(BOWL.task)
    run(search, BOWL.measure, Budget(trials=1))
    with pytest.raises(TuneError, match="must have"):
        run(search, lambda points: spoil(list(BOWL.measure(points))), Budget(trials=4))


def test_no_batch_begins_after_the_time():
    assert len(run(RandomSearch(BOWL.task), BOWL.measure, Budget(seconds=1e-9)).batches) == 0
    assert Budget(seconds=5.0, trials=20).batch(done=16, seconds=4.0, size=16) == 4
    assert Budget(seconds=5.0, trials=20).batch(done=16, seconds=5.0, size=16) == 0


@pytest.mark.parametrize("budget", [{"trials": 0}, {"seconds": -1.0}, {"seconds": float("nan")}])
def test_a_budget_is_above_nothing(budget):
    with pytest.raises(TuneError, match="above 0"):
        Budget(**budget)


def test_the_rank_of_a_batch_is_foretold_before_it_is_learned():
    known = with_prior(bowl(), noise=0.0)
    trace = run(PriorSearch(known.task), known.measure, Budget(trials=32))
    assert trace.rank == pytest.approx((1.0, 1.0))
    assert run(RandomSearch(known.task), known.measure, Budget(trials=32)).rank == (None, None)
    assert run(GuidedSearch(bowl().task), bowl().measure, Budget(trials=32)).rank[0] is None


def test_trials_to_a_share_of_the_best_speed():
    trace = trace_of(200.0, np.inf, 105.0, 101.0, 100.0)
    assert [trials_to(trace, share, 100.0) for share in (0.5, 0.95, 0.99, 1.0)] == [1, 3, 4, 5]
    assert trials_to(trace, 0.99, 90.0) is None
    assert trace.best.tolist() == [200, 200, 105, 101, 100]


def test_quartiles_are_of_what_was_reached_and_what_was_not():
    found = quartiles([5, 1, 3, None, 2])
    assert (found.low, found.median, found.high) == (2, 3, 5)
    assert quartiles([1, None, None]).median is None
    assert str(found) == "3 (2–5)"
    with pytest.raises(TuneError, match="none"):
        quartiles([])


def test_each_seed_is_a_search_of_its_own():
    traces = over_seeds(
        lambda seed: RandomSearch(BOWL.task, seed), BOWL.measure, Budget(trials=8), seeds=range(3)
    )
    assert len({tuple(trace.costs) for trace in traces}) == 3
