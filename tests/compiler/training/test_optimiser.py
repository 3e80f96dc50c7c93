"""Steps in units of a weight, and of numbers above 0, are those of Adam on what these stand for."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import trace
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.training.adam import Adam, Moments
from tilewright.compiler.training.loss import noise
from tilewright.compiler.training.optimiser import InUnits, Multiplicative

RNG = np.random.default_rng(2)
SHAPE = (4, 3)
RATE = 0.01


def steps(optimiser, start, gradients):
    """The number behind some steps."""
    types = [TensorType(DType.FLOAT32, start.shape)] * 4 + [TensorType(DType.FLOAT32, ())] * 2

    def body(b, weight, gradient, first, second, rate, number):
        new, moments = optimiser.step(b, weight, gradient, Moments(first, second), rate, number)
        return [new, *moments]

    function = trace("step", types, body)
    state = [start, np.zeros_like(start), np.zeros_like(start)]
    for number, gradient in enumerate(gradients, 1):
        given = (state[0], gradient(state[0]), *state[1:], RATE, number)
        state = list(run(function, *(np.asarray(each, np.float32) for each in given)))
    return state[0]


def test_a_step_in_units_is_one_of_the_quotient():
    unit = RNG.uniform(0.01, 10, (4, 1)).astype(np.float32)
    start = (unit * RNG.normal(size=SHAPE)).astype(np.float32)
    slopes = RNG.normal(size=(5, *SHAPE)).astype(np.float32)
    found = steps(InUnits(Adam(), Literal(unit)), start, [lambda _, each=each: each for each in slopes])
    quotient = steps(Adam(), start / unit, [lambda _, each=each: each * unit for each in slopes])
    np.testing.assert_allclose(found, quotient * unit, rtol=1e-4, atol=1e-6)


def test_a_multiplicative_step_is_one_of_the_logarithm():
    start = RNG.uniform(0.001, 10, SHAPE).astype(np.float32)
    slopes = RNG.normal(size=(5, *SHAPE)).astype(np.float32)
    wide = Multiplicative(Adam(), Literal(start / 100), Literal(start * 100))
    found = steps(wide, start, [lambda _, each=each: each for each in slopes])
    of_logarithm = [lambda value, each=each: each * np.exp(value) for each in slopes]
    np.testing.assert_allclose(found, np.exp(steps(Adam(), np.log(start), of_logarithm)), rtol=1e-4)


@pytest.mark.parametrize(("slope", "limit"), [(1.0, 0.995), (-1.0, 1.005)])
def test_a_multiplicative_step_stays_between_its_limits(slope, limit):
    start = np.ones(SHAPE, np.float32)
    tight = Multiplicative(Adam(), Literal(start * np.float32(0.995)), Literal(start * np.float32(1.005)))
    found = steps(tight, start, [lambda value: np.full_like(value, slope)] * 3)
    np.testing.assert_array_equal(found, np.full_like(start, limit))


def test_noise_is_the_mean_of_its_shares_of_the_signals():
    arrays = [RNG.normal(size=shape).astype(np.float32) for shape in ((5, 3), (5, 2), (5, 3), (5, 2))]
    types = [TensorType(DType.FLOAT32, array.shape) for array in arrays]
    powers = 4.0, 0.5
    function = trace("noise", types, lambda b, *xs: [noise(b, xs[:2], xs[2:], powers)])
    expected = np.mean([np.mean((arrays[k] - arrays[k + 2]) ** 2) / powers[k] for k in (0, 1)])
    assert float(run(function, *arrays)[0]) == pytest.approx(expected, rel=1e-6)
