import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.tune.error import TuneError
from tilewright.tune.regression import Regression, Sample, Spread, leave_one_out

TERMS = ("fixed", "lanes")


def sample(measured, known=None):
    lanes = np.arange(1.0, len(measured) + 1)
    values = np.stack([np.ones_like(lanes), lanes], axis=1)
    known = np.zeros_like(lanes) if known is None else np.asarray(known, dtype=float)
    return Sample(values=values, known=known, measured=np.asarray(measured, dtype=float))


@given(fixed=st.floats(1, 1e6), each=st.floats(1, 1e6), known=st.floats(0, 1e6))
def test_exact_measurements_give_their_weights_and_no_error(fixed, each, known):
    lanes = np.arange(1.0, 6)
    points = sample(known + fixed + each * lanes, known=np.full(5, known))
    form = Regression.fitted(TERMS, points)
    assert form.weights == pytest.approx((fixed, each), rel=1e-5)
    assert np.abs(leave_one_out(TERMS, points)).max() < 1e-6


def test_no_weight_is_below_zero():
    assert Regression.fitted(TERMS, sample([4, 3, 2, 1])).weights[1] == 0


def test_errors_are_relative_and_signed():
    form = Regression(terms=TERMS, weights=(0.0, 1.0))
    assert form.errors(sample([1, 1, 4])) == pytest.approx([0, 1, -0.25])


def test_a_point_left_out_has_no_say():
    wrong = sample([1, 2, 3, 4, 50])
    assert leave_one_out(TERMS, wrong)[-1] == pytest.approx(5 / 50 - 1)


def test_fewer_points_than_terms_are_refused():
    with pytest.raises(TuneError, match="2 terms need as many measurements, not 1"):
        Regression.fitted(TERMS, sample([1]))


def test_a_spread_says_mean_worst_and_of_how_many():
    spread = Spread.of(np.array([0.1, -0.3]))
    assert str(spread) == "20.0 % (worst 30.0 %, of 2)"
    assert np.isnan(Spread.of(np.array([])).mean)


def test_no_point_can_be_left_out_of_as_few_as_the_terms():
    assert not leave_one_out(TERMS, sample([1, 2])).size
    assert str(Spread.of(leave_one_out(TERMS, sample([1, 2])))) == "unknown"
