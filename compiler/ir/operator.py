"""The interface of all operators of the IR."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.size import AnySize, Size, SizeName, evaluate
from tilewright.compiler.ir.type import TensorType

if TYPE_CHECKING:
    from tilewright.compiler.ir.build import Builder
    from tilewright.compiler.ir.function import Function, Value

Evaluate = Callable[["Function", Sequence[Array]], tuple[Array, ...]]
"""Computes a region on arrays."""
Kept = tuple["Value", ...]
"""Values of the forward computation of an equation that its derivative needs."""


@dataclass(frozen=True)
class Operator:
    """The meaning of an equation; attributes are the fields.

    An attribute is a number, a truth value, a string, None, an element type, a size, a literal, a function
    (a region of the equation), or a tuple of such.

    Members:
        name: in the text and in messages; unique.
    """

    name: ClassVar[str] = ""

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        """The types of the results.

        Raises:
            OperatorError: if it has no meaning on operands of these types.
        """
        raise NotImplementedError(self.name)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """The results in numpy; all sizes among the attributes are numbers.

        Raises:
            EvaluationError: if there are none for these arrays.
        """
        raise NotImplementedError(self.name)

    def run_regions(self, evaluate: Evaluate, *arrays: Array) -> tuple[Array, ...]:
        """As `run`, for operators with regions, which `evaluate` computes."""
        return self.run(*arrays)

    def save(self, b: "Builder", *operands: "Value") -> tuple[tuple["Value", ...], Kept]:
        """The forward computation where a derivative follows: results, and what `vjp` needs besides.

        The default keeps operands and results.
        """
        results = b.apply(self, *operands)
        return results, (*operands, *results)

    def vjp(self, b: "Builder", kept: Kept, cotangents: Sequence["Value | None"]) -> Sequence["Value | None"]:
        """The cotangent of each operand; None where it is zero.

        Args:
            b: where the equations go.
            kept: what `save` kept.
            cotangents: of each result; None where it is zero.

        Raises:
            NotImplementedError: if the operator has no derivative.
        """
        raise NotImplementedError(self.name)

    def known_results(self, *types: TensorType) -> Sequence[int | Literal] | None:
        """The results that follow from the types of the operands alone.

        Of each result the number of the operand that it equals, or a constant; None if it must be computed.
        """
        return None

    def macs(self, *types: TensorType) -> AnySize:
        """Multiply-accumulate operations on operands of these types; 0 for what multiplies no matrices."""
        return 0

    def settled(self, before: "Operator") -> tuple["Operator", Mapping[str, AnySize]]:
        """The operator once sizes in it were replaced, and those that its results need not show any more.

        Args:
            before: the operator as it was.
        """
        return self, {}

    @property
    def is_differentiable(self) -> bool:
        """Whether it has a rule for `vjp`."""
        return type(self).vjp is not Operator.vjp

    @property
    def is_pure(self) -> bool:
        """Whether equal operands give equal results, so that equal equations can be merged."""
        return True

    @cached_property
    def regions(self) -> tuple["Function", ...]:
        """The functions among its attributes."""
        from tilewright.compiler.ir.function import Function

        return tuple(leaf for leaf in self._leaves if isinstance(leaf, Function))

    @cached_property
    def literals(self) -> tuple[Literal, ...]:
        """The constant arrays among its attributes."""
        return tuple(leaf for leaf in self._leaves if isinstance(leaf, Literal))

    @cached_property
    def size_names(self) -> frozenset[str]:
        """Names of the sizes in its attributes, its regions apart."""
        return frozenset().union(*(leaf.names for leaf in self._leaves if isinstance(leaf, Size)))

    @cached_property
    def bound_names(self) -> tuple[str, ...]:
        """Names of the sizes that its results show first."""
        return tuple(str(leaf) for leaf in self._leaves if isinstance(leaf, SizeName))

    def mapped(self, change: Callable[[Any], Any]) -> "Operator":
        """The operator with each leaf of its attributes changed."""
        return replace(
            self, **{each.name: _mapped(getattr(self, each.name), change) for each in fields(self)}
        )

    def evaluated(self, bindings: "dict[str, AnySize]") -> "Operator":
        """The operator with sizes among its attributes replaced; its regions stay as they are."""
        if self.size_names.isdisjoint(bindings):
            return self
        return self.mapped(lambda leaf: evaluate(leaf, bindings) if isinstance(leaf, Size) else leaf)

    @cached_property
    def _leaves(self) -> tuple[Any, ...]:
        found: list[Any] = []
        pending = [getattr(self, each.name) for each in fields(self)]
        while pending:
            value = pending.pop(0)
            if isinstance(value, tuple):
                pending = [*value, *pending]
            else:
                found.append(value)
        return tuple(found)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, tuple):
        return tuple(_mapped(element, change) for element in value)
    return change(value)


def expect(holds: bool, message: str) -> None:
    """Raises OperatorError with that message unless the condition holds."""
    if not holds:
        raise OperatorError(message)


def expect_operands(types: Sequence[TensorType], *names: str) -> None:
    """Raises OperatorError unless there are as many operands as names."""
    expect(
        len(types) == len(names), f"must have {len(names)} operands ({', '.join(names)}), not {len(types)}"
    )


def expect_axis(what: str, axis: int, rank: int) -> None:
    """Raises OperatorError unless the axis is one of a tensor of that rank, counted from 0."""
    is_good = isinstance(axis, int) and not isinstance(axis, bool) and 0 <= axis < rank
    expect(is_good, f"{what} must be an axis from 0 to {rank - 1}, not {axis!r}")
