"""Features have one length and one order, and say so when they are asked otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from tilewright.tune.error import TuneError
from tilewright.tune.feature import Table, based_on, describe, stack
from tune_landscape import KNOBS, bowl, with_prior

BARE = bowl().task
KNOWN = with_prior(bowl(), noise=0.1).task
POSITIONS = BARE.space.sample(np.random.default_rng(0), 20)


def with_features(task):
    def features(columns):
        return np.stack([columns["tile_y"] * columns["tile_x"], columns["depth"]], axis=1).astype(np.float32)

    return replace(task, features=features, feature_names=("area", "depth in use"))


def test_a_row_has_the_knobs_the_features_and_what_is_foretold():
    task = with_features(KNOWN)
    table = describe(task, POSITIONS, refined=np.full(20, 7.0))
    knobs = tuple(f"knob {knob.name}" for knob in KNOBS)
    assert table.names == ("area", "depth in use", *knobs, "log estimate", "log refined")
    columns = task.space.columns(POSITIONS)
    assert (table.values[:, 0] == columns["tile_y"] * columns["tile_x"]).all()
    assert table.values[:, 2] == pytest.approx(np.log2(1 + columns["tile_y"]))
    assert table.values[:, -2] == pytest.approx(np.log(task.estimate(columns)), rel=1e-6)
    assert table.prior == pytest.approx(np.log(7.0))


def test_the_estimate_is_the_prior_where_nothing_is_refined():
    expected = np.log(KNOWN.estimate(KNOWN.space.columns(POSITIONS)))
    assert describe(KNOWN, POSITIONS).prior == pytest.approx(expected)
    assert (describe(BARE, POSITIONS).prior == 0).all()


def test_portable_rows_leave_knobs_out_where_there_are_features():
    assert describe(with_features(BARE), POSITIONS, portable=True).names == ("area", "depth in use")
    assert describe(BARE, POSITIONS, portable=True).names == describe(BARE, POSITIONS).names


def test_another_prior_is_a_feature_too():
    table = based_on(describe(BARE, POSITIONS), "other", np.arange(20.0))
    assert table.names[-1] == "other"
    assert (table.prior == np.arange(20)).all()
    assert (table.values[:, -1] == np.arange(20)).all()


def test_tables_of_other_columns_are_not_stacked():
    with pytest.raises(TuneError, match=r"new: log estimate"):
        stack([describe(BARE, POSITIONS), describe(KNOWN, POSITIONS)])
    assert len(stack([describe(BARE, POSITIONS), describe(BARE, POSITIONS[:5])])) == 25
    with pytest.raises(TuneError, match="not none"):
        stack([])


@pytest.mark.parametrize("cost", [0.0, -1.0, np.nan, np.inf])
def test_a_prior_that_is_no_cost_is_refused(cost):
    task = replace(BARE, estimate=lambda columns: np.full(20, cost))
    with pytest.raises(TuneError, match="above 0"):
        describe(task, POSITIONS)


def test_a_table_has_a_value_for_each_name():
    with pytest.raises(TuneError, match=r"\(3, 2\)"):
        Table(names=("a", "b"), values=np.zeros((3, 1), np.float32), prior=np.zeros(3))
    with pytest.raises(TuneError, match="infinite"):
        Table(names=("a",), values=np.full((3, 1), np.inf, np.float32), prior=np.zeros(3))
