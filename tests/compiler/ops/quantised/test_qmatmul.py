"""Products of two activations are their formula; heads are the same elements as channels and as rows."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.nn.product import GroupedProduct
from tilewright.compiler.ops.quantised.heads import JoinHeads, SplitHeads, StackBlocks
from tilewright.compiler.ops.quantised.qmatmul import MOST_TERMS, QMatmul, QMatmulParted, QMatmulTransposed
from tilewright.numerics.requantise import pack_scale, quantise_multiplier, requantise

RNG = np.random.default_rng(5)
SCALE = int(pack_scale(80000, 3))
N = Size.of("n")


def int8(*shape):
    return RNG.integers(-128, 128, shape).astype(np.int8)


def tensor(*shape):
    return TensorType(DType.INT8, shape)


@pytest.mark.parametrize("columns", [5, 8])
def test_a_product_of_matrices_is_its_formula(columns):
    x, w = int8(2, 5, 3, 4), int8(2, 7, 3, columns)
    operator = QMatmul(SCALE, -5, -90, 80)
    (y,) = operator.run(x, w)
    assert y.shape == (2, 7, 3, 4)
    assert operator.infer(tensor(N, 5, 3, 4), tensor(N, 7, 3, columns))[0].shape == (N, 7, 3, 4)
    for n, o, g, p in np.ndindex(y.shape):
        t = sum(int(x[n, i, g, p]) * int(w[n, o, g, i]) for i in range(5))
        scaled = int(requantise(np.array([t], np.int32), np.array([SCALE], np.int32))[0])
        assert y[n, o, g, p] == min(max(scaled - 5, -90), 80)
    assert operator.macs(tensor(1, 5, 3, 4), tensor(1, 7, 3, columns)) == 5 * 7 * 3 * 4


def test_sums_of_the_largest_products_are_exact():
    x, w = np.full((1, 2000, 1, 1), -128, np.int8), np.full((1, 1, 1, 2000), -128, np.int8)
    w[..., 0] = -127
    (y,) = QMatmul(int(pack_scale(131068, 9)), 0, -128, 127).run(x, w)
    t = np.array([2000 * 2**14 - 128], np.int32)
    assert y.item() == min(127, int(requantise(t, np.array([pack_scale(131068, 9)], np.int32))[0]))


@pytest.mark.parametrize(
    ("x", "w", "message"),
    [
        (tensor(1, 5, 3, 4), tensor(1, 7, 2, 5), r"w must be \(N, O, 3, 5\), not i8\[1, 7, 2, 5\]"),
        (tensor(1, 5, 3, 4), tensor(1, 7, 3, 4), r"w must be \(N, O, 3, 5\)"),
        (tensor(1, 5, 3), tensor(1, 7, 3, 5), r"x must have 4 axes \(N, I, G, P\)"),
        (
            tensor(1, MOST_TERMS + 1, 1, 1),
            tensor(1, 1, 1, MOST_TERMS + 1),
            f"sums must have at most {MOST_TERMS} products",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, w, message):
    with pytest.raises(OperatorError, match=message):
        QMatmul(SCALE, 0, -128, 127).infer(x, w)


def test_a_product_in_parts_is_its_formula():
    x, w = int8(2, 5, 3, 8), int8(2, 7, 3, 5)
    fine_scale = int(pack_scale(*quantise_multiplier(np.float64(1 / 300))))
    operator = QMatmulParted(SCALE, 3, -100, 110, fine_scale, 9)
    (y,) = operator.run(x, w)
    assert operator.infer(tensor(N, 5, 3, 8), tensor(N, 7, 3, 5))[0].shape == (N, 7, 3, 4)

    def scaled(total, word):
        return int(requantise(np.array([total], np.int32), np.array([word], np.int32))[0])

    for n, o, g, p in np.ndindex(2, 7, 3, 4):
        coarse, fine = (
            sum(int(x[n, i, g, 2 * p + part]) * int(w[n, o, g, i]) for i in range(5)) for part in range(2)
        )
        total = coarse + 9 * min(max(scaled(fine, fine_scale), -128), 127)
        assert y[n, o, g, p] == min(max(scaled(total, SCALE) + 3, -100), 110)
    assert operator.macs(tensor(1, 5, 3, 8), tensor(1, 7, 3, 5)) == 5 * 7 * 3 * 4


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(OperatorError, match="pixels in pairs"):
        QMatmulParted(SCALE, 0, -128, 127, 0, 1).infer(tensor(1, 5, 3, 7), tensor(1, 7, 3, 5))
    with pytest.raises(OperatorError, match="factor must be an integer from 1 to 32767"):
        QMatmulParted(SCALE, 0, -128, 127, 0, 0)
    longest = MOST_TERMS - 255
    with pytest.raises(OperatorError, match=f"at most {longest - 1} products, not {longest}"):
        QMatmulParted(SCALE, 0, -128, 127, 0, 1).infer(tensor(1, longest, 1, 2), tensor(1, 1, 1, longest))


@pytest.mark.parametrize(("heads", "size", "lanes"), [(3, 5, 4), (2, 8, 4), (1, 3, 4), (4, 1, 2)])
def test_heads_are_channels_in_blocks_of_their_own(heads, size, lanes):
    x = int8(2, size, heads, 6)
    joined = JoinHeads(lanes)
    (channels,) = joined.run(x)
    assert joined.infer(tensor(2, size, heads, 6))[0].shape == channels.shape
    for n, i, h, t in np.ndindex(x.shape):
        assert channels[n, (i // lanes * heads + h) * lanes + i % lanes, t, 0] == x[n, i, h, t]
    split = SplitHeads(heads, size, lanes)
    assert split.infer(tensor(*channels.shape))[0].shape == x.shape
    np.testing.assert_array_equal(split.run(channels)[0], x)
    with pytest.raises(OperatorError, match="channels in one column"):
        split.infer(tensor(2, channels.shape[1] + 1, 6, 1))


def test_blocks_are_stacked():
    x = int8(2, 12, 5, 1)
    (y,) = StackBlocks(4).run(x)
    assert StackBlocks(4).infer(tensor(2, 12, 5, 1))[0].shape == y.shape == (2, 4, 15, 1)
    for n, c, t, _ in np.ndindex(x.shape):
        assert y[n, c % 4, c // 4 * 5 + t, 0] == x[n, c, t, 0]
    with pytest.raises(OperatorError, match="whole blocks in one column"):
        StackBlocks(4).infer(tensor(2, 11, 5, 1))


def test_a_transposed_product_is_that_of_the_transposition():
    inputs, outputs, groups, lanes = 6, 5, 3, 4
    x, w = int8(2, inputs, groups, 7), np.zeros((2, 8, groups, 8), np.int8)
    w[:, :outputs, :, :inputs] = int8(2, outputs, groups, inputs)
    # Blocks of o, lanes of o, groups, blocks of i, lanes of i.
    blocks = w.reshape(2, 2, lanes, groups, 2, lanes).transpose(0, 5, 2, 3, 4, 1)
    laid_out = blocks.reshape(2, lanes**2, groups * 4, 1)
    operator = QMatmulTransposed(SCALE, 1, -128, 127, outputs, lanes)
    expected = QMatmul(SCALE, 1, -128, 127).run(x, w[:, :outputs])[0]
    np.testing.assert_array_equal(operator.run(x, laid_out)[0], expected)
    types = tensor(2, inputs, groups, 7), tensor(*laid_out.shape)
    assert operator.infer(*types)[0].shape == expected.shape
    assert operator.macs(tensor(1, inputs, groups, 7), types[1]) == inputs * groups * 7 * outputs
    with pytest.raises(OperatorError, match=r"w must have \(16, 12, 1\) behind the batch"):
        operator.infer(types[0], tensor(2, 16, 13, 1))


def test_a_product_of_floats_is_the_one_of_numpy():
    x, w = RNG.normal(0, 1, (2, 5, 3, 4)), RNG.normal(0, 1, (2, 7, 3, 5))
    (y,) = GroupedProduct(0.5).run(x.astype(np.float32), w.astype(np.float32))
    np.testing.assert_allclose(y, 0.5 * np.einsum("nigp,nogi->nogp", x, w), rtol=1e-5, atol=1e-5)
    with pytest.raises(OperatorError, match=r"w must be \(N, O, 3, 5\)"):
        GroupedProduct().infer(*(TensorType(DType.FLOAT32, s) for s in ((2, 5, 3, 4), (2, 7, 2, 5))))
