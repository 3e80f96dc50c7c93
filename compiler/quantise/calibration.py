"""The ranges of a function's values, from data."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.histogram import Histogram
from tilewright.numerics.progress import Share

_CHUNK_BYTES = 1 << 28
"""The most bytes of all values of a function, for the samples that are computed at once."""


@dataclass(frozen=True)
class Range:
    """The least and the greatest value seen."""

    low: float
    high: float

    def joined(self, other: "Range") -> "Range":
        """The range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


class RangeMethod(StrEnum):
    """How data choose the range of a value's integers.

    `MIN_MAX`: from the least to the greatest value seen. `MEAN_SQUARE`: where the mean of the squared errors
    is least; rare large values become the end of the range, and all others finer.
    """

    MIN_MAX = "min-max"
    MEAN_SQUARE = "mean-square"


def range_method(name: str) -> RangeMethod:
    """The method of that name.

    Raises:
        QuantiseError: if there is none.
    """
    try:
        return RangeMethod(name)
    except ValueError:
        raise QuantiseError(f"ranges must be one of {', '.join(RangeMethod)}, not {name!r}") from None


def measure_ranges(
    named: NamedFunction,
    calibration: Mapping[str, Array],
    share: Share | None = None,
    method: RangeMethod = RangeMethod.MIN_MAX,
) -> dict[Value, Range]:
    """The range of each parameter, and of each value of an equation that is no constant.

    Args:
        named: of floats, as recognised.
        calibration: by name, samples along the first axis.
        share: is told how many samples have been measured.
        method: how the data choose it.

    Raises:
        EvaluationError: if the data are not inputs of this function.
        QuantiseError: if a value is infinite or NaN, or an input is 0 everywhere.
    """
    samples, function = named.check(calibration), named.function
    zero = ", ".join(repr(name) for name, array in calibration.items() if not array.any())
    if zero:
        raise QuantiseError(f"calibration data must be typical inputs, and {zero} is 0 in all samples")
    ranges: dict[Value, Range] = {}
    histograms: dict[Value, Histogram] = {}

    def widen(what: str, value: Value, array: Array) -> None:
        seen = _range(what, array)
        ranges[value] = seen.joined(ranges[value]) if value in ranges else seen
        if method is RangeMethod.MEAN_SQUARE:
            histograms.setdefault(value, Histogram()).add(array)

    def observe(equation: Equation, value: Value, array: Array) -> None:
        if not isinstance(equation.operator, Constant):
            widen(equation.label, value, array)

    step = max(1, _CHUNK_BYTES // _sample_bytes(function))
    for start in range(0, samples, step):
        arrays = [calibration[name][start : start + step] for name in named.inputs]
        for name, value, array in zip(named.inputs, function.parameters, arrays, strict=True):
            widen(name, value, array)
        run(function, *arrays, observe=observe)
        if share is not None:
            share(min(start + step, samples), samples)
    for value, histogram in histograms.items():
        ranges[value] = Range(*histogram.best_range(ranges[value].low, ranges[value].high))
    return ranges


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
