"""What samples show of a function: the ranges of its values, how they are distributed, and its results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.histogram import Histogram
from tilewright.compiler.quantise.range_method import Choose, Range
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
    """

    seen: Mapping[Value, Range]
    histograms: Mapping[Value, Histogram]
    inputs: Samples
    results: Samples

    def ranges(self, choose: Choose) -> dict[Value, Range]:
        """The range of each value, as a method chooses it."""
        return {value: self.range_of(value, choose) for value in self.seen}

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
    seen: dict[Value, Range] = {}
    histograms: dict[Value, Histogram] = {}

    def widen(what: str, value: Value, array: Array) -> None:
        own = _range(what, array)
        seen[value] = own.joined(seen[value]) if value in seen else own
        histograms.setdefault(value, Histogram()).add(array)

    def observe(equation: Equation, value: Value, array: Array) -> None:
        if not isinstance(equation.operator, Constant):
            widen(equation.label, value, array)

    step, results = max(1, _CHUNK_BYTES // _sample_bytes(function)), list[Samples]()
    for start in range(0, count, step):
        arrays = [samples[name][start : start + step] for name in named.inputs]
        for name, value, array in zip(named.inputs, function.parameters, arrays, strict=True):
            widen(name, value, array)
        found = run(function, *arrays, observe=observe)
        results.append(dict(zip(named.outputs, found, strict=True)))
        if share is not None:
            share(min(start + step, count), count)
    return Calibration(seen, histograms, samples, _concatenated(results))


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
