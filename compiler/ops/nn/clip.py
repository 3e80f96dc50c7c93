"""Limits, as one operator."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ops.nn import activation


@dataclass(frozen=True)
class Clip(Composite):
    """min(max(x, low), high) of floats, of any shape; a bound may be infinite, and (0, ∞) is ReLU."""

    name: ClassVar[str] = "clip"
    low: float
    high: float

    def __post_init__(self) -> None:
        expect(self.low <= self.high, f"low must be at most high, not {self.low} > {self.high}")

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        (x,) = operands
        return (activation.clip(b, x, self.low, self.high),)
