"""A split network on calibration data, in floats: what its kernels are given, show and make."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.kernel import Kernel
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.network.target import ACCELERATOR
from tilewright.compiler.quantise.calibration import Calibration, Samples, calibrate
from tilewright.compiler.quantise.quantise import has_scales
from tilewright.compiler.quantise.recipe import Prepared, Recipe, prepare
from tilewright.compiler.quantise.recognise import recognise
from tilewright.numerics.error import TilewrightError
from tilewright.numerics.progress import Progress, Share, share_of

LEAST_HALVED = 64
"""The number of samples from which on ranges of one half are judged by the other."""

RunPart = Callable[[Value, Samples], Samples]
"""The results of the accelerator's kernel of that first result, by name."""


@dataclass(frozen=True)
class FloatPart:
    """A kernel on the accelerator, in floats.

    Members:
        source: its body, with names for its values.
        recognised: the same in operators that quantisation knows.
        halves: what each half of the samples shows of it, or all of them if these are few; none if it has
            scales.
    """

    source: NamedFunction
    recognised: NamedFunction
    halves: tuple[Calibration, ...] = ()

    @cached_property
    def all(self) -> Calibration | None:
        """What all samples show."""
        return reduce(Calibration.joined, self.halves) if self.halves else None

    def prepared(self, recipe: Recipe, half: int | None = None) -> Prepared:
        """It with all that its integers need, by what a half of the samples shows, or all of them."""
        calibration = self.halves[half] if self.halves and half is not None else self.all
        return prepare(self.recognised, calibration, recipe)


@dataclass(frozen=True)
class CalibratedNetwork:
    """A network split in kernels, on samples.

    Members:
        split: of kernels, for one sample.
        parts: of each kernel on the accelerator, by its first result.
        refused: why others cannot be quantised, by their equations.
        inputs: the samples, one half behind the other; None: there are none.
        ends: what the parts make of them in floats, but for what other parts read, directly or through the
            host: there all noise of integers has come together, and none was added yet by what the host makes
            of it. A softmax hides noise, or makes all of it of one undecided sample.
        halves: places of each half, or of all.
    """

    split: NamedFunction
    parts: Mapping[Value, FloatPart]
    refused: Mapping[Equation, str]
    inputs: Samples | None
    ends: Samples
    halves: tuple[slice, ...]

    def run(self, run_part: RunPart, places: slice) -> Samples:
        """The ends where something else does the accelerator's kernels.

        Args:
            run_part: does them.
            places: of the samples.
        """
        ends = ends_of(self.split.function)
        values = self._values(run_part, places, ends)
        return {value.name: values[value] for value in ends}

    def outputs(self, run_part: RunPart) -> Samples:
        """The outputs of the network for all samples, where something does the accelerator's kernels."""
        values = self._values(run_part, slice(None), self.split.function.results)
        names = zip(self.split.outputs, self.split.function.results, strict=True)
        return {name: values[value] for name, value in names}

    def float_outputs(self) -> Samples:
        """The outputs of the network in floats."""

        def kept(value: Value, samples: Samples) -> Samples:
            part = self.parts[value]
            return part.recognised.run(samples) if part.all is None else part.all.results

        return self.outputs(kept)

    def _values(self, run_part: RunPart, places: slice, wanted: Sequence[Value]) -> dict[Value, Array]:
        """Values up to those that are wanted."""
        assert self.inputs is not None, "there are samples"
        inputs = [self.inputs[name][places] for name in self.split.inputs]
        function = self.split.function
        values = dict(zip(function.parameters, inputs, strict=True))
        for equation in function.equations:
            if all(value in values for value in wanted):
                break
            operands = [values[value] for value in equation.operands]
            if is_on_accelerator(equation):
                part = self.parts[equation.results[0]]
                given = dict(zip(part.source.inputs, operands, strict=True))
                made = run_part(equation.results[0], given)
                results = [made[name] for name in part.source.outputs]
            else:
                results = by_sample(equation, operands, len(inputs[0]))
            values.update(zip(equation.results, results, strict=True))
        return values

    def run_behind(self, first: Value, results: Samples) -> Samples:
        """The ends for the first samples, in floats, where the kernel of that first result makes these."""
        count = len(next(iter(results.values())))
        is_behind = False

        def run_part(value: Value, samples: Samples) -> Samples:
            nonlocal is_behind
            if value == first:
                is_behind = True
                return results
            part = self.parts[value]
            if not is_behind and part.all is not None:
                return {name: array[:count] for name, array in part.all.results.items()}
            return part.recognised.run(samples)

        return self.run(run_part, slice(0, count))


def calibrated_network(
    split: NamedFunction, samples: Samples | None, progress: Progress
) -> CalibratedNetwork:
    """Runs a network in floats, by the interpreter, and keeps what its parts on the accelerator show.

    Args:
        split: of kernels, for one sample.
        samples: by name of an input; None if the network has scales of its own.
        progress: is told what is being done.
    """
    if samples is None:
        parts, refused = _uncalibrated(split)
        return CalibratedNetwork(split, parts, refused, None, {}, ())
    count = split.check(samples)
    halves: tuple[slice, ...] = (slice(None),)
    if count >= LEAST_HALVED:
        middle = (count + 1) // 2
        halves = slice(0, middle), slice(middle, count)
        # What is sorted, by class for example, is in both.
        samples = {name: np.concatenate([array[::2], array[1::2]]) for name, array in samples.items()}
    work = _FloatRun(split, count, halves, progress)
    ends = work.run([samples[name] for name in split.inputs])
    return CalibratedNetwork(split, work.parts, work.refused, samples, ends, halves)


def is_on_accelerator(equation: Equation) -> bool:
    """Whether an equation is a kernel of the accelerator."""
    return isinstance(equation.operator, Kernel) and equation.operator.target == ACCELERATOR


def ends_of(function: Function) -> tuple[Value, ...]:
    """Results of kernels on the accelerator that no other one reads, directly or through the host."""
    read: set[Value] = set()
    for equation in reversed(function.equations):
        if is_on_accelerator(equation) or not read.isdisjoint(equation.results):
            read.update(equation.operands)
    kernels = filter(is_on_accelerator, function.equations)
    return tuple(value for each in kernels for value in each.results if value not in read)


def by_sample(
    equation: Equation, operands: Sequence[Array], count: int, share: Share | None = None
) -> list[Array]:
    """The results of an equation for all samples, one by one, by the interpreter; samples in front."""
    function = Function("kernel", equation.operands, (equation,), equation.results)
    rows = []
    for place in range(count):
        rows.append(run(function, *(_sample(each, place) for each in operands)))
        if share is not None:
            share(place + 1, count)
    return [np.concatenate(column) if column[0].ndim else column[0] for column in zip(*rows, strict=True)]


def _sample(array: Array, place: int) -> Array:
    return array[place : place + 1] if array.ndim else array


def _named(equation: Equation) -> NamedFunction:
    assert isinstance(equation.operator, Kernel)
    body = equation.operator.body
    return NamedFunction(
        body, tuple(value.name for value in body.parameters), tuple(value.name for value in body.results)
    )


def _uncalibrated(split: NamedFunction) -> tuple[dict[Value, FloatPart], dict[Equation, str]]:
    parts: dict[Value, FloatPart] = {}
    refused: dict[Equation, str] = {}
    for equation in filter(is_on_accelerator, split.function.equations):
        source = _named(equation)
        try:
            parts[equation.results[0]] = FloatPart(source, recognise(source))
        except TilewrightError as error:
            refused[equation] = str(error)
    return parts, refused


class _FloatRun:
    """A run of a network in floats, kernel by kernel.

    Members:
        parts, refused: as of `CalibratedNetwork`.
    """

    def __init__(
        self, split: NamedFunction, count: int, halves: tuple[slice, ...], progress: Progress
    ) -> None:
        self._split, self._count, self._halves, self._progress = split, count, halves, progress
        self.parts: dict[Value, FloatPart] = {}
        self.refused: dict[Equation, str] = {}

    def run(self, inputs: list[Array]) -> Samples:
        """The ends of the network."""
        function = self._split.function
        values = dict(zip(function.parameters, inputs, strict=True))
        kernels, ends = list(filter(is_on_accelerator, function.equations)), ends_of(function)
        for equation in function.equations:
            if all(value in values for value in ends):
                break
            operands = [values[value] for value in equation.operands]
            made = None
            if equation in kernels:
                what = f"calibrating part {kernels.index(equation) + 1} of {len(kernels)}"
                made = self._part(equation, operands, what)
            if made is None:
                share = share_of(self._progress, "measuring what the parts are given")
                made = by_sample(equation, operands, self._count, share)
            values.update(zip(equation.results, made, strict=True))
        return {value.name: values[value] for value in ends}

    def _part(self, equation: Equation, operands: list[Array], what: str) -> list[Array] | None:
        """The results of a kernel on the accelerator, which is measured; None if it cannot be."""
        source = _named(equation)
        try:
            part = FloatPart(source, recognise(source))
            if has_scales(source.function):
                self.parts[equation.results[0]] = part
                return None
            part = self._measured(part, dict(zip(source.inputs, operands, strict=True)), what)
        except TilewrightError as error:
            self.refused[equation] = str(error)
            return None
        self.parts[equation.results[0]] = part
        assert part.all is not None
        return [part.all.results[name] for name in source.outputs]

    def _measured(self, part: FloatPart, samples: dict[str, Array], what: str) -> FloatPart:
        halves = []
        for places in self._halves:
            begun = places.start or 0

            def share(done: int, _: int, begun: int = begun) -> None:
                self._progress(what, (begun + done) / self._count)

            own = {name: array[places] for name, array in samples.items()}
            halves.append(calibrate(part.recognised, own, share))
        return FloatPart(part.source, part.recognised, tuple(halves))
