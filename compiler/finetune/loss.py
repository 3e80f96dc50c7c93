"""What training makes small: the noise of integers, or the cross-entropy of labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.finetune.error import FinetuneError
from tilewright.compiler.finetune.network import TrainableNetwork
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder, trace
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.specialise import specialise
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.network.budget import Agreement
from tilewright.compiler.ops import emit as e
from tilewright.compiler.quantise.calibration import Samples
from tilewright.compiler.quantise.distance import energy, noise_share
from tilewright.compiler.training.loss import cross_entropy, noise
from tilewright.compiler.training.step import step_of


@dataclass(frozen=True)
class Judged:
    """What ends are worth.

    Members:
        loss: the noise as a share of the signal, or the cross-entropy.
        agreement: with the floats.
        right_share: of the samples, those whose largest element is at their label; None without labels.
    """

    loss: float
    agreement: Agreement
    right_share: float | None


@dataclass(frozen=True)
class FinetuneLoss:
    """A loss of the ends of a network.

    Members:
        powers: of each end the mean of the squares in floats; None: the loss is of labels.
    """

    powers: tuple[float, ...] | None

    @staticmethod
    def of(ends: Samples, labels: Array | None) -> "FinetuneLoss":
        """The loss that data allow.

        Args:
            ends: in floats, for all samples that are trained on.
            labels: of these; None: the floats are what is wanted.

        Raises:
            FinetuneError: if there are labels, and no end has a score for each class.
        """
        if labels is None:
            return FinetuneLoss(tuple(energy(array) / array.size or 1.0 for array in ends.values()))
        shapes = [array.shape[1:] for array in ends.values()]
        classes = [int(np.prod(shape)) for shape in shapes]
        if len(classes) != 1 or max(shapes[0], default=0) != classes[0]:
            raise FinetuneError(
                "a network that is trained by labels must end in a score for each class, not in "
                f"{' and '.join(map(str, map(list, shapes)))} a sample: leave the labels away, and the "
                "outputs of the floats are what is wanted"
            )
        if labels.max() >= classes[0]:
            raise FinetuneError(f"labels must be from 0 to {classes[0] - 1}, not {labels.max()}")
        return FinetuneLoss(None)

    def wanted_types(self, ends: list[TensorType]) -> list[TensorType]:
        """The types of what a batch of ends is compared with."""
        return ends if self.powers else [TensorType(DType.INT64, ends[0].shape[:1])]

    def emit(self, b: Builder, ends: list[Value], wanted: list[Value]) -> Value:
        """The loss of a batch: a scalar float32."""
        if self.powers is not None:
            return noise(b, ends, wanted, self.powers)
        (scores,), (labels,) = ends, wanted
        elements = scores.type.elements // scores.type.numbers[0]
        return cross_entropy(b, e.reshape(b, scores, (scores.type.shape[0], elements)), labels)

    def judged(self, expected: Samples, found: Samples, labels: Array | None) -> Judged:
        """What ends are worth.

        Args:
            expected: in floats.
            found: of the same samples.
            labels: of these, where the loss is of labels.
        """
        agreement = Agreement.of(expected, found)
        if self.powers is not None or labels is None:
            return Judged(noise_share(expected, found), agreement, None)
        ((scores),) = (array.reshape(len(array), -1) for array in found.values())
        types = [TensorType(DType.FLOAT32, scores.shape), TensorType(DType.INT64, labels.shape)]
        (loss,) = run(trace("judged", types, lambda b, *xs: [cross_entropy(b, *xs)]), scores, labels)
        return Judged(float(loss), agreement, float((scores.argmax(1) == labels).mean()))


def finetune_step(network: TrainableNetwork, loss: FinetuneLoss, sizes: Mapping[str, int]) -> Function:
    """A step: of inputs, what is wanted, rate, number, what is trained, first and second moments.

    It returns the loss before the step, and what is trained and the moments behind it.

    Args:
        network: which is trained.
        loss: of its ends.
        sizes: a number for the batch.

    Raises:
        IrError: naming all operators without a derivative.
    """
    forward, trainables = specialise(network.fake_quantised(), sizes), network.trainables
    b = Builder(f"{network.split.name}.loss")
    count = len(forward.parameters) - len(trainables)
    inputs = [b.parameter(value.name, value.type) for value in forward.parameters[:count]]
    types = loss.wanted_types(list(forward.result_types))
    wanted = [b.parameter(f"wanted_{number}", tensor) for number, tensor in enumerate(types)]
    trained = [b.parameter(value.name, value.type) for value in forward.parameters[count:]]
    ends = inline(b, forward, [*inputs, *trained])
    of = b.function(loss.emit(b, list(ends), wanted))
    return step_of(of, [each.optimiser for each in trainables], f"{network.split.name}.step")
