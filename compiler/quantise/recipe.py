"""All that calibration decides on the way to integers: ranges, sizes of channels, biases."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.quantise.calibration import Calibration
from tilewright.compiler.quantise.correction import corrected
from tilewright.compiler.quantise.equalisation import Real, equalised
from tilewright.compiler.quantise.quantise import TracedIntegers, integers, traced_integers
from tilewright.compiler.quantise.range_method import Choose, Range, all_seen


@dataclass(frozen=True)
class Recipe:
    """How a part of a network becomes integers.

    Members:
        choose: the range of each value.
        is_equalised: whether channels between two layers are brought to like sizes.
        is_corrected: whether biases take back what the integers of weights add in the mean.
    """

    choose: Choose = all_seen
    is_equalised: bool = False
    is_corrected: bool = False


@dataclass(frozen=True)
class Prepared:
    """A function of floats with all that its integers need.

    Members:
        floats: it, with the same results as before; channels may have other sizes.
        named: the same with the biases that integers get.
        ranges: of all its activations; None if it has scales.
    """

    floats: NamedFunction
    named: NamedFunction
    ranges: Mapping[Value, Range] | None

    def integers(self) -> NamedFunction:
        """The function of integers."""
        return integers(self.named, self.ranges)

    def traced(self) -> TracedIntegers:
        """The same, with what its values stand for."""
        assert self.ranges is not None, "it has no scales of its own"
        return traced_integers(self.named, self.ranges)


def prepare(recognised: NamedFunction, calibration: Calibration | None, recipe: Recipe) -> Prepared:
    """A function as a recipe wants it.

    Args:
        recognised: of floats.
        calibration: what samples show of it; None if it has scales.
        recipe: how it becomes integers.
    """
    if calibration is None:
        return Prepared(recognised, recognised, None)
    ranges, divisors = calibration.ranges(recipe.choose), dict[Value, Real]()
    floats = recognised
    if recipe.is_equalised:
        found = equalised(recognised.function, calibration.largest)
        floats, divisors = recognised.with_function(found.function), dict(found.divisors)
        ranges |= {value: _divided(calibration, value, divisor) for value, divisor in divisors.items()}
    if not recipe.is_corrected:
        return Prepared(floats, floats, ranges)

    def means(value: Value) -> Array:
        mean = calibration.mean(value)
        return mean if value not in divisors else mean / _by_channel(divisors[value], mean)

    return Prepared(floats, floats.with_function(corrected(floats.function, means)), ranges)


def _divided(calibration: Calibration, value: Value, divisor: Real) -> Range:
    """The range of a value whose channels are so much smaller."""
    lows, highs = (each / _by_channel(divisor, each[None])[0] for each in calibration.channels[value])
    return Range(float(lows.min()), float(highs.max()))


def _by_channel(divisor: Real, array: Array) -> Real:
    """For each channel, axis 1, or element of a flattened one, its divisor."""
    repeated = np.repeat(divisor, array.shape[1] // len(divisor))
    return repeated.reshape(1, -1, *(1 for _ in array.shape[2:]))
