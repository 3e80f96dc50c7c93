import math

import numpy as np
import pytest

from tilewright.numerics import elementary

GOLDEN = {
    "exp": [1019906302, 1061004867, 1065361609, 1073799507, 1100047527],
    "log": [1067939699, -1080419384, -1059255211, -1095328230, 1065896049],
    "tanh": [-1082150930, -1097521426, 981668460, 1058715609, 1065251935],
    "erf": [-1082130433, -1096269371, 982771228, 1059947616, 1065352525],
}
"""Bits of some results."""
RNG = np.random.default_rng(1)
WIDE = np.concatenate([RNG.uniform(-104, 88.7, 200_000), RNG.uniform(-1, 1, 100_000)]).astype(np.float32)
POSITIVE = np.concatenate(
    [np.exp(RNG.uniform(-103, 88, 200_000)), RNG.uniform(0.5, 2, 100_000), [1e-45, 3.4e38]]
).astype(np.float32)
NEAR = np.concatenate([RNG.uniform(-10, 10, 30_000), RNG.uniform(-0.01, 0.01, 10_000)]).astype(np.float32)


@pytest.mark.parametrize(
    ("function", "meaning", "values", "ulps"),
    [
        (elementary.exp, np.exp, WIDE, 2),
        (elementary.log, np.log, POSITIVE[POSITIVE > 0], 2),
        (elementary.tanh, np.tanh, NEAR, 2),
        (elementary.erf, np.vectorize(math.erf), NEAR, 7),
    ],
)
def test_results_are_as_near_as_promised(function, meaning, values, ulps):
    wanted = meaning(values.astype(np.float64))
    unit = np.spacing(np.abs(wanted).astype(np.float32)).astype(np.float64)
    assert (np.abs(function(values) - wanted) / unit).max() <= ulps


@pytest.mark.parametrize(
    ("function", "x", "y"),
    [
        (elementary.exp, [-np.inf, -200, 0, 89, np.inf, np.nan], [0, 0, 1, np.inf, np.inf, np.nan]),
        (elementary.log, [-1, -0.0, 0, 1, np.inf, np.nan], [np.nan, -np.inf, -np.inf, 0, np.inf, np.nan]),
        (elementary.tanh, [-np.inf, -0.0, 0, 20, np.inf, np.nan], [-1, -0.0, 0, 1, 1, np.nan]),
        (elementary.erf, [-np.inf, -0.0, 0, 20, np.inf, np.nan], [-1, -0.0, 0, 1, 1, np.nan]),
    ],
)
def test_ends_of_the_range_are_those_of_ieee(function, x, y):
    np.testing.assert_array_equal(function(x), np.float32(y))
    assert (np.signbit(function(x)) == np.signbit(np.float32(y)))[:5].all()


def test_shapes_are_kept():
    assert elementary.exp(1.0).shape == ()
    assert elementary.exp(np.zeros((2, 0, 3), np.float32)).shape == (2, 0, 3)


def test_bits_do_not_depend_on_the_machine():
    # Rounded operation by operation, these follow from IEEE 754 alone.
    values = np.float32([-3.7, -0.3, 1e-3, 0.7, 2.9])
    found = {
        f.__name__: f(np.abs(values) if f is elementary.log else values).view(np.int32).tolist()
        for f in (elementary.exp, elementary.log, elementary.tanh, elementary.erf)
    }
    assert found == GOLDEN
