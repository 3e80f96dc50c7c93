"""A layer of integers whose tokens become channels is its formula."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.nn.transposed_dense import TransposedDense
from tilewright.compiler.ops.quantised.qdense_transposed import QDenseTransposed
from tilewright.numerics.requantise import pack_scale, requantise

RNG = np.random.default_rng(6)
SCALE = int(pack_scale(80000, 3))
N = Size.of("n")


def int8(*shape):
    return RNG.integers(-128, 128, shape).astype(np.int8)


def tensor(*shape):
    return TensorType(DType.INT8, shape)


@pytest.mark.parametrize("columns", [5, 8])
def test_it_is_its_formula(columns):
    x, weight = int8(2, 3, 1, columns), int8(4, 5)
    operator = QDenseTransposed(SCALE, -5, -90, 80)
    (y,) = operator.run(x, weight)
    assert operator.infer(tensor(N, 3, 1, columns), tensor(4, 5))[0].shape == (N, 3, 1, 4)
    for n, t, f in np.ndindex(2, 3, 4):
        total = sum(int(x[n, t, 0, i]) * int(weight[f, i]) for i in range(5))
        scaled = int(requantise(np.array([total], np.int32), np.array([SCALE], np.int32))[0])
        assert y[n, t, 0, f] == min(max(scaled - 5, -90), 80)
    assert operator.macs(tensor(1, 3, 1, columns), tensor(4, 5)) == 3 * 4 * 5


def test_rows_of_zeros_are_not_asked_for():
    assert QDenseTransposed(SCALE, 0, -128, 127, 3).macs(tensor(1, 2, 1, 5), tensor(4, 5)) == 2 * 3 * 5


@pytest.mark.parametrize(
    ("x", "weight", "message"),
    [
        (tensor(1, 3, 2, 5), tensor(4, 5), r"x must be \(N, T, 1, I\)"),
        (tensor(1, 3, 1, 4), tensor(4, 5), r"weight must be \(F, 4\)"),
        (tensor(1, 3, 1, 5), tensor(4, 5, 1), r"weight must be \(F, 5\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, weight, message):
    with pytest.raises(OperatorError, match=message):
        QDenseTransposed(SCALE, 0, -128, 127).infer(x, weight)


def test_that_of_floats_is_the_one_of_numpy():
    x, weight = (RNG.normal(0, 1, shape).astype(np.float32) for shape in ((2, 3, 1, 5), (4, 5)))
    (y,) = TransposedDense().run(x, weight)
    np.testing.assert_allclose(y, x @ weight.T, rtol=1e-5, atol=1e-6)
    with pytest.raises(OperatorError, match=r"weights must be \(F, 5\)"):
        TransposedDense().infer(*(TensorType(DType.FLOAT32, s) for s in ((2, 3, 1, 5), (4, 6))))
