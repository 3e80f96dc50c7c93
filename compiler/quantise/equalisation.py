"""Channels of an activation brought to like sizes: exact in floats, and finer in integers.

What a layer makes smaller, the next one makes larger: limits at 0 and poolings between keep the factor. The
integers of an activation have one scale for all channels, those of weights have one for each
(Nagel et al., 2019; Xiao et al., SmoothQuant, 2023). Factors are powers of two: no bit of a float changes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.pool import AveragePool, MaxPool
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.quantise.constant import literal_of
from tilewright.compiler.quantise.correction import LINEAR
from tilewright.compiler.quantise.reweigh import reweighed

Real = NDArray[np.float64]
_MOST_POWER = 8
"""Of 2, by which channels of one activation may differ: what is nearly 0 everywhere says nothing."""


@dataclass(frozen=True)
class Equalised:
    """A function with channels of like sizes.

    Members:
        function: its results are the same to the bit.
        divisors: float64 (channels) of values that are so much smaller than before.
    """

    function: Function
    divisors: Mapping[Value, Real]


@dataclass(frozen=True)
class _Pair:
    """Two layers, and what lies between, first to last: views, poolings, limits at 0.

    Members:
        values: the result of the first layer, and all between.
    """

    first: Equation
    second: Equation
    values: tuple[Value, ...]


def equalised(function: Function, largest: Mapping[Value, Real]) -> Equalised:
    """The function whose layers divide, and multiply again, the channels that pass between two of them.

    Args:
        function: of floats, as recognised.
        largest: magnitudes of each channel of its values.
    """
    changes: dict[Equation, dict[int, Array]] = {}
    divisors: dict[Value, Real] = {}
    for equation in function.equations:
        pair = _pair(function, equation)
        if pair is None:
            continue
        divisor = _divisor(function, pair, largest[pair.values[0]])
        own = _current(function, changes, pair.first)
        changes[pair.first] = {1: own[0] / _along(divisor, own[0], 0), 2: own[1] / divisor.astype(np.float32)}
        weights, bias = _current(function, changes, pair.second)
        changes[pair.second] = {1: _multiplied(pair.second, weights, divisor), 2: bias}
        divisors |= dict.fromkeys(pair.values, divisor)
    return Equalised(reweighed(function, changes), divisors)


def values_between(function: Function) -> frozenset[Value]:
    """Those whose channels can have other sizes."""
    pairs = (_pair(function, each) for each in function.equations)
    return frozenset(value for pair in pairs if pair is not None for value in pair.values)


def _pair(function: Function, first: Equation) -> _Pair | None:
    """The pair that begins with a layer, if what it makes passes to one layer alone."""
    if not _has_floats(function, first):
        return None
    values, equation = list[Value](), first
    while True:
        value = equation.result
        values.append(value)
        readers = function.consumers.get(value, ())
        if len(readers) != 1 or value in function.results:
            return None
        (equation,) = readers
        if isinstance(equation.operator, LINEAR):
            is_whole = equation.operands[0] == value and _has_floats(function, equation)
            return _Pair(first, equation, tuple(values)) if is_whole and _sees_all(equation) else None
        if not _keeps_factors(equation):
            return None


def _has_floats(function: Function, equation: Equation) -> bool:
    is_linear = isinstance(equation.operator, LINEAR)
    return is_linear and all(literal_of(function, value) is not None for value in equation.operands[1:])


def _sees_all(layer: Equation) -> bool:
    """Whether a layer reads all channels, or each by itself."""
    if not isinstance(layer.operator, Convolution):
        return True
    channels = layer.operands[0].type.shape[1]
    return layer.operator.groups in (1, channels)


def _keeps_factors(equation: Equation) -> bool:
    """Whether a factor of a channel before an operator is the same one behind it."""
    operator = equation.operator
    if isinstance(operator, Clip):
        return operator.low in (0.0, -math.inf) and operator.high == math.inf
    if isinstance(operator, Reshape):
        before, after = equation.operands[0].type.shape, equation.result.type.shape
        return before[:2] == after[:2] or len(after) == 2
    return isinstance(operator, MaxPool | AveragePool)


def _divisor(function: Function, pair: _Pair, largest: Real) -> Real:
    """Powers of two: half of the way to channels of one size; all of it if weights lose nothing by that."""
    weights = literal_of(function, pair.second.operands[1])
    assert weights is not None
    channels = len(largest)
    exponents = np.frexp(largest)[1]
    if _is_depthwise(pair.second):
        powers = exponents
    else:
        by_channel = np.abs(weights).reshape(len(weights), channels, -1).max(axis=(0, 2))
        powers = (exponents - np.frexp(by_channel)[1]) // 2
        powers = np.where(by_channel > 0, powers, powers.max())
    powers = np.where(largest > 0, powers, powers.max())
    return np.asarray(np.ldexp(1.0, np.maximum(powers - powers.max(), -_MOST_POWER)), np.float64)


def _is_depthwise(layer: Equation) -> bool:
    return isinstance(layer.operator, Convolution) and layer.operator.groups > 1


def _multiplied(layer: Equation, weights: Array, factor: Real) -> Array:
    """Weights of a layer that multiply each channel of what it reads."""
    if _is_depthwise(layer):
        return np.asarray(weights * _along(np.repeat(factor, len(weights) // len(factor)), weights, 0))
    by_channel = weights.reshape(len(weights), len(factor), -1) * factor.astype(np.float32)[:, None]
    return np.asarray(by_channel.reshape(weights.shape))


def _along(values: Real, array: Array, axis: int) -> Array:
    shape = [1] * array.ndim
    shape[axis] = -1
    return values.astype(np.float32).reshape(shape)


def _current(
    function: Function, changes: Mapping[Equation, Mapping[int, Array]], layer: Equation
) -> tuple[Array, Array]:
    """Weights and bias of a layer, as they are by now."""
    found = [changes.get(layer, {}).get(place) for place in (1, 2)]
    own = [literal_of(function, value) for value in layer.operands[1:3]]
    weights, bias = (each if each is not None else other for each, other in zip(found, own, strict=True))
    assert weights is not None
    assert bias is not None
    return weights, bias
