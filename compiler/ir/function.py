"""Functions of equations: A-normal form, with functions inside of operators for control flow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor with a name, which is unique in its function; operands are values, not names."""

    name: str
    type: TensorType

    def __str__(self) -> str:
        return f"%{self.name}"


@dataclass(frozen=True, slots=True)
class Equation:
    """An operator applied to values.

    Members:
        results: the values that it defines.
        operator: the operator that is applied.
        operands: parameters of the function, or results of equations before.
        labels: the nodes of the model that it came from, for reports; merged equations have several.
    """

    results: tuple[Value, ...]
    operator: Operator
    operands: tuple[Value, ...]
    labels: tuple[str, ...] = ()

    @property
    def result(self) -> Value:
        """The only one."""
        (result,) = self.results
        return result

    @property
    def label(self) -> str:
        """For messages: its labels, or the name of its first result."""
        return ", ".join(self.labels) or (self.results[0].name if self.results else self.operator.name)


@dataclass(frozen=True)
class Function:
    """A function of equations.

    Members:
        name: for messages and calls.
        parameters: what it is applied to.
        equations: in an order in which each follows those whose results it reads.
        results: parameters or results of equations; a value may be there twice.
        depth: of regions inside of each other, 0 without any.
    """

    name: str
    parameters: tuple[Value, ...]
    equations: tuple[Equation, ...]
    results: tuple[Value, ...]
    depth: int = field(init=False, compare=False, repr=False)
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        inner = [region.depth + 1 for equation in self.equations for region in equation.operator.regions]
        object.__setattr__(self, "depth", max(inner, default=0))
        # Now, while regions have theirs: later it would recurse through all levels.
        parts = (self.name, self.parameters, self.equations, self.results)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def producers(self) -> Mapping[Value, Equation]:
        """The equation that defines each value that is no parameter."""
        return MappingProxyType({value: each for each in self.equations for value in each.results})

    @cached_property
    def consumers(self) -> Mapping[Value, tuple[Equation, ...]]:
        """The equations that read each value; a result of the function is read by nobody for that reason."""
        readers: dict[Value, list[Equation]] = {}
        for equation in self.equations:
            for value in dict.fromkeys(equation.operands):
                readers.setdefault(value, []).append(equation)
        return MappingProxyType({value: tuple(each) for value, each in readers.items()})

    @property
    def parameter_types(self) -> tuple[TensorType, ...]:
        """Of the parameters."""
        return tuple(value.type for value in self.parameters)

    @property
    def result_types(self) -> tuple[TensorType, ...]:
        """Of the results."""
        return tuple(value.type for value in self.results)

    @cached_property
    def size_names(self) -> tuple[str, ...]:
        """Names of sizes in the types of the parameters, in their order."""
        return tuple(dict.fromkeys(name for each in self.parameters for name in sorted(each.type.names)))


@dataclass(frozen=True)
class Module:
    """Functions that may call each other, recursively too; `main` is the one that users call.

    Members:
        functions: by name.
    """

    functions: Mapping[str, Function]

    def __post_init__(self) -> None:
        object.__setattr__(self, "functions", MappingProxyType(dict(self.functions)))

    @staticmethod
    def of(*functions: Function) -> "Module":
        """The module of these; the first one is called main if none is."""
        return Module({each.name: each for each in functions})

    @property
    def main(self) -> Function:
        """The function that users call."""
        return self.functions["main"]

    def __iter__(self) -> Iterator[Function]:
        return iter(self.functions.values())
