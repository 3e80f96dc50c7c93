"""Recognises operators on single elements: limits, sums, factors and offsets of channels."""

from collections.abc import Callable

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.nn.pointwise import Pointwise
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.quantise.arrangement import Arrangement
from tilewright.compiler.quantise.error import GroupError, require
from tilewright.compiler.quantise.recognise_linear import affine
from tilewright.compiler.quantise.recognise_shape import whole_mean
from tilewright.compiler.quantise.recognition import Recognition, rule


def pointwise(r: Recognition, equation: Equation) -> Value:
    """A function of single elements that a table does."""
    root = r.pointwise.roots[equation.result]
    return r.each(Pointwise(r.pointwise.body(equation.result, r.b)), root)


@rule(Pointwise)
def _given_pointwise(r: Recognition, equation: Equation) -> Value:
    return r.each(equation.operator, equation.operands[0])


@rule(Map)
def _map(r: Recognition, equation: Equation) -> Value:
    operator = equation.operator
    assert isinstance(operator, Map)
    if operator.function not in _FUNCTIONS:
        raise GroupError("there is no such operator in integers")
    return _FUNCTIONS[operator.function](r, equation)


def _add(r: Recognition, equation: Equation) -> Value:
    one, other = equation.operands
    if r.is_moving(one) and r.is_moving(other):
        repeated = any(map(r.is_repeated, equation.operands))
        require(
            not repeated, "a value that is repeated, such as a mask, must be added on the host, in floats"
        )
        return r.each(Map("add"), one, other)
    x, constant = (one, other) if r.is_moving(one) else (other, one)
    shift = r.constants.shift(constant)
    channels = _channels(r, constant, x)
    if shift is None or shift.value.shape != channels.shape:
        return affine(r, equation, x, np.ones_like(channels), channels)
    return affine(r, equation, x, np.ones_like(channels), shift)


def _sub(r: Recognition, equation: Equation) -> Value:
    one, other = equation.operands
    require(not (r.is_moving(one) and r.is_moving(other)), "one of its operands must be a constant")
    if r.is_moving(one):
        constant = _channels(r, other, one)
        return affine(r, equation, one, np.ones_like(constant), -constant)
    constant = _channels(r, one, other)
    return affine(r, equation, other, -np.ones_like(constant), constant)


def _mul(r: Recognition, equation: Equation) -> Value:
    one, other = equation.operands
    if r.is_moving(one) and r.is_moving(other):
        return _product(r, *((other, one) if one in r.repeated else (one, other)))
    x, factor = (one, other) if r.is_moving(one) else (other, one)
    constant = _channels(r, factor, x)
    return affine(r, equation, x, constant, np.zeros_like(constant))


def _product(r: Recognition, x: Value, factor: Value) -> Value:
    """Recognises a map of two activations; the second may be one pixel, for all of the first."""
    if factor not in r.repeated:
        return r.each(Map("mul"), x, factor)
    moving = r.activation(x)
    repeated = r.emit(Broadcast(moving.type.shape, (0, 1, 2, 3)), r.repeated[factor])
    return r.emit(Map("mul"), moving, repeated)


def _div(r: Recognition, equation: Equation) -> Value:
    x, divisor = equation.operands
    require(not r.is_moving(divisor), "its second operand must be a constant")
    if x in r.sums:
        return _mean(r, x, r.constants.array(divisor))
    constant = _channels(r, divisor, x)
    with np.errstate(all="ignore"):
        return affine(r, equation, x, 1 / constant, np.zeros_like(constant))


def _mean(r: Recognition, x: Value, divisor: Array) -> Value:
    """A sum over feature maps, divided by their pixels."""
    summed, pixels = r.sums[x]
    require(bool((divisor == pixels).all()), f"a sum must be divided by its {pixels} pixels")
    return r.reshape(whole_mean(r, summed), x.type.numbers[1:])


def _max(r: Recognition, equation: Equation) -> Value:
    x, bound = _bounded(r, equation)
    return _clip(r, equation, x, Clip(bound, float("inf")))


def _min(r: Recognition, equation: Equation) -> Value:
    x, bound = _bounded(r, equation)
    return _clip(r, equation, x, Clip(float("-inf"), bound))


def _bounded(r: Recognition, equation: Equation) -> tuple[Value, float]:
    """What is limited, and by which number."""
    one, other = equation.operands
    require(not (r.is_moving(one) and r.is_moving(other)), "its bound must be a constant")
    x, constant = (one, other) if r.is_moving(one) else (other, one)
    bounds = r.constants.array(constant)
    first = float(bounds.reshape(-1)[0])
    require(bool((bounds == first).all()), "its bound must be one number")
    return x, first


def _clip(r: Recognition, equation: Equation, x: Value, clip: Clip) -> Value:
    """Limits; both of one node of the model are one operator."""
    order = r.order_of(x)
    moving = r.inner(x, order)
    before = r.equations.get(moving)
    if before is not None and isinstance(before.operator, Clip) and r.is_read_once(x):
        same = r.source.producers[x].labels == equation.labels
        low, high = max(before.operator.low, clip.low), min(before.operator.high, clip.high)
        if same and low <= high:
            return r.outer(r.emit(Clip(low, high), before.operands[0]), order, x)
    return r.outer(r.emit(clip, moving), order, x)


@rule(Clip)
def _given_clip(r: Recognition, equation: Equation) -> Value:
    return r.each(equation.operator, equation.operands[0])


_FUNCTIONS: dict[str, Callable[[Recognition, Equation], Value]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "max": _max,
    "min": _min,
}


def _channels(r: Recognition, constant: Value, x: Value) -> Array:
    """A constant that is broadcast against x, as one number for each channel: float64 (C,)."""
    array = r.constants.array(constant)
    message = f"its constant must be one number, or one for each channel of {x.type}, not of {constant.type}"
    require(x.type.rank > 1 and array.shape == x.type.numbers, message)
    order = r.order_of(x) or Arrangement.of(x, (1,))
    columns = array.reshape(order.parts).transpose(order.order).reshape(order.count, -1)
    require(bool((columns == columns[:, :1]).all()), message)
    first: Array = columns[:, 0].astype(np.float64)
    return first
