"""Normalisations: batch, instance, layer, root mean square."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.convolution import per_channel


@dataclass(frozen=True)
class LayerNorm(Composite):
    """x without its mean over the axes from `axis` on, over its deviation, times a scale, plus a bias.

    Results: y, and mean and 1 / deviation with axes of size 1, as ONNX gives them.
    """

    name: ClassVar[str] = "layer_norm"
    axis: int
    epsilon: float = 1e-5

    def define(self, b: Builder, *operands: Value) -> tuple[Value, Value, Value]:
        x, scale, *bias = operands
        axes = tuple(range(self.axis, x.type.rank))
        mean = e.mean(b, x, axes, True)
        centred = e.sub(b, x, mean)
        variance = e.mean(b, e.mul(b, centred, centred), axes, True)
        inverse = e.reciprocal(b, e.sqrt(b, e.add(b, variance, self.epsilon)))
        y = e.mul(b, e.mul(b, centred, inverse), scale)
        return e.add(b, y, bias[0]) if bias else y, mean, inverse


@dataclass(frozen=True)
class RmsNorm(Composite):
    """x over its root mean square over the axes from `axis` on, times a scale (Zhang and Sennrich, 2019)."""

    name: ClassVar[str] = "rms_norm"
    axis: int
    epsilon: float = 1e-5

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        x, scale = operands
        axes = tuple(range(self.axis, x.type.rank))
        square = e.mean(b, e.mul(b, x, x), axes, True)
        inverse = e.reciprocal(b, e.sqrt(b, e.add(b, square, self.epsilon)))
        return (e.mul(b, e.mul(b, x, inverse), scale),)


@dataclass(frozen=True)
class BatchNorm(Composite):
    """(x − mean) / √(variance + epsilon) · scale + bias, a number each channel of x (N, C, …)."""

    name: ClassVar[str] = "batch_normalisation"
    epsilon: float = 1e-5

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        x, *numbers = operands
        scale, bias, mean, variance = (per_channel(b, each, max(2, x.type.rank)) for each in numbers)
        factor = e.div(b, scale, e.sqrt(b, e.add(b, variance, self.epsilon)))
        return (e.add(b, e.mul(b, e.sub(b, x, mean), factor), bias),)


def layer_norm(
    b: Builder, x: Value, scale: Value, bias: Value | None, axis: int, epsilon: float
) -> tuple[Value, ...]:
    """y, mean and 1 / deviation; arguments as for `LayerNorm`."""
    return b.apply(LayerNorm(axis, epsilon), x, scale, *([] if bias is None else [bias]))


def rms_norm(b: Builder, x: Value, scale: Value, axis: int, epsilon: float) -> Value:
    """x over its root mean square, times a scale."""
    return b.emit(RmsNorm(axis, epsilon), x, scale)


def batch_norm(
    b: Builder, x: Value, scale: Value, bias: Value, mean: Value, variance: Value, epsilon: float
) -> Value:
    """Batch norm with statistics that are given: all but x are (C)."""
    return b.emit(BatchNorm(epsilon), x, scale, bias, mean, variance)


def batch_norm_training(
    b: Builder,
    x: Value,
    scale: Value,
    bias: Value,
    mean: Value,
    variance: Value,
    epsilon: float,
    momentum: float,
) -> tuple[Value, Value, Value]:
    """Batch norm with the batch's own statistics; running mean and variance follow by `momentum`."""
    axes = tuple(axis for axis in range(x.type.rank) if axis != 1)
    own = e.mean(b, x, axes)
    centred = e.sub(b, x, per_channel(b, own, x.type.rank))
    spread = e.mean(b, e.mul(b, centred, centred), axes)
    y = batch_norm(b, x, scale, bias, own, spread, epsilon)
    moved = [
        e.add(b, e.mul(b, old, momentum), e.mul(b, new, 1 - momentum))
        for old, new in ((mean, own), (variance, spread))
    ]
    return y, moved[0], moved[1]


def instance_norm(b: Builder, x: Value, scale: Value, bias: Value, epsilon: float) -> Value:
    """Each channel of each sample without its mean, over its deviation; scale and bias (C)."""
    axes = tuple(range(2, x.type.rank))
    centred = e.sub(b, x, e.mean(b, x, axes, True))
    variance = e.mean(b, e.mul(b, centred, centred), axes, True)
    y = e.div(b, centred, e.sqrt(b, e.add(b, variance, epsilon)))
    scaled = e.mul(b, y, per_channel(b, scale, x.type.rank))
    return e.add(b, scaled, per_channel(b, bias, x.type.rank))
