"""Weights become parameters and constants again; the function means the same."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.norm import batch_norm
from tilewright.compiler.training.weight import with_weights_as_constants, with_weights_as_parameters

RNG = np.random.default_rng(5)
WEIGHT, BIAS = (RNG.normal(size=shape).astype(np.float32) for shape in ((6, 3), (3,)))
MEAN, VARIANCE, SCALE, SHIFT = (RNG.uniform(0.5, 1, 3).astype(np.float32) for _ in range(4))
X = RNG.normal(size=(4, 6)).astype(np.float32)


def network():
    """A dense layer, a batch norm, a scalar, and integers; one weight is read twice."""
    b = Builder("net")
    x = b.parameter("x", TensorType(DType.FLOAT32, (4, 6)))
    weight, bias = b.constant(WEIGHT), b.constant(BIAS)
    y = e.add(b, e.matmul(b, x, weight), bias)
    y = batch_norm(b, y, *(b.constant(each) for each in (SCALE, SHIFT, MEAN, VARIANCE)), 1e-5)
    y = e.add(b, e.mul(b, y, 0.5), bias)
    return b.function(e.gather(b, y, b.constant(np.array([2, 0])), 1))


def test_weights_are_floats_of_several_elements_but_no_statistics():
    weighted = with_weights_as_parameters(network())
    found = [weight.tolist() for weight in weighted.weights]
    assert found == [each.tolist() for each in (WEIGHT, BIAS, SCALE, SHIFT)]
    assert [value.name for value in weighted.inputs] == ["x"]
    assert len(weighted.names) == len(set(weighted.names)) == 4


def test_the_function_with_weights_as_parameters_means_the_same():
    weighted, before = with_weights_as_parameters(network()), run(network(), X)
    for one, other in zip(run(weighted.function, X, *weighted.weights), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_weights_as_constants_are_those_of_the_function():
    weighted = with_weights_as_parameters(network())
    others = [weight + 1 for weight in weighted.weights]
    frozen = with_weights_as_constants(weighted.function, others)
    assert [value.name for value in frozen.parameters] == ["x"]
    for one, other in zip(run(frozen, X), run(weighted.function, X, *others), strict=True):
        np.testing.assert_array_equal(one, other)
    again = with_weights_as_parameters(frozen)
    assert [weight.tolist() for weight in again.weights] == [weight.tolist() for weight in others]


def test_a_weight_of_another_shape_is_refused():
    weighted = with_weights_as_parameters(network())
    with pytest.raises(IrError, match="must have the shape"):
        with_weights_as_constants(weighted.function, [weight[:2] for weight in weighted.weights])


def test_a_function_without_weights_is_refused():
    b = Builder("relu")
    x = b.parameter("x", TensorType(DType.FLOAT32, (4,)))
    with pytest.raises(IrError, match="must have weights"):
        with_weights_as_parameters(b.function(e.relu(b, x)))
