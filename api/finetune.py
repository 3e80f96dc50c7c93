"""Networks trained so that their integers are near: quantisation-aware training on this host."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.api.checkpoint import read_checkpoint, write_checkpoint
from tilewright.api.compile import Source, compile_named, prepared_network, read_network, why_not_by_sample
from tilewright.api.error import PackageError
from tilewright.api.finetune_data import FinetuneData, Samples
from tilewright.api.finetune_figure import FinetuneEpoch, Judgement, Measured
from tilewright.api.training import rate_share
from tilewright.compiler.finetune.loss import FinetuneLoss, finetune_step
from tilewright.compiler.finetune.network import TrainableNetwork
from tilewright.compiler.frontend.export import write_onnx
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.specialise import specialise
from tilewright.compiler.network.budget import Agreement
from tilewright.compiler.quantise.quantise import has_scales
from tilewright.compiler.quantise.range_method import RangeMethod, range_method
from tilewright.compiler.targets.cpu.host.program import HostProgram, compile_host
from tilewright.isa.config import Config, load_config
from tilewright.isa.output_file import write_files
from tilewright.numerics.progress import Progress, unheard

Array = NDArray[Any]
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions:
    """How a network is trained for its integers.

    Members:
        epochs: passes over all samples.
        batch: samples of a step; those behind the last whole batch of an epoch wait for another one.
        learning_rate: the most that a step changes: of a weight, as a share of the largest one of its
            channel; of a scale, as a share of it. It rises over the first twentieth of all steps, and falls
            as a cosine.
        seed: of the order of samples.
        ranges: how calibration chooses where scales start; as of `compile`.
        calibration_samples: how many of the samples calibrate, at most; they are spread over all.
    """

    epochs: int = 10
    batch: int = 32
    learning_rate: float = 1e-4
    seed: int = 0
    ranges: str = RangeMethod.AUTO
    calibration_samples: int = 200

    def __post_init__(self) -> None:
        """Raises PackageError for what cannot be meant."""
        for name in ("epochs", "batch", "calibration_samples"):
            if getattr(self, name) < 1:
                raise PackageError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.learning_rate < np.inf:
            raise PackageError(f"learning_rate must be a number above 0, not {self.learning_rate}")
        range_method(self.ranges)


class Finetuning:
    """A network while it is trained for its integers.

    The forward pass has the values that integers of the machine would give back, exactly where the quantiser
    makes integers; gradients pass rounding. Trained are weights, biases and all scales. The same options,
    data and machine give the same weights, also where a run was ended and gone on with.

    Members:
        options: how.
        epoch: how many are behind it.
        best: the best judgement so far; None before `run`.

    Args:
        model: an ONNX model of floats: a path, its bytes, or an onnx.ModelProto; or a `NamedFunction`.
        data: typical inputs by name, samples along the first axis: what is trained on.
        labels: the right class of each sample, from 0; None: outputs of the floats are what is wanted.
        judge: inputs that judge, and are not trained on; None: the data judge, too.
        judge_labels: of these.
        config: of the accelerator.
        options: how.
        sizes: numbers for symbolic sizes.
        progress: is told what is being done.

    Raises:
        FrontendError: if the model has what is not supported.
        IrError: naming all operators without a derivative.
        TilewrightError: if something else is wrong with it or the data.
    """

    def __init__(
        self,
        model: Source,
        data: Mapping[str, ArrayLike],
        labels: ArrayLike | None = None,
        *,
        judge: Mapping[str, ArrayLike] | None = None,
        judge_labels: ArrayLike | None = None,
        config: str | Config = "reference",
        options: FinetuneOptions | None = None,
        sizes: Mapping[str, int] | None = None,
        progress: Progress = unheard,
    ) -> None:
        self.options = options or FinetuneOptions()
        named = _network(model, sizes or {})
        self._data = FinetuneData.of(named, data, labels, self.options.batch)
        self._judge = self._data
        if judge is not None:
            self._judge = FinetuneData.of(named, judge, judge_labels, 1, "validation ")
            if (labels is None) != (judge_labels is None):
                raise PackageError("both or none of the data and the validation data must have labels")
        self._named = named
        self._machine = config if isinstance(config, Config) else load_config(os.fspath(config))
        self._float_outputs: Samples | None = None
        chosen = self._data.spread(self.options.calibration_samples)
        self._network = TrainableNetwork.of(
            named, chosen, range_method(self.options.ranges), self._machine, progress
        )
        self._compile(progress)
        self._start = [each.start for each in self._network.trainables]
        zeros = [np.zeros_like(each) for each in self._start]
        self._state: list[Array] = [*self._start, *zeros, *zeros]
        self._best = self._start
        self.best: Judgement | None = None
        self.epoch = 0

    @property
    def network(self) -> NamedFunction:
        """The best network so far, with scales and integer weights, for `compile` or `write_onnx`."""
        return self._network.in_integers(self._best)

    @property
    def calibrated(self) -> NamedFunction:
        """The same before training: what calibration alone gives."""
        return self._network.in_integers(self._start)

    def measured(self, network: NamedFunction, progress: Progress = unheard) -> Measured:
        """What the integers of `network` or `calibrated` are worth: compiled, and run on the CPU.

        Raises:
            TilewrightError: if the machine cannot run it.
        """
        inputs = dict(zip(self._data.names, self._judge.arrays, strict=True))
        package = compile_named(network, self._machine, progress=progress)
        found = package.run(inputs, device="cpu").outputs
        agreement = Agreement.of(self._outputs_in_floats(progress), found)
        labels, first = self._judge.labels, found[network.outputs[0]]
        right = None if labels is None else float((first.reshape(len(first), -1).argmax(1) == labels).mean())
        return Measured(snr_db=agreement.decibels, same_share=agreement.same_share, right_share=right)

    # --- running -------------------------------------------------------------------------------------------

    def run(
        self,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        minutes: float | None = None,
        progress: Progress = unheard,
    ) -> Iterator[FinetuneEpoch]:
        """Train to the last epoch, and tell of each; a new one is begun only while there is time.

        Args:
            checkpoint: a file that is gone on from if it is there, and written behind each epoch.
            minutes: after which no other epoch is begun; None: all are.
            progress: is told of the steps.

        Raises:
            PackageError: if the loss is no number any more, or the file is of something else.
        """
        begun = time.monotonic()
        if checkpoint is not None and os.path.exists(checkpoint):
            self._load(checkpoint)
        else:
            yield self._judged(0, None, progress)
        while self.epoch < self.options.epochs:
            if minutes is not None and time.monotonic() - begun > 60 * minutes:
                return
            loss = self._pass(progress)
            found = self._judged(self.epoch + 1, loss, progress)
            self.epoch = found.number
            if checkpoint is not None:
                self._save(checkpoint)
            yield found

    def _pass(self, progress: Progress) -> float:
        options, count = self.options, self._data.count
        order = np.random.default_rng([options.seed, self.epoch]).permutation(count)
        steps, losses = count // options.batch, list[float]()
        for number in range(steps):
            chosen = order[number * options.batch : (number + 1) * options.batch]
            losses.append(self._one(chosen, self.epoch * steps + number + 1, steps))
            text = f"epoch {self.epoch + 1} of {options.epochs}, loss {np.mean(losses):.3g}"
            progress(text, (number + 1) / steps)
        return float(np.mean(losses))

    def _one(self, chosen: Array, number: int, steps: int) -> float:
        rate = self.options.learning_rate * rate_share(number, self.options.epochs * steps)
        given = [array[chosen] for array in (*self._data.arrays, *self._wanted)]
        scalars = [np.asarray(value, np.float32) for value in (rate, number)]
        loss, *state = self._step.run(*given, *scalars, *self._state)
        if not np.isfinite(loss):
            raise PackageError(
                f"the loss must be a number, and is {loss} in step {number}: give a lower learning rate than "
                f"{self.options.learning_rate:g}"
            )
        self._state = list(state)
        return float(loss)

    def _judged(self, number: int, loss: float | None, progress: Progress) -> FinetuneEpoch:
        progress("judging")
        weights = self._state[: len(self._start)]
        found = self._loss.judged(self._floats_of_judge, self._ends(self._judge, weights), self._judge.labels)
        judgement = Judgement(loss=found.loss, agreement=found.agreement, right_share=found.right_share)
        is_best = self.best is None or judgement.loss < self.best.loss
        if is_best:
            self.best, self._best = judgement, list(weights)
        return FinetuneEpoch(number=number, loss=loss, judgement=judgement, is_best=is_best)

    # --- what is compiled ----------------------------------------------------------------------------------

    def _compile(self, progress: Progress) -> None:
        network, options = self._network, self.options
        sizes = {network.batch: options.batch}
        progress("compiling the network for training")
        self._floats = compile_host(specialise(network.in_floats(), sizes))
        self._forward = compile_host(specialise(network.fake_quantised(), sizes))
        names = tuple(value.name for value in network.ends)
        ends = dict(zip(names, self._batched(self._floats, self._data, ()), strict=True))
        self._loss = FinetuneLoss.of(ends, self._all_labels())
        self._wanted = list(ends.values()) if self._data.labels is None else [self._data.labels]
        self._floats_of_judge = ends
        if self._judge is not self._data:
            found = self._batched(self._floats, self._judge, ())
            self._floats_of_judge = dict(zip(names, found, strict=True))
        if self._data.labels is not None:
            self._require_scores(progress)
        progress("compiling a step of training")
        self._step: HostProgram = compile_host(finetune_step(network, self._loss, sizes))

    def _all_labels(self) -> Array | None:
        found = [each.labels for each in (self._data, self._judge) if each.labels is not None]
        return np.concatenate(found) if found else None

    def _require_scores(self, progress: Progress) -> None:
        """Refuse labels of ends from which the host makes other answers."""
        (scores,) = (array.reshape(len(array), -1) for array in self._floats_of_judge.values())
        first = self._outputs_in_floats(progress)[self._named.outputs[0]].reshape(len(scores), -1)
        is_largest = first.shape == scores.shape and np.array_equal(
            np.take_along_axis(first, scores.argmax(1)[:, None], 1)[:, 0], first.max(1)
        )
        if not is_largest:
            raise PackageError(
                "a network that is trained by labels must answer with the largest of the scores that the "
                "accelerator gives, and the host makes something else of them: leave the labels away"
            )

    def _outputs_in_floats(self, progress: Progress) -> Samples:
        """The outputs of the network for the samples that judge, in floats."""
        if self._float_outputs is None:
            floats = compile_named(self._named, self._machine, accelerator=False, progress=progress)
            inputs = dict(zip(self._data.names, self._judge.arrays, strict=True))
            self._float_outputs = floats.run(inputs, device="cpu").outputs
        return self._float_outputs

    def _ends(self, data: FinetuneData, weights: list[Array]) -> Samples:
        found = self._batched(self._forward, data, weights)
        return {value.name: array for value, array in zip(self._network.ends, found, strict=True)}

    def _batched(
        self, program: HostProgram, data: FinetuneData, weights: list[Array] | tuple[()]
    ) -> list[Array]:
        """The results of a program for all samples, batch by batch; the last one is filled up."""
        batch, count, rows = self.options.batch, data.count, list[tuple[Array, ...]]()
        for start in range(0, count, batch):
            places = np.minimum(np.arange(start, start + batch), count - 1)
            rows.append(program.run(*(array[places] for array in data.arrays), *weights))
        return [np.concatenate(column)[:count] for column in zip(*rows, strict=True)]

    # --- files ---------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the best network so far as an ONNX file with scales of its own (QDQ).

        Raises:
            FrontendError: naming all operators that cannot be written.
            OSError: if the file cannot be written.
        """
        write_files({os.fspath(path): self.contents()})

    def contents(self) -> bytes:
        """The contents of that file; errors as of `save`."""
        return write_onnx(self.network)

    def _save(self, path: str | os.PathLike[str]) -> None:
        assert self.best is not None, "judged before"
        told = {"epoch": self.epoch, "best": asdict(self.best), **self._identity}
        write_checkpoint(path, told, [*self._state, *self._best])

    def _load(self, path: str | os.PathLike[str]) -> None:
        told, arrays = read_checkpoint(path, self._identity, [*self._state, *self._best])
        self._state, self._best = arrays[: len(self._state)], arrays[len(self._state) :]
        self.epoch, best = int(told["epoch"]), dict(told["best"])
        self.best = Judgement(**{**best, "agreement": Agreement(**best["agreement"])})

    @property
    def _identity(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for array in (*self._start, *self._data.all, *self._judge.all):
            digest.update(np.ascontiguousarray(array).data)
        return {"format": _FORMAT, "options": asdict(self.options), "digest": digest.hexdigest()}


def finetune(
    model: Source,
    data: Mapping[str, ArrayLike],
    labels: ArrayLike | None = None,
    *,
    judge: Mapping[str, ArrayLike] | None = None,
    judge_labels: ArrayLike | None = None,
    config: str | Config = "reference",
    options: FinetuneOptions | None = None,
    sizes: Mapping[str, int] | None = None,
    progress: Progress = unheard,
) -> NamedFunction:
    """The network of the best epoch, quantised, for `compile`; arguments and errors as of `Finetuning`."""
    training = Finetuning(
        model,
        data,
        labels,
        judge=judge,
        judge_labels=judge_labels,
        config=config,
        options=options,
        sizes=sizes,
        progress=progress,
    )
    for _ in training.run(progress=progress):
        pass
    return training.network


def _network(model: Source, sizes: Mapping[str, int]) -> NamedFunction:
    """The network behind the passes.

    Raises:
        PackageError: if it has scales, or samples cannot be run one by one.
    """
    named = prepared_network(read_network(model, sizes))
    if has_scales(named.function):
        raise PackageError(
            "a network that is trained must be of floats, and this one has scales of its own: give the model "
            "that it was quantised from"
        )
    if reason := why_not_by_sample(named):
        raise PackageError(f"nothing of the network becomes integers: {reason}")
    return named
