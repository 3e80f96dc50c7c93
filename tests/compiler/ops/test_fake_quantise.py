"""Fake quantisation: the values of integers, and gradients that pass rounding, beside numpy."""

import numpy as np
import pytest

from tilewright.compiler.derivative.pullback import pullback
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import trace
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.nn.fake_quantise import FakeQuantise, fake_quantise
from tilewright.compiler.targets.cpu.host.program import compile_host
from tilewright.numerics.quantise import dequantise, quantise

RNG = np.random.default_rng(3)


def function(low, high, *arrays):
    types = [TensorType(DType.FLOAT32, array.shape) for array in arrays]
    return trace("fake", types, lambda b, x, scale: [fake_quantise(b, x, scale, low, high)])


@pytest.mark.parametrize("zero_point", [-128, -17, 0, 127])
def test_values_are_those_that_integers_give_back(zero_point):
    scale = np.float32(0.0371)
    # All halves are among them: ties go to the even integer.
    x = np.concatenate([np.arange(-600, 600) * scale / 2, RNG.normal(0, 3, 1000)]).astype(np.float32)
    (found,) = run(function(-128 - zero_point, 127 - zero_point, x, scale), x, scale)
    expected = dequantise(quantise(x, float(scale), zero_point), float(scale), zero_point)
    np.testing.assert_array_equal(found, expected)


def by_numpy(x, scale, low, high, cotangent):
    """The straight-through estimator, and LSQ's gradient of the scale, in float64."""
    steps = x.astype(np.float64) / scale
    inside = (steps >= low) & (steps <= high)
    each = cotangent * np.where(inside, np.rint(steps) - steps, np.clip(steps, low, high))
    axes = tuple(axis for axis, size in enumerate(scale.shape) if size == 1)
    total = each.sum(axis=axes, keepdims=True) if scale.ndim else each.sum()
    elements = x.size // scale.size
    return np.where(inside, cotangent, 0), total / np.sqrt(elements * max(-low, high))


@pytest.mark.parametrize(("low", "high"), [(-127, 127), (0, 255), (-33, 222)])
@pytest.mark.parametrize("shape", [(), (1, 3, 1), (4, 1, 1)])
@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_those_of_the_papers(low, high, shape, compiled):
    x = RNG.normal(0, 4, (4, 3, 50)).astype(np.float32)
    scale = RNG.uniform(0.02, 0.05, shape).astype(np.float32)
    cotangent = RNG.normal(0, 1, x.shape).astype(np.float32)
    back = pullback(function(low, high, x, scale))
    found = compile_host(back).run(x, scale, cotangent) if compiled else run(back, x, scale, cotangent)
    expected = by_numpy(x, scale, low, high, cotangent)
    outside = (x / scale < low) | (x / scale > high)
    assert 0.02 < outside.mean() < 0.98
    np.testing.assert_array_equal(found[0], expected[0].astype(np.float32))
    np.testing.assert_allclose(found[1], expected[1], rtol=2e-3, atol=2e-3)


def test_the_scale_has_the_slope_of_what_it_limits():
    # All values are outside: fake quantisation is high · scale, without rounding.
    x, scale = np.full((2, 8), 50, np.float32), np.full((), 0.1, np.float32)
    (_, slope) = run(pullback(function(-127, 127, x, scale)), x, scale, np.ones_like(x))
    assert slope == pytest.approx(16 * 127 / np.sqrt(16 * 127))


@pytest.mark.parametrize("limits", [(1, 5), (-5, -1), (0, 0)])
def test_limits_hold_zero(limits):
    with pytest.raises(OperatorError, match="0 must lie between low and high"):
        FakeQuantise(*limits)
