"""The dependences between the equations of a function."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.prune import sizes_of
from tilewright.compiler.ir.size import evaluate, product
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Dependence:
    """Equations by number. Equations of constants alone are *sources*, not steps: each reader has a copy.

    Members:
        function: whose equations they are.
    """

    function: Function

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Numbers of the equations that are no sources, in their order."""
        return tuple(
            number for number, each in enumerate(self.function.equations) if each not in self.sources
        )

    @cached_property
    def sources(self) -> frozenset[Equation]:
        """Equations that read nothing but each other: neither values nor sizes that others show first.

        Nor do they show a size first, or run functions.
        """
        sizes, found = set(self.function.size_names), dict[Value, Equation]()
        for each in self.function.equations:
            operator = each.operator
            is_plain = operator.is_pure and not operator.bound_names and not operator.regions
            if is_plain and operator.size_names <= sizes and all(value in found for value in each.operands):
                found.update(dict.fromkeys(each.results, each))
        return frozenset(found.values())

    @cached_property
    def before(self) -> tuple[tuple[int, ...], ...]:
        """The steps whose results, or whose sizes, each equation needs."""
        made: dict[object, int] = {}
        for number in self.steps:
            equation = self.function.equations[number]
            made.update(dict.fromkeys(equation.results, number))
            made.update(dict.fromkeys(equation.operator.bound_names, number))
        return tuple(
            tuple(sorted({made[key] for key in (*each.operands, *sizes_of(each)) if key in made} - {number}))
            for number, each in enumerate(self.function.equations)
        )

    @cached_property
    def has_macs(self) -> tuple[bool, ...]:
        """Whether each equation multiplies matrices."""
        return tuple(
            each.operator.macs(*(value.type for value in each.operands)) != 0
            for each in self.function.equations
        )

    def crossing_bytes(self, sides: Sequence[int]) -> int:
        """Bytes of values that are read on another side than they are made; symbolic sizes count as 1.

        Between targets values are floats: one of bytes counts as the floats that it stands for, so that no
        quantisation is parted from its inverse to save some.
        """
        return sum(
            size * len({sides[reader] for reader in readers} - {sides[number]})
            for number, size, readers in self._read_values
        )

    @cached_property
    def _read_values(self) -> tuple[tuple[int, int, tuple[int, ...]], ...]:
        """Of each value that others read: the step that makes it, its bytes, and the steps that read it."""
        readers: dict[Value, list[int]] = {}
        for number in self.steps:
            for value in self.function.equations[number].operands:
                readers.setdefault(value, []).append(number)
        return tuple(
            (number, _bytes(value.type), tuple(readers[value]))
            for number in self.steps
            for value in self.function.equations[number].results
            if value in readers
        )


def _bytes(tensor: TensorType) -> int:
    size = evaluate(product(tensor.shape), dict.fromkeys(tensor.names, 1))
    return max(tensor.dtype.size_bytes, DType.FLOAT32.size_bytes) * (size if isinstance(size, int) else 1)
