"""Features of queries and keys become of like sizes, with the same scores; what others read stays."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.quantise.head_balance import balanced

TOKENS, HEADS, SIZE, INPUTS = 5, 2, 3, 4
RNG = np.random.default_rng(17)


def real(*shape):
    return RNG.normal(0, 1, shape).astype(np.float32)


def scores(factor=None, shown=False, grouped=False, twice=False):
    """q · kᵀ of linear layers whose features differ by factors of up to a thousand."""
    b = Builder("main")
    x = b.parameter("x", TensorType(DType.FLOAT32, (1, TOKENS, INPUTS)))

    def layer(order, heads, bias=True):
        spread = np.exp(RNG.normal(0, 2, heads * SIZE)).astype(np.float32)
        y = e.dot(b, x, b.constant(real(INPUTS, heads * SIZE) * spread), (2,), (0,))
        y = e.add(b, y, b.constant(real(heads * SIZE) * spread)) if bias else y
        return y, e.transpose(b, e.reshape(b, y, (1, TOKENS, heads, SIZE)), order)

    _, q = layer((0, 2, 1, 3), HEADS)
    q = q if factor is None else e.mul(b, q, factor)
    keys, k = layer((0, 2, 3, 1), 1 if grouped else HEADS, bias=False)
    k = e.broadcast_to(b, k, (1, HEADS, SIZE, TOKENS)) if grouped else k
    y = e.matmul(b, q, k)
    return b.function(
        y, *([e.exp(b, keys)] if shown else []), *([e.matmul(b, e.neg(b, q), k)] if twice else [])
    )


def weight_sizes(function):
    """The root of the sum of squares of each feature's weights, and its bias: of queries, of keys."""
    arrays = [each.operator.value.array for each in function.equations if isinstance(each.operator, Constant)]
    one, other = (array for array in arrays if array.shape == (INPUTS, HEADS * SIZE))
    (bias,) = (array for array in arrays if array.shape == (HEADS * SIZE,))
    return np.sqrt(np.square(one).sum(0) + np.square(bias)), np.sqrt(np.square(other).sum(0))


@pytest.mark.parametrize("factor", [None, 0.25])
def test_both_have_like_sizes_and_the_same_scores(factor):
    function = scores(factor)
    after = balanced(function)
    ratio = np.divide(*weight_sizes(after))
    # As near as powers of two allow: √2 for each of both.
    assert (np.abs(np.log2(ratio)) <= 1).all()
    assert not (np.abs(np.log2(np.divide(*weight_sizes(function)))) <= 1).all()
    x = real(1, TOKENS, INPUTS)
    np.testing.assert_array_equal(run(after, x)[0], run(function, x)[0])
    assert balanced(after) == after


@pytest.mark.parametrize(
    "options", [{"shown": True}, {"grouped": True}, {"twice": True}], ids=lambda each: next(iter(each))
)
def test_what_others_read_stays(options):
    function = scores(**options)
    assert balanced(function) == function
