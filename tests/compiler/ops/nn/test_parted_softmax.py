"""A softmax in two parts is the softmax, with 15 bits, and its product is that of the softmax."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.nn.activation import Softmax
from tilewright.compiler.ops.nn.parted_softmax import PartedProduct, PartedSoftmax
from tilewright.compiler.ops.nn.product import FinePart, PartSum

RNG = np.random.default_rng(8)


def real(*shape):
    return RNG.normal(0, 2, shape).astype(np.float32)


def test_both_parts_are_the_softmax():
    x = real(2, 3, 5, 40)
    (parts,) = PartedSoftmax().run(x)
    assert parts.shape == (2, 3, 10, 40)
    coarse, fine = parts[..., ::2, :], parts[..., 1::2, :]
    np.testing.assert_allclose(coarse + fine / 254, Softmax(3).run(x)[0], rtol=0, atol=1e-7)
    np.testing.assert_array_equal(np.rint(coarse * 127) / np.float32(127), coarse)
    assert np.abs(fine).max() <= 1
    # As int8 with a scale of 1/127 they have 15 bits.
    integers = np.rint(coarse * 127) / 127 + np.rint(fine * 127) / 127 / 254
    np.testing.assert_allclose(integers, Softmax(3).run(x)[0], rtol=0, atol=2**-15)


def test_its_product_is_that_of_the_softmax():
    x, v = real(2, 3, 5, 40), real(2, 3, 40, 7)
    (parts,) = PartedSoftmax().run(x)
    (y,) = PartedProduct().run(parts, v)
    np.testing.assert_allclose(y, Softmax(3).run(x)[0] @ v, rtol=0, atol=1e-5)
    types = [TensorType(DType.FLOAT32, array.shape) for array in (parts, v)]
    assert PartedProduct().macs(*types) == 2 * 3 * 5 * 40 * 7


def test_rows_that_are_no_pairs_are_refused():
    with pytest.raises(OperatorError, match="p must have rows in pairs"):
        PartedProduct().infer(*(TensorType(DType.FLOAT32, shape) for shape in ((2, 5, 4), (2, 4, 3))))
    with pytest.raises(OperatorError, match="x must have two axes"):
        PartedSoftmax().infer(TensorType(DType.FLOAT32, (4,)))


def test_parts_as_feature_maps_are_added():
    x = real(2, 3, 4, 6)
    (fine,) = FinePart().run(x)
    np.testing.assert_array_equal(fine, x[..., 1::2])
    np.testing.assert_allclose(PartSum().run(x, fine)[0], x[..., ::2] + x[..., 1::2] / 254, rtol=1e-6)
    tensor = TensorType(DType.FLOAT32, x.shape)
    with pytest.raises(OperatorError, match="the fine part must be"):
        PartSum().infer(tensor, tensor)
    with pytest.raises(OperatorError, match="pixels in pairs"):
        FinePart().infer(TensorType(DType.FLOAT32, (2, 3, 4, 5)))
