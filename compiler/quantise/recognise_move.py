"""Recognises what moves elements: concatenations, parts, borders, and channels in another order."""

from math import prod

import numpy as np

from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.gather import Gather
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.recognition import Recognition, rule, sample_of

MOVES: tuple[type[Operator], ...] = (Concat, Slice, Pad, Gather)
"""Their results have elements of what they read, and of constants, so that one scale fits all."""
_CHANNELS = 1


@rule(Concat)
def _concat(r: Recognition, equation: Equation) -> Value:
    operator = equation.operator
    assert isinstance(operator, Concat)
    parts = [r.activation(value) for value in equation.operands]
    axis = _moved_axis(r, parts[0], operator.axis)
    joined = r.emit(Concat(axis), *map(r.image, parts))
    return r.of_image(joined, parts[0])


@rule(Slice)
def _slice(r: Recognition, equation: Equation) -> Value:
    operator, (x,) = equation.operator, equation.operands
    assert isinstance(operator, Slice)
    moving, rank = r.activation(x), x.type.rank
    bounds = [
        (number(start), number(stop), step)
        for start, stop, step in zip(operator.starts, operator.stops, operator.steps, strict=True)
    ]
    require(bounds[0] == (0, 1, 1), "the batch must stay whole")
    for axis in range(1, rank):
        if bounds[axis] != (0, x.type.shape[axis], 1):
            _moved_axis(r, moving, axis)
    require(all(step > 0 for _, _, step in bounds), "steps must be 1 or more")
    require(all(start < stop for start, stop, _ in bounds), "some elements must be left")
    whole = r.image(moving)
    if whole.type.rank > rank:
        bounds.insert(2, (0, 1, 1))
    starts, stops, steps = zip(*bounds, strict=True)
    part = r.emit(Slice(starts, (r.batch, *stops[1:]), steps), whole)
    return r.of_image(part, moving)


@rule(Pad)
def _pad(r: Recognition, equation: Equation) -> Value:
    operator, (x, given) = equation.operator, equation.operands
    assert isinstance(operator, Pad)
    moving, value = r.activation(x), r.constants.array(given)
    require(bool(np.isfinite(value).all()), f"its constant must be finite, not {value}")
    borders = [(number(low), number(high)) for low, high in zip(operator.low, operator.high, strict=True)]
    require(borders[0] == (0, 0), "the batch must have no border")
    for axis in range(1, x.type.rank):
        if borders[axis] != (0, 0):
            _moved_axis(r, moving, axis)
    inner = r.image(moving)
    if inner.type.rank > x.type.rank:
        borders.insert(2, (0, 0))
    low, high = zip(*borders, strict=True)
    constant = r.b.constant(Literal(np.asarray(value, np.float32).reshape(())))
    return r.of_image(r.emit(Pad(low, high), inner, constant), moving)


@rule(Gather)
def _gather(r: Recognition, equation: Equation) -> Value:
    operator, (x, indices) = equation.operator, equation.operands
    assert isinstance(operator, Gather)
    moving = r.activation(x)
    require(indices not in r.values and not r.is_moving(indices), "its indices must be constants")
    channels = r.constants.array(indices)
    is_order = operator.axis == _CHANNELS and channels.ndim == 1 and channels.size > 0
    require(is_order, f"its indices must be a list of channels, not of axis {operator.axis} of {x.type}")
    _moved_axis(r, moving, _CHANNELS)
    count = int(x.type.numbers[_CHANNELS])
    inside = bool((channels >= -count).all() and (channels < count).all())
    require(inside, f"its indices must be from {-count} to {count - 1}")
    return r.of_image(gather_channels(r, r.image(moving), channels % count), moving)


def gather_channels(
    r: Recognition, x: Value, channels: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"
) -> Value:
    """Channels of x by their indices."""
    return r.emit(Gather(_CHANNELS), x, r.b.constant(Literal(channels.astype(np.int64))))


def number(size: AnySize) -> int:
    """A size that is a number.

    Raises:
        GroupError: if it is none.
    """
    require(isinstance(size, int), f"sizes must be numbers, not {size}")
    assert isinstance(size, int)
    return size


def _moved_axis(r: Recognition, x: Value, axis: int) -> int:
    """The axis of feature maps, or of features, along which elements of x may be moved.

    Raises:
        GroupError: if there is none.
    """
    require(axis > 0, "the batch must stay the first axis, whole")
    require(x.type.rank in (2, 3, 4), f"it must have 2 to 4 axes, not {x.type}")
    if x.type.rank == 2:
        pixels = prod(sample_of(r.under(x))[1:])
        require(pixels == 1, f"features of {pixels} pixels each must not be moved: move the feature maps")
    return axis + 1 if x.type.rank == 3 and axis == 2 else axis
