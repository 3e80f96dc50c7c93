"""A softmax that one product alone reads comes in two parts; all others stay as they are."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Module
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.activation import softmax
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.passes.part_softmax import MOST_PLAIN, PartSoftmax

COLUMNS = MOST_PLAIN + 3


def attention(columns=COLUMNS, axis=-1, front=(1, 2), is_read_twice=False, by_columns=False):
    """softmax(x) · v; `by_columns` sums over the other axis of v."""
    b = Builder("main")
    x = b.parameter("x", TensorType(DType.FLOAT32, (*front, columns, columns)))
    v = b.parameter("v", TensorType(DType.FLOAT32, (*front, columns, columns)))
    p, rank = softmax(b, x, axis % x.type.rank), x.type.rank
    batch = tuple(range(rank - 2))
    y = b.emit(Dot((rank - 1,), (rank - 1 if by_columns else rank - 2,), batch, batch), p, v)
    return b.function(*((y, e.neg(b, p)) if is_read_twice else (y,)))


def parted(function):
    return PartSoftmax().apply(Module.of(function)).main


def names(function):
    return [each.operator.name for each in function.equations]


@pytest.mark.parametrize("front", [(1,), (1, 2), (1, 2, 3)])
def test_the_meaning_stays(front):
    function = attention(front=front)
    rng = np.random.default_rng(2)
    arrays = [rng.normal(0, 1, value.type.shape).astype(np.float32) for value in function.parameters]
    after = parted(function)
    assert names(after) == ["parted_softmax", "parted_product"]
    np.testing.assert_allclose(run(after, *arrays)[0], run(function, *arrays)[0], rtol=0, atol=1e-6)
    assert after.results[0].type == function.results[0].type


@pytest.mark.parametrize(
    "options",
    [
        {"columns": MOST_PLAIN},
        {"axis": 2},
        {"front": ()},
        {"is_read_twice": True},
        {"by_columns": True},
    ],
    ids=lambda each: "-".join(each),
)
def test_others_stay(options):
    function = attention(**options)
    assert parted(function) == function
