"""Losses, the optimiser and whole steps are those of numpy."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder, trace
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.training.adam import Adam, Moments
from tilewright.compiler.training.loss import cross_entropy, mean_square
from tilewright.compiler.training.step import loss_of, training_step
from tilewright.compiler.training.weight import with_weights_as_parameters

RNG = np.random.default_rng(11)
F32, I64 = DType.FLOAT32, DType.INT64
SAMPLES, INPUTS, CLASSES = 5, 4, 3
X = RNG.normal(size=(SAMPLES, INPUTS)).astype(np.float32)
LABELS = RNG.integers(0, CLASSES, SAMPLES)
WEIGHT = RNG.normal(size=(INPUTS, CLASSES)).astype(np.float32)
BIAS = RNG.normal(size=CLASSES).astype(np.float32)


def softmax(scores):
    shares = np.exp(scores - scores.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def dense():
    b = Builder("dense")
    x = b.parameter("x", TensorType(F32, (SAMPLES, INPUTS)))
    y = e.add(b, e.matmul(b, x, b.constant(WEIGHT)), b.constant(BIAS))
    return with_weights_as_parameters(b.function(y))


def test_cross_entropy_is_the_mean_of_what_the_right_class_lacks():
    scores = RNG.normal(size=(SAMPLES, CLASSES)).astype(np.float32)
    types = [TensorType(F32, scores.shape), TensorType(I64, (SAMPLES,))]
    (found,) = run(trace("loss", types, lambda b, *xs: [cross_entropy(b, *xs)]), scores, LABELS)
    expected = -np.log(softmax(scores.astype(np.float64))[np.arange(SAMPLES), LABELS]).mean()
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_is_of_rows():
    types = [TensorType(F32, (2, 3, 4)), TensorType(I64, (2,))]
    with pytest.raises(OperatorError, match=r"scores must be \[samples, classes\]"):
        trace("loss", types, lambda b, *xs: [cross_entropy(b, *xs)])


def test_mean_square_is_that():
    one, other = RNG.normal(size=(2, SAMPLES, CLASSES)).astype(np.float32)
    types = [TensorType(F32, one.shape)] * 2
    (found,) = run(trace("loss", types, lambda b, *xs: [mean_square(b, *xs)]), one, other)
    assert float(found) == pytest.approx(np.mean((one - other) ** 2), rel=1e-6)


def adam(weight, gradient, first, second, rate, number, decay):
    """By the papers' text, in float64."""
    first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
    change = (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8)
    if weight.ndim > 1:
        change = change + decay * weight
    return weight - rate * change, first, second


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(3, 4), (4,)])
def test_adam_is_that_of_the_papers_over_several_steps(decay, shape):
    types = [TensorType(F32, shape)] * 4 + [TensorType(F32, ())] * 2

    def body(b, weight, gradient, first, second, rate, number):
        new, moments = Adam(decay=decay).step(b, weight, gradient, Moments(first, second), rate, number)
        return [new, *moments]

    function = trace("adam", types, body)
    own = expected = [RNG.normal(size=shape), np.zeros(shape), np.zeros(shape)]
    for number in range(1, 5):
        gradient = RNG.normal(size=shape)
        given = [own[0], gradient, *own[1:], 0.01, number]
        own = run(function, *(np.asarray(each, np.float32) for each in given))
        expected = adam(expected[0], gradient, *expected[1:], 0.01, number, decay)
    for one, other in zip(own, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-6)


def test_a_step_goes_down_the_gradient_of_the_loss():
    network = dense()
    step = training_step(network, cross_entropy, Adam())
    zeros = [np.zeros_like(weight) for weight in network.weights]
    scalars = [np.asarray(value, np.float32) for value in (0.01, 1)]
    loss, weight, bias, *moments = run(step, X, LABELS, *scalars, *network.weights, *zeros, *zeros)
    (before,) = run(loss_of(network, cross_entropy), X, LABELS, *network.weights)
    assert loss == before
    error = softmax(X @ WEIGHT + BIAS)
    error[np.arange(SAMPLES), LABELS] -= 1
    gradients = [X.T @ error / SAMPLES, error.mean(0)]
    for new, old, gradient in zip((weight, bias), (WEIGHT, BIAS), gradients, strict=True):
        # The first step of Adam is the rate, by the sign of the gradient.
        np.testing.assert_allclose(new, old - 0.01 * np.sign(gradient), atol=1e-5)
    for first, gradient in zip(moments[:2], gradients, strict=True):
        np.testing.assert_allclose(first, 0.1 * gradient, rtol=1e-4, atol=1e-7)
