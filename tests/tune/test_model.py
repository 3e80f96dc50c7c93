"""Models learn what the prior does not say, are the same twice, and refuse features that they do not know."""

import hashlib
import json
import sys

import numpy as np
import pytest

from tilewright.tune.error import TuneError
from tilewright.tune.feature import describe
from tilewright.tune.model import CostModel, Objective, RefusalModel, Samples
from tilewright.tune.rank import spearman
from tune_landscape import bowl, with_prior


def samples(landscape, count=200, seed=0):
    positions = landscape.task.space.sample(np.random.default_rng(seed), count)
    costs = landscape.cost_of(positions)
    kept = np.isfinite(costs)
    return Samples(table=describe(landscape.task, positions[kept]), costs=costs[kept])


def quality(model, landscape):
    other = samples(landscape, 500, seed=1)
    return spearman(model.predict(other.table), other.costs)


both_objectives = pytest.mark.parametrize("objective", list(Objective))


@both_objectives
def test_what_was_measured_foretells_the_order_of_the_rest(objective):
    assert quality(CostModel.fit([samples(bowl())], objective=objective), bowl()) > 0.9


@both_objectives
def test_the_cost_itself_is_foretold(objective):
    model, other = CostModel.fit([samples(bowl())], objective=objective), samples(bowl(), 500, seed=1)
    assert np.median(np.abs(model.predict(other.table) - np.log(other.costs))) < 0.15


@both_objectives
def test_what_is_left_of_the_prior_is_learned(objective):
    landscape = with_prior(bowl(), noise=0.6)
    other = samples(landscape, 500, seed=1)
    alone = spearman(other.table.prior, other.costs)
    assert quality(CostModel.fit([samples(landscape)], objective=objective), landscape) > alone + 0.05


@both_objectives
def test_few_points_leave_the_prior_as_it_is(objective):
    landscape = with_prior(bowl(), noise=0.1)
    model = CostModel.fit([samples(landscape, 4)], objective=objective)
    assert model.slope > 0.9
    assert quality(model, landscape) > 0.9


@both_objectives
@pytest.mark.parametrize("count", [1, 2])
def test_one_point_is_enough_to_say_something(objective, count):
    landscape = with_prior(bowl(), noise=0.1)
    model = CostModel.fit([samples(landscape, count)], objective=objective)
    assert quality(model, landscape) > 0.9


@both_objectives
def test_a_prior_that_misleads_is_not_believed(objective):
    landscape = with_prior(bowl(), noise=0.1, sign=-1)
    model = CostModel.fit([samples(landscape, 60)], objective=objective)
    assert model.slope == 0
    assert quality(model, landscape) > 0.8


def test_the_order_is_that_of_points_of_one_task():
    small, large = samples(bowl(), 100), samples(bowl(), 100, seed=1)
    large = Samples(table=large.table, costs=1e6 * large.costs)
    assert quality(CostModel.fit([small, large], objective=Objective.ORDER), bowl()) > 0.9


def test_the_level_of_tasks_can_be_left_out():
    small, large = samples(bowl(), 100), samples(bowl(), 100, seed=1)
    large = Samples(table=large.table, costs=1e6 * large.costs)
    assert quality(CostModel.fit([small, large], relative=True), bowl()) > 0.9
    assert quality(CostModel.fit([small, large]), bowl()) < 0.9


def test_weights_say_whom_to_believe():
    right, wrong = samples(bowl(), 100), samples(bowl(), 100)
    wrong = Samples(table=wrong.table, costs=1 / wrong.costs, weight=0.01)
    assert quality(CostModel.fit([right, wrong], relative=True), bowl()) > 0.8


@both_objectives
def test_equal_records_make_equal_models(objective):
    first, second = (CostModel.fit([samples(bowl())], objective=objective) for _ in range(2))
    assert first.booster.save_raw() == second.booster.save_raw()
    assert first.offset == second.offset


def test_the_importance_is_by_name():
    importance = CostModel.fit([samples(bowl())]).importance
    assert sum(importance.values()) == pytest.approx(1)
    assert importance.keys() <= set(samples(bowl()).table.names)


def test_other_features_are_refused_by_name():
    model = CostModel.fit([samples(bowl())])
    with pytest.raises(TuneError, match="new: log estimate"):
        model.predict(samples(with_prior(bowl(), noise=0.1)).table)
    with pytest.raises(TuneError, match="new: log estimate"):
        CostModel.fit([samples(bowl()), samples(with_prior(bowl(), noise=0.1))])


def test_a_model_needs_points_and_costs():
    table = samples(bowl(), 5).table
    with pytest.raises(TuneError, match="not none"):
        CostModel.fit([])
    with pytest.raises(TuneError, match="not none"):
        CostModel.fit([Samples(table=table.rows(np.zeros(5, bool)), costs=np.empty(0))])
    with pytest.raises(TuneError, match="above 0"):
        Samples(table=table, costs=np.zeros(5))
    with pytest.raises(TuneError, match="as many costs"):
        Samples(table=table, costs=np.ones(4))


# --- refusals ----------------------------------------------------------------------------------------------


def judged(count, seed):
    landscape = bowl(3, cliff=True)
    positions = landscape.task.space.sample(np.random.default_rng(seed), count)
    return describe(landscape.task, positions), np.isinf(landscape.cost_of(positions))


def test_refusals_are_foretold():
    model = RefusalModel.fit(*judged(300, 0))
    table, refused = judged(500, 1)
    foretold = model.predict(table)
    assert ((foretold > 0) & (foretold < 1)).all()
    assert ((foretold > 0.5) == refused).mean() > 0.9


def test_refusals_are_learned_from_both_classes_and_known_features():
    table, refused = judged(50, 0)
    with pytest.raises(TuneError, match="some were refused, and some not"):
        RefusalModel.fit(table, np.zeros(50, bool))
    model = RefusalModel.fit(table, refused)
    with pytest.raises(TuneError, match="new: log estimate"):
        model.predict(samples(with_prior(bowl(), noise=0.1)).table)


# --- files -------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    CostModel.fit([samples(bowl())]).save(tmp_path / "model.json")
    return tmp_path / "model.json"


@both_objectives
def test_a_model_is_read_as_it_was_written(tmp_path, objective):
    landscape = with_prior(bowl(), noise=0.3)
    model = CostModel.fit([samples(landscape)], objective=objective)
    model.save(tmp_path / "model.json")
    found, table = CostModel.load(tmp_path / "model.json"), samples(landscape, 50, seed=2).table
    assert found.predict(table).tolist() == model.predict(table).tolist()
    assert found.importance == model.importance


def changed(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["a"]}, "must name 5 features, not 1"),
        ({"features": "abcde"}, "must list the names"),
        ({"version": 2}, "must be a model of version 1"),
        ({"slope": "1"}, "must have the numbers"),
        ({"probe": float("nan")}, "must have the numbers"),
        ({"sha256": ""}, "must lie beside its own trees"),
    ],
)
def test_a_file_that_was_changed_says_what_is_wrong(saved, changes, message):
    changed(saved, **changes)
    with pytest.raises(TuneError, match=message):
        CostModel.load(saved)


@pytest.mark.parametrize("text", ["", "[]", "{", "\0"])
def test_a_file_that_is_no_model_is_refused(saved, text):
    saved.write_text(text)
    with pytest.raises(TuneError, match=r"cannot be read|must be a model"):
        CostModel.load(saved)


def test_trees_that_xgboost_cannot_read_are_refused(saved):
    saved.with_suffix(".ubj").write_bytes(b"{}")
    changed(saved, sha256=hashlib.sha256(b"{}").hexdigest(), xgboost="99.0")
    with pytest.raises(TuneError, match=r"xgboost \S+ cannot read trees of xgboost 99.0: train"):
        CostModel.load(saved)
    saved.with_suffix(".ubj").unlink()
    with pytest.raises(TuneError, match="cannot be read"):
        CostModel.load(saved)


def test_trees_that_say_something_else_than_when_they_were_written_are_refused(saved):
    changed(saved, probe=json.loads(saved.read_text())["probe"] + 0.5, xgboost="99.0")
    with pytest.raises(TuneError, match=r"reads other numbers than xgboost 99.0 wrote: train"):
        CostModel.load(saved)


def test_without_xgboost_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(TuneError, match=r"pip install 'tilewright\[tune\]'"):
        CostModel.fit([samples(bowl(), 5)])
