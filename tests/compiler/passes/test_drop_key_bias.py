"""Keys lose the biases of which a softmax takes no notice, and no others."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Module
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.activation import softmax
from tilewright.compiler.passes.drop_key_bias import DropKeyBias

TOKENS, HEADS, SIZE = 5, 2, 3
RNG = np.random.default_rng(4)


def attention(
    bias=(HEADS * SIZE,), factor=0.5, has_mask=True, axis=-1, is_first=False, softened=True, shown=False
):
    """softmax(q · (k + bias)ᵀ · factor + mask); keys are (1, tokens, heads · size) before they are split."""
    b = Builder("main")
    q, k = (b.parameter(name, TensorType(DType.FLOAT32, (1, TOKENS, HEADS * SIZE))) for name in "qk")
    mask = b.parameter("mask", TensorType(DType.FLOAT32, (1, 1, 1, TOKENS)))
    constant = b.constant(RNG.normal(0, 1, bias).astype(np.float32))
    keys = e.add(b, constant, k) if is_first else e.add(b, k, constant)

    def split(x, order):
        return e.transpose(b, e.reshape(b, x, (1, TOKENS, HEADS, SIZE)), order)

    scores = e.matmul(b, split(q, (0, 2, 1, 3)), split(keys, (0, 2, 3, 1)))
    scores = e.mul(b, scores, factor) if isinstance(factor, float) else e.mul(b, scores, b.constant(factor))
    scores = e.add(b, scores, mask) if has_mask else e.add(b, scores, e.mul(b, mask, 0.0))
    result = softmax(b, scores, axis % 4) if softened else scores
    return b.function(result, keys) if shown else b.function(result)


def dropped(function):
    return DropKeyBias().apply(Module.of(function)).main


def additions(function):
    return sum(each.operator.name == "map" and each.operator.function == "add" for each in function.equations)


@pytest.mark.parametrize("options", [{}, {"is_first": True}, {"bias": (1, 1, HEADS * SIZE)}, {"bias": ()}])
def test_what_all_keys_have_is_dropped(options):
    function = attention(**options)
    after = dropped(function)
    assert additions(after) == additions(function) - 1
    arrays = [RNG.normal(0, 1, value.type.shape).astype(np.float32) for value in function.parameters]
    np.testing.assert_allclose(run(after, *arrays)[0], run(function, *arrays)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"bias": (TOKENS, 1)},
        {"bias": (TOKENS, HEADS * SIZE)},
        {"factor": RNG.normal(0, 1, (TOKENS,)).astype(np.float32)},
        {"axis": 2},
        {"softened": False},
        {"shown": True},
    ],
    ids=[
        "each-key-its-own",
        "each-element-its-own",
        "factors-of-keys",
        "other-axis",
        "no-softmax",
        "read-twice",
    ],
)
def test_what_a_softmax_notices_stays(options):
    function = attention(**options)
    assert dropped(function) == function
