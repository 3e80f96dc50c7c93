"""Functions of elements that networks put behind their layers, and softmax along an axis."""

import math
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect_axis
from tilewright.compiler.ops import emit as e


@dataclass(frozen=True)
class Softmax(Composite):
    """exp(x) over the sum of its exponentials along an axis: any float type and shape, the same out."""

    name: ClassVar[str] = "softmax"
    axis: int

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        (x,) = operands
        expect_axis("axis", self.axis, x.type.rank)
        shifted = e.sub(b, x, e.reduce_max(b, x, (self.axis,), keep=True))
        powers = e.exp(b, shifted)
        return (e.div(b, powers, e.reduce_sum(b, powers, (self.axis,), keep=True)),)


@dataclass(frozen=True)
class LogSoftmax(Composite):
    """The logarithm of softmax along an axis, without taking it of small numbers."""

    name: ClassVar[str] = "log_softmax"
    axis: int

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        (x,) = operands
        expect_axis("axis", self.axis, x.type.rank)
        shifted = e.sub(b, x, e.reduce_max(b, x, (self.axis,), keep=True))
        total = e.reduce_sum(b, e.exp(b, shifted), (self.axis,), keep=True)
        return (e.sub(b, shifted, e.log(b, total)),)


@dataclass(frozen=True)
class Gelu(Composite):
    """x·Φ(x), with the normal distribution's Φ by erf, or by tanh (Hendrycks and Gimpel, 2016)."""

    name: ClassVar[str] = "gelu"
    by_tanh: bool = False

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        (x,) = operands
        if self.by_tanh:
            cube = e.mul(b, e.mul(b, x, x), x)
            inner = e.mul(b, e.add(b, x, e.mul(b, cube, 0.044715)), math.sqrt(2 / math.pi))
            share = e.tanh(b, inner)
        else:
            share = e.erf(b, e.div(b, x, math.sqrt(2)))
        return (e.mul(b, e.mul(b, x, 0.5), e.add(b, share, 1.0)),)


@dataclass(frozen=True)
class Swish(Composite):
    """x·sigmoid(alpha·x) (Ramachandran et al., 2017); SiLU for alpha 1."""

    name: ClassVar[str] = "swish"
    alpha: float = 1.0

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        (x,) = operands
        return (e.mul(b, x, e.sigmoid(b, e.mul(b, x, self.alpha))),)


@dataclass(frozen=True)
class HardSwish(Composite):
    """x·hard_sigmoid(x) with a slope of 1/6 (Howard et al., 2019)."""

    name: ClassVar[str] = "hard_swish"

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        (x,) = operands
        return (e.mul(b, x, hard_sigmoid(b, x, 1 / 6, 0.5)),)


def softmax(b: Builder, x: Value, axis: int) -> Value:
    """Softmax along an axis."""
    return b.emit(Softmax(axis), x)


def log_softmax(b: Builder, x: Value, axis: int) -> Value:
    """The logarithm of softmax along an axis."""
    return b.emit(LogSoftmax(axis), x)


def gelu(b: Builder, x: Value, by_tanh: bool = False) -> Value:
    """x·Φ(x)."""
    return b.emit(Gelu(by_tanh), x)


def hardmax(b: Builder, x: Value, axis: int) -> Value:
    """1 at the first largest element along an axis, 0 elsewhere."""
    best = e.expand_dims(b, e.argmax(b, x, axis), (axis,))
    places = e.iota(b, DType.INT64, x.type.shape, axis)
    return e.cast(b, e.equal(b, places, best), x.type.dtype)


def clip(b: Builder, x: Value, low: float, high: float) -> Value:
    """x within two bounds; where they cross, the upper one."""
    x = e.maximum(b, x, low) if low > -math.inf else x
    return e.minimum(b, x, high) if high < math.inf else x


def softsign(b: Builder, x: Value) -> Value:
    """x / (1 + |x|)."""
    return e.div(b, x, e.add(b, e.abs(b, x), 1.0))


def softplus(b: Builder, x: Value) -> Value:
    """log(1 + exp(x)), as max(x, 0) + log(1 + exp(−|x|))."""
    rest = e.log(b, e.add(b, e.exp(b, e.neg(b, e.abs(b, x))), 1.0))
    return e.add(b, e.maximum(b, x, 0.0), rest)


def hard_sigmoid(b: Builder, x: Value, alpha: float = 0.2, beta: float = 0.5) -> Value:
    """alpha·x + beta within 0 and 1."""
    return clip(b, e.add(b, e.mul(b, x, alpha), beta), 0.0, 1.0)


def hard_swish(b: Builder, x: Value) -> Value:
    """x·hard_sigmoid(x) with a slope of 1/6."""
    return b.emit(HardSwish(), x)


def mish(b: Builder, x: Value) -> Value:
    """x·tanh(softplus(x))."""
    return e.mul(b, x, e.tanh(b, softplus(b, x)))


def swish(b: Builder, x: Value, alpha: float = 1.0) -> Value:
    """x·sigmoid(alpha·x)."""
    return b.emit(Swish(alpha), x)


def asinh(b: Builder, x: Value) -> Value:
    """log(|x| + √(x² + 1)) with the sign of x."""
    size = e.abs(b, x)
    root = e.sqrt(b, e.add(b, e.mul(b, x, x), 1.0))
    return e.mul(b, e.sign(b, x), e.log(b, e.add(b, size, root)))


def acosh(b: Builder, x: Value) -> Value:
    """log(x + √(x² − 1))."""
    return e.log(b, e.add(b, x, e.sqrt(b, e.sub(b, e.mul(b, x, x), 1.0))))


def atanh(b: Builder, x: Value) -> Value:
    """½ log((1 + x) / (1 − x))."""
    ratio = e.div(b, e.add(b, x, 1.0), e.sub(b, e.full(b, 1.0, x.type.dtype, ()), x))
    return e.mul(b, e.log(b, ratio), 0.5)


def leaky_relu(b: Builder, x: Value, alpha: float = 0.01) -> Value:
    """x, or alpha·x below 0."""
    return e.select(b, e.less(b, x, 0.0), e.mul(b, x, alpha), x)


def _exponential(b: Builder, x: Value) -> Value:
    """exp(x) − 1 below 0; larger x are taken as 0."""
    return e.sub(b, e.exp(b, e.minimum(b, x, 0.0)), 1.0)


def elu(b: Builder, x: Value, alpha: float = 1.0) -> Value:
    """x, or alpha·(exp(x) − 1) below 0."""
    return e.select(b, e.less(b, x, 0.0), e.mul(b, _exponential(b, x), alpha), x)


def selu(b: Builder, x: Value, alpha: float, gamma: float) -> Value:
    """gamma·elu(x, alpha) (Klambauer et al., 2017)."""
    return e.mul(b, elu(b, x, alpha), gamma)


def celu(b: Builder, x: Value, alpha: float = 1.0) -> Value:
    """max(0, x) + min(0, alpha·(exp(x / alpha) − 1))."""
    below = e.mul(b, _exponential(b, e.div(b, x, alpha)), alpha)
    return e.add(b, e.maximum(b, x, 0.0), e.minimum(b, below, 0.0))


def thresholded_relu(b: Builder, x: Value, alpha: float = 1.0) -> Value:
    """x above alpha, else 0."""
    return e.select(b, e.greater(b, x, alpha), x, e.zeros_like(b, x))


def shrink(b: Builder, x: Value, bias: float = 0.0, lambd: float = 0.5) -> Value:
    """x − bias above lambd, x + bias below −lambd, 0 between."""
    integral = x.type.dtype.is_integer
    step = int(bias) if integral else bias
    edge = int(lambd) if integral else lambd
    below = e.select(b, e.less(b, x, -edge), e.add(b, x, step), e.zeros_like(b, x))
    return e.select(b, e.greater(b, x, edge), e.sub(b, x, step), below)
