"""Steps of an optimiser on what no single rate suits: weights of all sizes, and numbers above 0."""

from dataclasses import dataclass
from typing import Protocol

from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e
from tilewright.compiler.training.adam import Adam, Moments


class Optimiser(Protocol):
    """Changes one weight in a step; `Adam.step` has the arguments."""

    def step(
        self, b: Builder, weight: Value, gradient: Value, moments: Moments, rate: Value, number: Value
    ) -> tuple[Value, Moments]:
        """The weight and its moments behind a step."""


@dataclass(frozen=True)
class InUnits:
    """Adam on a weight divided by a unit: the rate is a share of the unit.

    Members:
        adam: on the quotient.
        unit: positive, float32; it broadcasts over the weight.
    """

    adam: Adam
    unit: Literal

    def step(
        self, b: Builder, weight: Value, gradient: Value, moments: Moments, rate: Value, number: Value
    ) -> tuple[Value, Moments]:
        """As of `Optimiser`."""
        unit = b.constant(self.unit)
        scaled = e.mul(b, gradient, unit)
        return self.adam.step(b, weight, scaled, moments, e.mul(b, rate, unit), number)


@dataclass(frozen=True)
class Multiplicative:
    """Adam on the logarithm of numbers above 0, which are kept as they are: the rate is a share of them.

    Members:
        adam: on the logarithm.
        low, high: float32 of the shape of the numbers: between these they stay.
    """

    adam: Adam
    low: Literal
    high: Literal

    def step(
        self, b: Builder, weight: Value, gradient: Value, moments: Moments, rate: Value, number: Value
    ) -> tuple[Value, Moments]:
        """As of `Optimiser`."""
        relative = e.mul(b, gradient, weight)
        change, after = self.adam.step(b, e.zeros_like(b, weight), relative, moments, rate, number)
        moved = e.mul(b, weight, e.exp(b, change))
        return e.maximum(b, e.minimum(b, moved, b.constant(self.high)), b.constant(self.low)), after
