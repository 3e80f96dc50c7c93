"""Derivatives of the scalar functions: of each operand a cotangent, in equations.

All are given the builder, the operands, the result `y` and its cotangent `g`. Where a function has no
derivative in a point, one of its neighbourhood is taken: 0 for sqrt and pow at 0, and ties share.
"""

import math
from collections.abc import Callable
from types import ModuleType

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value

Unary = Callable[[Builder, Value, Value, Value], Value]
Binary = Callable[[Builder, Value, Value, Value, Value], Value]


def _emit() -> ModuleType:
    # Of the layer above: it is there when a derivative is asked for.
    from tilewright.compiler.ops import emit

    return emit


class _Late:
    """The module `emit`, found when it is used."""

    def __getattr__(self, name: str) -> Callable[..., Value]:
        function: Callable[..., Value] = getattr(_emit(), name)
        return function


e = _Late()


def _sqrt(b: Builder, x: Value, y: Value, g: Value) -> Value:
    is_zero = e.equal(b, y, 0)
    return e.select(b, is_zero, 0, e.div(b, e.mul(b, g, 0.5), e.select(b, is_zero, 1, y)))


def _inverse_sine(b: Builder, x: Value, y: Value, g: Value) -> Value:
    return e.div(b, g, e.sqrt(b, e.sub(b, 1, e.square(b, x))))


def _inverse_tangent(b: Builder, x: Value, y: Value, g: Value) -> Value:
    return e.div(b, g, e.add(b, 1, e.square(b, x)))


def _erf(b: Builder, x: Value, y: Value, g: Value) -> Value:
    return e.mul(b, g, e.mul(b, e.exp(b, e.neg(b, e.square(b, x))), 2 / math.sqrt(math.pi)))


def _dividend(b: Builder, x: Value, z: Value, y: Value, g: Value) -> Value:
    return e.div(b, g, z)


def _divisor(b: Builder, x: Value, z: Value, y: Value, g: Value) -> Value:
    return e.neg(b, e.div(b, e.mul(b, g, y), z))


def _base(b: Builder, x: Value, z: Value, y: Value, g: Value) -> Value:
    is_singular = e.logical_and(b, e.equal(b, x, 0), e.less(b, z, 1))
    slope = e.mul(b, z, e.pow(b, e.select(b, is_singular, 1, x), e.sub(b, z, 1)))
    return e.mul(b, g, e.select(b, is_singular, 0, slope))


def _exponent(b: Builder, x: Value, z: Value, y: Value, g: Value) -> Value:
    is_positive = e.less(b, 0, x)
    slope = e.mul(b, y, e.log(b, e.select(b, is_positive, x, 1)))
    return e.mul(b, g, e.select(b, is_positive, slope, 0))


def _share(b: Builder, first: Value, second: Value, g: Value) -> Value:
    """The cotangent where the first is less than the second, half of it where they are equal, else 0."""
    half = e.select(b, e.equal(b, first, second), e.mul(b, g, 0.5), 0)
    return e.select(b, e.less(b, first, second), g, half)


def _modulus(b: Builder, x: Value, z: Value, y: Value, g: Value) -> Value:
    # y = x - z · whole, where the whole number is constant nearly everywhere.
    whole = e.round(b, e.div(b, e.sub(b, x, y), z))
    return e.neg(b, e.mul(b, g, whole))


def _same(b: Builder, x: Value, z: Value, y: Value, g: Value) -> Value:
    return g


NEG: tuple[Unary] = (lambda b, x, y, g: e.neg(b, g),)
ABS: tuple[Unary] = (lambda b, x, y, g: e.mul(b, g, e.sign(b, x)),)
EXP: tuple[Unary] = (lambda b, x, y, g: e.mul(b, g, y),)
LOG: tuple[Unary] = (lambda b, x, y, g: e.div(b, g, x),)
SQRT: tuple[Unary] = (_sqrt,)
SIN: tuple[Unary] = (lambda b, x, y, g: e.mul(b, g, e.cos(b, x)),)
COS: tuple[Unary] = (lambda b, x, y, g: e.neg(b, e.mul(b, g, e.sin(b, x))),)
TAN: tuple[Unary] = (lambda b, x, y, g: e.mul(b, g, e.add(b, 1, e.square(b, y))),)
ASIN: tuple[Unary] = (_inverse_sine,)
ACOS: tuple[Unary] = (lambda b, x, y, g: e.neg(b, _inverse_sine(b, x, y, g)),)
ATAN: tuple[Unary] = (_inverse_tangent,)
SINH: tuple[Unary] = (lambda b, x, y, g: e.mul(b, g, e.cosh(b, x)),)
COSH: tuple[Unary] = (lambda b, x, y, g: e.mul(b, g, e.sinh(b, x)),)
TANH: tuple[Unary] = (lambda b, x, y, g: e.mul(b, g, e.sub(b, 1, e.square(b, y))),)
ERF: tuple[Unary] = (_erf,)
ADD: tuple[Binary, Binary] = (_same, _same)
SUB: tuple[Binary, Binary] = (_same, lambda b, x, z, y, g: e.neg(b, g))
MUL: tuple[Binary, Binary] = (lambda b, x, z, y, g: e.mul(b, g, z), lambda b, x, z, y, g: e.mul(b, g, x))
DIV: tuple[Binary, Binary] = (_dividend, _divisor)
POW: tuple[Binary, Binary] = (_base, _exponent)
MAX: tuple[Binary, Binary] = (
    lambda b, x, z, y, g: _share(b, z, x, g),
    lambda b, x, z, y, g: _share(b, x, z, g),
)
MIN: tuple[Binary, Binary] = (
    lambda b, x, z, y, g: _share(b, x, z, g),
    lambda b, x, z, y, g: _share(b, z, x, g),
)
MOD: tuple[Binary, Binary] = (_same, _modulus)
FMOD: tuple[Binary, Binary] = (_same, _modulus)
SELECT: tuple[Callable[..., Value | None], ...] = (
    lambda b, c, x, z, y, g: None,
    lambda b, c, x, z, y, g: e.select(b, c, g, 0),
    lambda b, c, x, z, y, g: e.select(b, c, 0, g),
)
