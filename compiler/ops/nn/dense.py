"""Fully connected layers."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e


@dataclass(frozen=True)
class Dense(Composite):
    """x (N, I) times weights (O, I), plus a bias (O): (N, O)."""

    name: ClassVar[str] = "dense"

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        x, weight, bias = operands
        return (e.add(b, e.dot(b, x, weight, (1,), (1,)), bias),)
