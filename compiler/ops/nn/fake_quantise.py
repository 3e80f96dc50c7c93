"""What integers leave of floats, in floats: rounding that training can pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, expect
from tilewright.compiler.ops import emit as e


@dataclass(frozen=True)
class FakeQuantise(Composite):
    """x / scale, rounded half to even and limited, times the scale: float32, of the shape of x.

    The scale is positive, and broadcasts over x. The bits are those of `Quantise` and `Dequantise` with the
    same scale, whose integers less the zero point are limited here.

    The derivative takes rounding for the identity within the limits (Bengio, Léonard, Courville: Estimating
    or Propagating Gradients Through Stochastic Neurons, 2013). That of the scale is the residual of rounding,
    or the limit outside of it, divided by √(n · q) with n elements a scale and the largest integer q (Esser
    et al.: Learned Step Size Quantization, 2020).

    Members:
        low, high: the least and the greatest integer; 0 is between them.
    """

    name: ClassVar[str] = "fake_quantise"
    low: int
    high: int

    def __post_init__(self) -> None:
        is_range = self.low <= 0 <= self.high and self.low < self.high
        expect(is_range, f"0 must lie between low and high, which differ: not {self.low}, {self.high}")

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        x, scale = operands
        rounded = e.round(b, e.div(b, x, scale))
        return (e.mul(b, self._limited(b, rounded), scale),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        x, scale, _ = kept
        (cotangent,) = cotangents
        if cotangent is None:
            return [None, None]
        steps = e.div(b, x, scale)
        inside = e.equal(b, self._limited(b, steps), steps)
        passed = e.select(b, inside, cotangent, e.zeros_like(b, x))
        # Outside the steps are a limit, which is a whole number: what is left of rounding it is the limit.
        residual = e.sub(b, self._limited(b, e.round(b, steps)), e.select(b, inside, steps, 0.0))
        return [passed, self._of_scale(b, e.mul(b, residual, cotangent), scale)]

    def _of_scale(self, b: Builder, each: Value, scale: Value) -> Value:
        """The cotangent of the scale, of those of the elements that have it."""
        own = (1,) * (each.type.rank - scale.type.rank) + scale.type.shape
        axes = [axis for axis, size in enumerate(own) if size == 1]
        total = e.reshape(b, e.reduce_sum(b, each, axes), scale.type.shape)
        elements = each.type.elements // scale.type.elements
        return e.mul(b, total, float((elements * max(-self.low, self.high)) ** -0.5))

    def _limited(self, b: Builder, steps: Value) -> Value:
        return e.maximum(b, e.minimum(b, steps, float(self.high)), float(self.low))


def fake_quantise(b: Builder, x: Value, scale: Value, low: int, high: int) -> Value:
    """x as integers of that scale give it back; arguments as for `FakeQuantise`."""
    return b.emit(FakeQuantise(low, high), x, scale)
