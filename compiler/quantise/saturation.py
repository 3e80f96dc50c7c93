"""Ranges of what a function of single elements reads, without the ends at which it changes no more."""

from collections.abc import Mapping

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.nn.pointwise import Pointwise
from tilewright.compiler.quantise.range_method import Range
from tilewright.numerics.quantise import INT8_MAXIMUM, INT8_MINIMUM

_POINTS = 4096
"""At which the function is looked at."""
_FEW = _POINTS // 64
"""Below this, an end is not flat: some points of every function are near its end."""
_TOLERANCE = 0.25
"""Steps of the result's integers that may be lost at an end."""


def without_flat_ends(function: Function, ranges: Mapping[Value, Range]) -> dict[Value, Range]:
    """The ranges, narrower for values that only one function of single elements reads.

    A hard swish is 0 below −3: integers that end there are finer above, and what lies below becomes the end,
    whose result is the same.

    Args:
        function: of floats, as recognised.
        ranges: of all its activations.
    """
    found = dict(ranges)
    for equation in function.equations:
        if isinstance(equation.operator, Pointwise) and _reads_alone(function, equation):
            (x,) = equation.operands
            found[x] = _curved(equation.operator, ranges[x])
    return found


def _reads_alone(function: Function, equation: Equation) -> bool:
    (x,) = equation.operands
    return len(function.consumers[x]) == 1 and x not in function.results and x not in function.parameters


def _curved(operator: Pointwise, seen: Range) -> Range:
    """The part of a range in which a function changes by more than a part of its result's step."""
    points = np.linspace(seen.low, seen.high, _POINTS).astype(np.float32)
    (values,) = operator.run(points)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    slack = _TOLERANCE * (high - low) / (INT8_MAXIMUM - INT8_MINIMUM)
    first = _flat(np.abs(values - values[0]) <= slack)
    last = _POINTS - 1 - _flat(np.abs(values[::-1] - values[-1]) <= slack)
    if first >= last:
        return seen
    return Range(float(points[first]), float(points[last]))


def _flat(is_near: Array) -> int:
    """The last of the first points that are all near; 0 if these are few."""
    last = int(np.argmin(is_near)) - 1 if not is_near.all() else len(is_near) - 1
    return last if last >= _FEW else 0
