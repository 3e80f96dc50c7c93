"""What samples show of a function: the ranges of its values, how they are distributed, and its results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.quantise.correction import LINEAR
from tilewright.compiler.quantise.equalisation import values_between
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.histogram import Histogram
from tilewright.compiler.quantise.range_method import Choose, Range
from tilewright.numerics.exact_sum import total
from tilewright.numerics.progress import Share

_CHUNK_BYTES = 1 << 28
"""The most bytes of all values of a function, for the samples that are computed at once."""

Samples = Mapping[str, Array]
"""Arrays by the name of a parameter or result, samples along the first axis."""


@dataclass(frozen=True)
class Calibration:
    """What samples show of a function of floats, by the interpreter: the same on every machine.

    Members:
        seen: of each parameter, and of each value of an equation that is no constant.
        histograms: of the same.
        inputs, results: the samples, and what the function makes of them.
        channels: the least and the greatest of each channel of values between two layers.
        sums: over all samples, of what layers read: float64, without the batch.
    """

    seen: Mapping[Value, Range]
    histograms: Mapping[Value, Histogram]
    inputs: Samples
    results: Samples
    channels: Mapping[Value, tuple[Array, Array]] = field(default_factory=dict)
    sums: Mapping[Value, Array] = field(default_factory=dict)
    _ranges: dict[Choose, dict[Value, Range]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def count(self) -> int:
        """The number of samples."""
        return len(next(iter(self.inputs.values())))

    @property
    def largest(self) -> dict[Value, Array]:
        """The largest magnitude of each channel of values between two layers."""
        return {value: np.maximum(np.abs(low), np.abs(high)) for value, (low, high) in self.channels.items()}

    def mean(self, value: Value) -> Array:
        """The mean of what a layer reads, a batch of 1 in front."""
        return np.asarray(self.sums[value] / self.count)[None]

    def ranges(self, choose: Choose) -> dict[Value, Range]:
        """The range of each value, as a method chooses it; found once."""
        if choose not in self._ranges:
            self._ranges[choose] = {value: self.range_of(value, choose) for value in self.seen}
        return dict(self._ranges[choose])

    def range_of(self, value: Value, choose: Choose) -> Range:
        """The range of one value."""
        return choose(self.histograms[value].distribution(), self.seen[value])

    def joined(self, other: "Calibration") -> "Calibration":
        """Of the samples of both, those of the other behind these."""
        return Calibration(
            {value: each.joined(other.seen[value]) for value, each in self.seen.items()},
            {value: each.joined(other.histograms[value]) for value, each in self.histograms.items()},
            _concatenated((self.inputs, other.inputs)),
            _concatenated((self.results, other.results)),
            {value: _joined(each, other.channels[value]) for value, each in self.channels.items()},
            {value: each + other.sums[value] for value, each in self.sums.items()},
        )


def calibrate(named: NamedFunction, samples: Samples, share: Share | None = None) -> Calibration:
    """What samples show of a function.

    Args:
        named: of floats, as recognised.
        samples: by name of a parameter.
        share: is told how many samples have been measured.

    Raises:
        EvaluationError: if the data are not inputs of this function.
        QuantiseError: if a value is infinite or NaN, or an input is 0 everywhere.
    """
    count, function = named.check(samples), named.function
    zero = ", ".join(repr(name) for name, array in samples.items() if not array.any())
    if zero:
        raise QuantiseError(f"calibration data must be typical inputs, and {zero} is 0 in all samples")
    record = _Record(function)

    def observe(equation: Equation, value: Value, array: Array) -> None:
        if not isinstance(equation.operator, Constant):
            record.add(equation.label, value, array)

    step, results = max(1, _CHUNK_BYTES // _sample_bytes(function)), list[Samples]()
    for start in range(0, count, step):
        arrays = [samples[name][start : start + step] for name in named.inputs]
        for name, value, array in zip(named.inputs, function.parameters, arrays, strict=True):
            record.add(name, value, array)
        found = run(function, *arrays, observe=observe)
        results.append(dict(zip(named.outputs, found, strict=True)))
        if share is not None:
            share(min(start + step, count), count)
    return Calibration(
        record.seen, record.histograms, samples, _concatenated(results), record.channels, record.sums
    )


class _Record:
    """What is kept of the values of a function.

    Members:
        seen, histograms, channels, sums: as of `Calibration`.
    """

    def __init__(self, function: Function) -> None:
        layers = (each for each in function.equations if isinstance(each.operator, LINEAR))
        self._read = {each.operands[0] for each in layers}
        self._between = values_between(function)
        self.seen: dict[Value, Range] = {}
        self.histograms: dict[Value, Histogram] = {}
        self.channels: dict[Value, tuple[Array, Array]] = {}
        self.sums: dict[Value, Array] = {}

    def add(self, what: str, value: Value, array: Array) -> None:
        """Keep what an array, of some samples, shows of a value that is called so in messages."""
        own = _range(what, array)
        self.seen[value] = own.joined(self.seen[value]) if value in self.seen else own
        self.histograms.setdefault(value, Histogram()).add(array)
        if value in self._between:
            axes = (0, *range(2, array.ndim))
            ends = array.min(axis=axes), array.max(axis=axes)
            self.channels[value] = _joined(ends, self.channels.get(value, ends))
        if value in self._read:
            self.sums[value] = self.sums.get(value, 0.0) + total(array.astype(np.float64), (0,))


def _joined(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
    return np.minimum(one[0], other[0]), np.maximum(one[1], other[1])


def _concatenated(parts: Iterable[Samples]) -> Samples:
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _sample_bytes(function: Function) -> int:
    """Bytes of all values, for one sample."""
    values = (*function.parameters, *(value for each in function.equations for value in each.results))
    sizes = ([size for size in value.type.shape if isinstance(size, int)] for value in values)
    return 4 * sum(int(np.prod(each, dtype=np.int64)) for each in sizes)


def _range(name: str, array: Array) -> Range:
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise QuantiseError(
            f"{name!r} must stay finite on the calibration data, not reach from {low} to {high}"
        )
    return Range(low, high)
