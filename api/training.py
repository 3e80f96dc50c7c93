"""Networks of floats trained on this host: batches, epochs, a rate that falls, and a file to go on from."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.api.checkpoint import read_checkpoint, write_checkpoint
from tilewright.api.error import PackageError
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.specialise import specialise
from tilewright.compiler.targets.cpu.host.program import HostProgram, compile_host
from tilewright.compiler.training.adam import Adam
from tilewright.compiler.training.loss import Loss, cross_entropy, mean_square, target_type
from tilewright.compiler.training.step import training_step
from tilewright.compiler.training.weight import (
    WeightedFunction,
    with_weights_as_constants,
    with_weights_as_parameters,
)
from tilewright.numerics.progress import Progress, unheard

Array = NDArray[Any]
Vary = Callable[[np.random.Generator, dict[str, Array]], Mapping[str, Array]]
"""A batch as it is seen in one step: shifted, turned, noisy."""
LOSSES: Mapping[str, Loss] = {"cross-entropy": cross_entropy, "mean-square": mean_square}
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a network is trained.

    Members:
        loss: one of `LOSSES`: "cross-entropy" of scores and labels, or "mean-square" of values and values.
        epochs: passes over all samples.
        batch: samples of a step; those behind the last whole batch of an epoch wait for another one.
        rate: of learning, at its most: it rises over the first twentieth of all steps, and falls as a cosine.
        decay: of weights, in units of the rate.
        seed: of the order of samples, and of what `vary` draws.
    """

    loss: str = "cross-entropy"
    epochs: int = 20
    batch: int = 64
    rate: float = 1e-3
    decay: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises PackageError for what cannot be meant."""
        if self.loss not in LOSSES:
            raise PackageError(f"loss must be one of {', '.join(LOSSES)}, not {self.loss!r}")
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise PackageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, least in (("rate", 0.0), ("decay", 0.0)):
            if not least <= getattr(self, name) < np.inf:
                raise PackageError(f"{name} must be from {least:g}, not {getattr(self, name)}")


@dataclass(frozen=True)
class Epoch:
    """A pass over all samples.

    Members:
        number: from 1.
        loss: the mean over its steps, each before its weights changed.
    """

    number: int
    loss: float


class Training:
    """A network while it is trained; its first output is what is compared with the target.

    A step is one function of the language of networks, the gradients among its equations, as machine code of
    this host. The same seed and machine give the same weights, also where a run was ended and gone on with.

    Members:
        options: how.
        epoch: how many are behind it.

    Args:
        network: of floats, with a symbolic batch in front of all inputs and of its first output.
        options: how.

    Raises:
        PackageError: if the batch has no name.
        IrError: if it has no weights, or naming operators without a derivative.
    """

    def __init__(self, network: NamedFunction, options: TrainingOptions | None = None) -> None:
        self.options = options or TrainingOptions()
        self._network, self._batch = network, _batch_of(network)
        self._weighted: WeightedFunction = with_weights_as_parameters(network.function)
        batch = specialise(self._weighted.function, {self._batch: self.options.batch})
        fixed = WeightedFunction(batch, self._weighted.weights, self._weighted.names)
        loss, optimiser = LOSSES[self.options.loss], Adam(decay=self.options.decay)
        self._classes = batch.result_types[0].numbers[-1]
        self._target = target_type(loss, batch.result_types[0])
        self._step: HostProgram = compile_host(training_step(fixed, loss, optimiser))
        zeros = [np.zeros_like(weight) for weight in fixed.weights]
        self._state: list[Array] = [*fixed.weights, *zeros, *zeros]
        self.epoch = 0

    @property
    def network(self) -> NamedFunction:
        """The network with its weights as they are now, for `tilewright.compile`."""
        return self._network.with_function(with_weights_as_constants(self._weighted.function, self.weights))

    @property
    def start(self) -> tuple[Array, ...]:
        """The weights as they were before training."""
        return self._weighted.weights

    @property
    def weights(self) -> tuple[Array, ...]:
        """The weights as they are now, in the order of `start`."""
        return tuple(self._state[: len(self._weighted.weights)])

    # --- running -------------------------------------------------------------------------------------------

    def run(
        self,
        inputs: Mapping[str, ArrayLike],
        target: ArrayLike,
        *,
        vary: Vary | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: Progress = unheard,
    ) -> Iterator[Epoch]:
        """Train to the last epoch, and tell of each.

        Args:
            inputs: samples by the network's names of inputs, along the first axis.
            target: what is right for each: labels [samples] from 0, or values as the first output has them.
            vary: changes a batch of inputs before a step.
            checkpoint: a file that is gone on from if it is there, and written behind each epoch.
            progress: is told of the steps.

        Raises:
            PackageError: if the data do not fit, a loss is no number any more, or the file is of another
                network or other options.
        """
        arrays, wanted = self._data(inputs, target)
        if checkpoint is not None and os.path.exists(checkpoint):
            self.load(checkpoint)
        while self.epoch < self.options.epochs:
            loss = self._pass(arrays, wanted, vary, progress)
            self.epoch += 1
            if checkpoint is not None:
                self.save(checkpoint)
            yield Epoch(self.epoch, loss)

    def _pass(self, arrays: dict[str, Array], wanted: Array, vary: Vary | None, progress: Progress) -> float:
        options = self.options
        rng = np.random.default_rng([options.seed, self.epoch])
        order = rng.permutation(len(wanted))
        steps = len(wanted) // options.batch
        losses = []
        for number in range(steps):
            chosen = order[number * options.batch : (number + 1) * options.batch]
            batch: Mapping[str, Array] = {name: array[chosen] for name, array in arrays.items()}
            if vary is not None:
                batch = vary(rng, dict(batch))
            losses.append(self._one(batch, wanted[chosen], self.epoch * steps + number + 1, steps))
            progress(f"epoch {self.epoch + 1} of {options.epochs}", (number + 1) / steps)
        return float(np.mean(losses))

    def _one(self, batch: Mapping[str, Array], wanted: Array, number: int, steps: int) -> float:
        rate = self.options.rate * rate_share(number, self.options.epochs * steps)
        given = [np.ascontiguousarray(batch[name], np.float32) for name in self._network.inputs]
        scalars = [np.asarray(value, np.float32) for value in (rate, number)]
        loss, *state = self._step.run(*given, wanted, *scalars, *self._state)
        if not np.isfinite(loss):
            raise PackageError(
                f"the loss must be a number, and is {loss} in step {number}: give a lower rate than "
                f"{self.options.rate:g}, and data without nan"
            )
        self._state = list(state)
        return float(loss)

    def _data(self, inputs: Mapping[str, ArrayLike], target: ArrayLike) -> tuple[dict[str, Array], Array]:
        arrays = {name: np.asarray(each) for name, each in inputs.items()}
        if arrays.keys() != set(self._network.inputs):
            raise PackageError(
                f"inputs must be {', '.join(self._network.inputs)}, not {', '.join(arrays) or 'none'}"
            )
        wanted = np.ascontiguousarray(target, self._target.dtype.numpy)
        counts = {len(each) if each.ndim else 0 for each in (*arrays.values(), wanted)}
        if len(counts) > 1 or max(counts) < self.options.batch:
            found = ", ".join(map(str, sorted(counts)))
            raise PackageError(
                f"inputs and target must have as many samples, {self.options.batch} or more: not {found}"
            )
        if self.options.loss == "cross-entropy":
            self._check_labels(wanted)
        return arrays, wanted

    def _check_labels(self, labels: Array) -> None:
        if labels.ndim != 1 or labels.min() < 0 or labels.max() >= self._classes:
            raise PackageError(
                f"labels must be a number from 0 to {self._classes - 1} for each sample, "
                f"not {labels.shape} from {labels.min()} to {labels.max()}"
            )

    # --- files ---------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that `load` needs to go on: weights, moments, epoch."""
        write_checkpoint(path, {"epoch": self.epoch, **self._identity}, self._state)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on from a file.

        Raises:
            PackageError: if it is none of this network and these options.
        """
        told, self._state = read_checkpoint(path, self._identity, self._state)
        self.epoch = int(told["epoch"])

    @property
    def _identity(self) -> dict[str, Any]:
        return {"format": _FORMAT, "weights": list(self._weighted.names), "options": asdict(self.options)}


WARM_UP = 0.05
"""Share of all steps over which the rate rises."""


def rate_share(number: int, steps: int) -> float:
    """The share of the highest rate in a step, from 1: rising to it, then falling as a cosine to 0."""
    rising = max(1, round(WARM_UP * steps))
    if number <= rising:
        return number / rising
    return 0.5 * (1 + float(np.cos(np.pi * (number - rising) / (steps - rising))))


def train(
    network: NamedFunction,
    inputs: Mapping[str, ArrayLike],
    target: ArrayLike,
    *,
    options: TrainingOptions | None = None,
    vary: Vary | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress = unheard,
) -> NamedFunction:
    """A network with trained weights: all epochs of `Training.run`, whose arguments and errors these are."""
    training = Training(network, options)
    for _ in training.run(inputs, target, vary=vary, checkpoint=checkpoint, progress=progress):
        pass
    return training.network


def _batch_of(network: NamedFunction) -> str:
    """The name of the size in front of all inputs and the first output."""
    first = [each.shape[0] if each.rank else 0 for each in network.function.parameter_types]
    first.append(network.function.result_types[0].shape[0] if network.function.result_types[0].rank else 0)
    names = {size.name if isinstance(size, Size) else None for size in first}
    name = names.pop() if len(names) == 1 else None
    if name is None:
        raise PackageError(
            "a network that is trained must have one symbolic size in front of all inputs and its first "
            f"output, not {', '.join(map(str, first))}: export it with an open batch"
        )
    return name
