"""What a function of single elements reads has no integers where the function changes no more."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.activation import HardSwish
from tilewright.compiler.ops.nn.pointwise import Pointwise
from tilewright.compiler.quantise.range_method import Range
from tilewright.compiler.quantise.saturation import without_flat_ends

VECTOR = TensorType(DType.FLOAT32, (8,))
ANY = TensorType(DType.FLOAT32, (Size.of("elements"),))


def body(function):
    b = Builder("body")
    x = b.parameter("x", ANY)
    return b.function(function(b, x))


SIGMOID = body(e.sigmoid)
HARD_SWISH = body(lambda b, x: b.emit(HardSwish(), x))
FLAT = body(lambda b, x: e.mul(b, x, e.sub(b, x, x)))
EXP = body(e.exp)


def narrowed(function, low, high, further=False):
    """The range of what a function reads, and the ranges that were given."""
    b = Builder("main")
    given = b.parameter("given", VECTOR)
    x = e.neg(b, given)
    y = b.emit(Pointwise(function), x)
    results = (y, e.neg(b, x)) if further else (y,)
    main = b.function(*results)
    ranges = {value: Range(low, high) for each in main.equations for value in each.results}
    return without_flat_ends(main, {given: Range(-high, -low), **ranges})[x]


def test_a_hard_swish_needs_nothing_below_its_kink():
    found = narrowed(HARD_SWISH, -9.0, 11.0)
    assert -3.0 <= found.low < -2.8
    assert found.high == 11.0


def test_a_sigmoid_needs_neither_of_its_ends():
    found = narrowed(SIGMOID, -30.0, 20.0)
    assert -8.0 < found.low < -5.0
    assert 5.0 < found.high < 8.0


@pytest.mark.parametrize(("function", "low", "high"), [(EXP, -1.0, 1.0), (HARD_SWISH, -2.0, 4.0)])
def test_what_changes_everywhere_keeps_its_range(function, low, high):
    assert narrowed(function, low, high) == Range(low, high)


def test_what_changes_nowhere_keeps_its_range():
    assert narrowed(FLAT, -2.0, 3.0) == Range(-2.0, 3.0)


def test_what_others_read_keeps_its_range():
    assert narrowed(HARD_SWISH, -9.0, 11.0, further=True) == Range(-9.0, 11.0)


@pytest.mark.parametrize("function", [SIGMOID, HARD_SWISH])
@pytest.mark.parametrize("seed", range(4))
def test_what_lies_beyond_has_the_result_of_the_end(seed, function):
    low, high = np.random.default_rng(seed).uniform(1, 40, 2) * (-1, 1)
    found = narrowed(function, low, high)
    points = np.linspace(low, high, 10_000).astype(np.float32)
    (expected,) = Pointwise(function).run(points)
    (answers,) = Pointwise(function).run(np.clip(points, np.float32(found.low), np.float32(found.high)))
    step = (max(expected.max(), 0) - min(expected.min(), 0)) / 255
    assert np.abs(answers - expected).max() <= 0.3 * step
