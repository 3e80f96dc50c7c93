"""Losses: one number that training makes small."""

from collections.abc import Callable, Sequence

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.activation import log_softmax

Loss = Callable[[Builder, Value, Value], Value]
"""A scalar float32, of a result and of what it should be."""


def cross_entropy(b: Builder, scores: Value, labels: Value) -> Value:
    """The mean over samples of -log of the share that softmax gives the right class.

    Args:
        scores: float32 [samples, classes].
        labels: int64 [samples], from 0.

    Raises:
        OperatorError: if scores are no row a sample.
    """
    if scores.type.rank != 2:
        raise OperatorError(f"scores must be [samples, classes], not {scores.type}")
    right = e.gather_elements(b, log_softmax(b, scores, 1), e.expand_dims(b, labels, 1), 1)
    return e.neg(b, e.mean(b, right, None))


def mean_square(b: Builder, values: Value, wanted: Value) -> Value:
    """The mean of the squared differences; both of one shape."""
    return e.mean(b, e.square(b, e.sub(b, values, wanted)), None)


def noise(b: Builder, results: Sequence[Value], wanted: Sequence[Value], powers: Sequence[float]) -> Value:
    """The mean over results of their mean squared differences, each as a share of the signal.

    Args:
        b: where the equations go.
        results, wanted: of the same shapes.
        powers: of each result the mean of the squares of what is wanted, over all samples.
    """
    shares = [
        e.mul(b, mean_square(b, result, target), 1.0 / (power * len(powers)))
        for result, target, power in zip(results, wanted, powers, strict=True)
    ]
    total = shares[0]
    for share in shares[1:]:
        total = e.add(b, total, share)
    return total


def target_type(loss: Loss, result: TensorType) -> TensorType:
    """The type of what a result is compared with by one of the losses here."""
    return TensorType(DType.INT64, result.shape[:1]) if loss is cross_entropy else result
