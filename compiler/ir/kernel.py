"""The operator that gives a part of a function to a target."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Function
from tilewright.compiler.ir.operator import Evaluate, Operator, expect
from tilewright.compiler.ir.size import Size, SizeName
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Kernel(Operator):
    """A function that a target runs as one step; its results are those of its body.

    Members:
        target: the name of the target that runs it.
        body: the function; its parameters are the operands.
        sizes: names of sizes that equations of the body show first and results show outside, in their order.
    """

    name: ClassVar[str] = "kernel"
    target: str
    body: Function
    sizes: tuple[SizeName, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(map(SizeName, self.sizes)))

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        given, expected = list(types), list(self.body.parameter_types)
        expect(
            given == expected,
            f"body takes {', '.join(map(str, expected))}, and is given {', '.join(map(str, given))}",
        )
        inner = shown_names(self.body)
        expect(
            len(inner) == len(self.sizes),
            f"results show {len(inner)} sizes of the body first, and {len(self.sizes)} have names",
        )
        outer = {name: Size.of(own) for name, own in zip(inner, self.sizes, strict=True)}
        return tuple(each.evaluate(outer) for each in self.body.result_types)

    def run_regions(self, evaluate: Evaluate, *arrays: Array) -> tuple[Array, ...]:
        return evaluate(self.body, arrays)


def shown_names(body: Function) -> list[str]:
    """Names of sizes that equations of a function show first, and its results show too."""
    shown = frozenset().union(*(each.names for each in body.result_types))
    return [name for each in body.equations for name in each.operator.bound_names if name in shown]
