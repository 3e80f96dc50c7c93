"""Scales and zero points, chosen; and the integer factors that stand for real ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ops.nn.parted_softmax import COARSE_STEPS
from tilewright.compiler.quantise.error import GroupError
from tilewright.numerics.quantise import INT8_MAXIMUM, INT8_MINIMUM
from tilewright.numerics.requantise import (
    PRODUCT_SHIFT,
    SHIFT_MAXIMUM,
    X_MAXIMUM,
    pack_scale,
    quantise_multiplier,
)

Real = NDArray[np.float64]

WEIGHT_MAXIMUM = 127
"""The largest integer of weights that are quantised here: symmetric, without −128."""
_BIAS_LIMIT = 2.0**30
_SMALLEST_RATIO = 2.0**-30
FACTOR_MAXIMUM = 2**15 - 1
"""The largest factor of what is added to sums."""
_SMALLEST_MULTIPLIER = 2.0 ** -(PRODUCT_SHIFT + SHIFT_MAXIMUM + 1)
"""At and below, every int32 becomes 0."""


@dataclass(frozen=True)
class QuantParams:
    """The meaning of the integers of an activation: x ≈ (q − zero_point) · scale."""

    scale: float
    zero_point: int

    @property
    def reach(self) -> int:
        """The largest distance of an integer from the zero point."""
        return max(INT8_MAXIMUM - self.zero_point, self.zero_point - INT8_MINIMUM)

    def hold(self, low: float, high: float) -> bool:
        """Whether values from low to high have integers, but for half a step."""
        least, most = (
            (limit + half - self.zero_point) * self.scale
            for limit, half in ((INT8_MINIMUM, -0.5), (INT8_MAXIMUM, 0.5))
        )
        return least <= low and high <= most

    def quantised(self, x: float) -> int:
        """The integer of a real number, which may be infinite."""
        q = np.rint(np.float32(x) / np.float32(self.scale)) + self.zero_point
        return int(min(max(q, INT8_MINIMUM), INT8_MAXIMUM))


PART_PARAMETERS = QuantParams(float(np.float32(1 / COARSE_STEPS)), 0)
"""Of both parts of a softmax."""


def choose_parameters(low: float, high: float) -> QuantParams:
    """Parameters that spread all 256 integers from the least to the greatest value, 0 among them."""
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return QuantParams(1.0, 0)
    scale = float(np.float32((high - low) / (INT8_MAXIMUM - INT8_MINIMUM)))
    return QuantParams(scale, int(np.rint(INT8_MINIMUM - low / scale)))


def symmetric_parameters(low: float, high: float) -> QuantParams:
    """The integers from −127 to 127 spread evenly around 0, which is 0."""
    largest = max(abs(low), abs(high))
    return QuantParams(float(np.float32(largest / WEIGHT_MAXIMUM)) if largest else 1.0, 0)


def weight_scales(weight: Array, bias: Real, x: QuantParams, y: QuantParams, residual: float = 0.0) -> Real:
    """A scale for each output channel: as fine as its weights allow.

    Coarser where the bias, the requantisation or the residual's factor would leave its integers: such a
    channel has next to no weights, so that nothing is lost.

    Args:
        weight: float32 (O, …).
        bias: (O,).
        x, y: of the input and of the result.
        residual: scale of the activation that is added, if there is one.
    """
    least = max(_SMALLEST_RATIO * y.scale, residual / FACTOR_MAXIMUM) / x.scale
    of_bias = np.abs(bias) / (x.scale * _BIAS_LIMIT)
    return np.asarray(np.maximum(np.maximum(symmetric_scales(weight), of_bias), least))


def symmetric_scales(weight: Array) -> Real:
    """A scale for each output channel: its largest weight (O, …) is the largest integer."""
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1).astype(np.float64)
    return np.asarray(largest / WEIGHT_MAXIMUM)


def quantise_weights(weight: Array, scale: Real) -> NDArray[np.int8]:
    """The integers of weights (O, …) for one scale each channel."""
    scaled = weight / scale.reshape(-1, *(1 for _ in weight.shape[1:]))
    return np.clip(np.rint(scaled), -WEIGHT_MAXIMUM, WEIGHT_MAXIMUM).astype(np.int8)


def scale_words(ratio: Array | float, reach: int) -> NDArray[np.int32]:
    """Packed words of `numerics.requantise` for these factors from accumulators to results.

    Args:
        ratio: a real factor, or one for each channel.
        reach: the largest distance of a result from its zero point.

    Raises:
        GroupError: if one is too large for the requantisation.
    """
    return _factors(np.asarray(ratio, np.float64), reach, reach).words()


@dataclass(frozen=True)
class Requantisation:
    """How sums of products become results.

    Members:
        bias: what is added to them: an integer for each channel.
        words: packed, one for each channel.
        zero_point: what is added behind.
    """

    bias: Real
    words: NDArray[np.int32]
    zero_point: int


def requantisation(bias: Real, ratio: Real, y: QuantParams) -> Requantisation:
    """How sums become results: about the zero point, or about 0 where that is more exact.

    A zero point at an end, as behind a ReLU, leaves half of x unused. In units of the sums it is part of the
    bias; then results are within 128 of 0, and x has one bit more of them.

    Args:
        bias: an integer for each channel, in units of the sums.
        ratio: a real factor for each channel.
        y: of the results.

    Raises:
        GroupError: if a factor is too large for the requantisation.
    """
    about_zero_point = _factors(ratio, y.reach, y.reach)
    about_zero = _factors(ratio, -INT8_MINIMUM, y.reach)
    whole = bias + np.rint(y.zero_point / np.maximum(about_zero.scale, _SMALLEST_MULTIPLIER))
    # The zero point is off by a quarter of a unit of the sums on average.
    error = about_zero.error + about_zero.scale / 4
    if np.abs(whole).max() > _BIAS_LIMIT or error.mean() >= about_zero_point.error.mean():
        return Requantisation(bias, about_zero_point.words(), y.zero_point)
    return Requantisation(whole, about_zero.words(), 0)


@dataclass(frozen=True)
class _Factors:
    """Multipliers and shifts, and the error to expect of each in steps of the result."""

    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    error: Real

    @property
    def scale(self) -> Real:
        """The factors that they are."""
        return np.ldexp(self.multiplier.astype(np.float64), -PRODUCT_SHIFT - self.shift)

    def words(self) -> NDArray[np.int32]:
        """Packed."""
        return pack_scale(self.multiplier, self.shift)


def _factors(real: Real, reach: int, span: int) -> _Factors:
    """What comes nearest to real factors, of results up to `reach` from 0 and `span` from what is real 0."""
    vanishing = real <= _SMALLEST_MULTIPLIER
    try:
        multiplier, shift = quantise_multiplier(np.where(vanishing, 1.0, real))
    except ValueError as error:
        raise GroupError(f"its sums cannot be requantised: {error}") from error
    finer = np.rint(np.ldexp(real, PRODUCT_SHIFT + shift - 1)).astype(np.int32)
    errors = _error(multiplier, shift, real, reach, span), _error(finer, shift - 1, real, reach, span)
    is_better = errors[1] < errors[0]
    multiplier, shift = np.where(is_better, finer, multiplier), np.where(is_better, shift - 1, shift)
    none = np.where(vanishing, 0, multiplier), np.where(vanishing, 0, shift)
    return _Factors(*none, np.where(vanishing, 0.0, np.minimum(*errors)))


def _error(
    multiplier: NDArray[np.int32], shift: NDArray[np.int32], real: Real, reach: int, span: int
) -> Real:
    """The error to expect of a requantisation, in steps of the result; infinite where it saturates too early.

    The sum is rounded to x, off by a quarter on average where bits are lost; the multiplier is off by a
    constant part of results of which most are small.
    """
    unit = np.ldexp(multiplier.astype(np.float64), -PRODUCT_SHIFT)
    rounding = np.where(shift > 0, unit / 4, 0.0)
    slope = np.abs(np.ldexp(unit, -shift) / real - 1) * span / 8
    return np.where(unit * X_MAXIMUM < reach + 0.5, np.inf, rounding + slope)


def residual_is_fine(weight: Array, x: QuantParams, y: QuantParams, residual: QuantParams) -> bool:
    """Whether the residual's integer factors stay within half a step of the result of the real ones."""
    largest = float(np.abs(weight).max()) / WEIGHT_MAXIMUM
    half_unit = x.scale * largest / 2
    return half_unit * -INT8_MINIMUM <= y.scale / 2 and residual.scale <= y.scale * FACTOR_MAXIMUM / 256


def residual_factors(residual: QuantParams, unit: Real) -> NDArray[np.int16]:
    """One step of the residual in units of the accumulators, for each channel.

    Raises:
        GroupError: if one does not fit int16, or is 0.
    """
    factor = np.rint(residual.scale / unit)
    if factor.max() > FACTOR_MAXIMUM or factor.min() < 1:
        raise GroupError(
            f"the residual's factor must be from 1 to {FACTOR_MAXIMUM}, "
            f"not {factor.min():g} … {factor.max():g}: quantise the convolution's result before the sum"
        )
    return factor.astype(np.int16)


def add_factors(a: float, b: float) -> tuple[int, int, float]:
    """Integers ka ≤ 127 and kb ≤ 32767, and the scale s, so that s·ka = a and s·kb ≈ b; for a ≤ b."""
    ratio = b / a
    if ratio > FACTOR_MAXIMUM:
        # Within half a step of b, all of a vanishes.
        return 0, 1, b
    ka = np.arange(1, 128)
    kb = np.rint(ka * ratio)
    error = np.where(kb > FACTOR_MAXIMUM, np.inf, np.abs(kb / (ka * ratio) - 1))
    best = len(ka) - 1 - int(error[::-1].argmin())
    return int(ka[best]), int(kb[best]), a / float(ka[best])
