"""Builds functions: types are inferred, equal equations merged, captured values listed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.error import IrError, OperatorError
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import SizeName
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class TracedRegion:
    """A traced region.

    Members:
        function: captured values are its first parameters, in the order of `captured`.
        captured: values of the functions around it.
    """

    function: Function
    captured: tuple[Value, ...]


class Builder:
    """A function while it is made.

    Args:
        name: of the function.
        parent: of the function around it, if this is a region; what the region reads of it is captured.
    """

    def __init__(self, name: str, parent: "Builder | None" = None) -> None:
        self.name = name
        self._parent = parent
        self._names: set[str] = set() if parent is None else parent._names
        self._parameters: list[Value] = []
        self._captured: dict[Value, Value] = {}
        """Of each value of the parent that is read here: the parameter that stands for it."""
        self._aliases: dict[Value, Value] = {}
        """The same for values further out."""
        self._known: set[Value] = set()
        self._equations: list[Equation] = []
        self._merged: dict[tuple[Operator, tuple[Value, ...]], int] = {}
        self._constants: dict[Value, Literal] = {}
        self._labels: tuple[str, ...] = () if parent is None else parent._labels

    # --- values ----------------------------------------------------------------------------------------

    def parameter(self, name: str, tensor: TensorType) -> Value:
        """A new parameter, called so or alike."""
        value = self._value(name, tensor)
        # No size that an equation shows first may be called like one that is there already.
        self._names.update(tensor.names)
        self._parameters.append(value)
        return value

    def constant(self, value: ArrayLike | Literal, dtype: DType | None = None) -> Value:
        """An equation without operands that gives an array."""
        literal = value if isinstance(value, Literal) else Literal.of(value, dtype)
        return self.emit(Constant(literal))

    def literal(self, value: Value) -> Literal | None:
        """The array of a value that a constant gave, here or around; None for others."""
        builder: Builder | None = self
        while builder is not None:
            found = builder._constants.get(value)
            if found is not None:
                return found
            value = next((outer for outer, inner in builder._captured.items() if inner == value), value)
            builder = builder._parent
        return None

    def producer(self, value: Value) -> Equation | None:
        """The equation of this function that gives a value; None for others."""
        return next((each for each in reversed(self._equations) if value in each.results), None)

    def fresh(self, name: str) -> str:
        """A name like that which no value of this function has; from now on it is taken."""
        plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in name) or "_"
        free = plain
        if free in self._names:
            number = len(self._names)
            while (free := f"{plain}_{number}") in self._names:
                number += 1
        self._names.add(free)
        return free

    def size_name(self, name: str) -> SizeName:
        """A name for a size that an equation shows first; no other size has it."""
        return SizeName(self.fresh(name))

    # --- equations -------------------------------------------------------------------------------------

    def apply(self, operator: Operator, *operands: Value, names: Sequence[str] = ()) -> tuple[Value, ...]:
        """The results of an operator; those that are there already, if it was applied so before.

        Args:
            operator: the operator to apply.
            operands: of this function, or of one around it.
            names: wished for the results.

        Raises:
            OperatorError: with the operator's name, if it cannot take these operands.
        """
        own = tuple(self._own(value) for value in operands)
        key = operator, own
        if operator.is_pure and key in self._merged:
            return self._reuse(self._merged[key])
        try:
            types = operator.infer(*(value.type for value in own))
        except OperatorError as error:
            raise OperatorError(f"{operator.name}: {error}") from error
        wished = [*names, *(str(len(self._names)) for _ in types)]
        results = tuple(self._value(name, tensor) for name, tensor in zip(wished, types, strict=False))
        self._merged[key] = len(self._equations)
        self._equations.append(Equation(results, operator, own, self._labels))
        if isinstance(operator, Constant):
            self._constants[results[0]] = operator.value
        return results

    def emit(self, operator: Operator, *operands: Value, name: str = "") -> Value:
        """The only result of an operator."""
        (result,) = self.apply(operator, *operands, names=(name,) if name else ())
        return result

    @contextmanager
    def label(self, *labels: str) -> Iterator[None]:
        """Give these labels to all equations made in this context."""
        before, self._labels = self._labels, labels
        try:
            yield
        finally:
            self._labels = before

    # --- functions -------------------------------------------------------------------------------------

    def region(
        self,
        name: str,
        types: Sequence[TensorType],
        body: Callable[..., Sequence[Value]],
        names: Sequence[str] = (),
    ) -> TracedRegion:
        """Traces a function inside of this one.

        Args:
            name: of the region.
            types: of its own parameters.
            body: is given its builder and its parameters, and returns its results.
            names: wished for the parameters.
        """
        inner = Builder(name, self)
        wished = [*names, *(f"{name}_{index}" for index in range(len(names), len(types)))]
        own = [inner.parameter(each, tensor) for each, tensor in zip(wished, types, strict=True)]
        results = body(inner, *own)
        function = inner.function(*results)
        return TracedRegion(function, tuple(inner._captured))

    def function(self, *results: Value) -> Function:
        """The function built so far, with these results."""
        given = tuple(self._own(value) for value in results)
        parameters = (*self._captured.values(), *self._parameters)
        return Function(self.name, parameters, tuple(self._equations), given)

    # --- details ---------------------------------------------------------------------------------------

    def _value(self, name: str, tensor: TensorType) -> Value:
        value = Value(self.fresh(name), tensor)
        self._known.add(value)
        return value

    def _own(self, value: Value) -> Value:
        """The value as this function knows it: captured, if it is of one around."""
        if value in self._known:
            return value
        if value not in self._aliases:
            if self._parent is None:
                raise IrError(f"an operand of {self.name!r} must be a value of it, and {value} is not")
            outer = self._parent._own(value)
            if outer not in self._captured:
                self._captured[outer] = self._value(value.name, value.type)
            self._aliases[value] = self._captured[outer]
        return self._aliases[value]

    def _reuse(self, position: int) -> tuple[Value, ...]:
        equation = self._equations[position]
        missing = tuple(label for label in self._labels if label not in equation.labels)
        if missing:
            self._equations[position] = replace(equation, labels=(*equation.labels, *missing))
        return equation.results


def trace(name: str, types: Sequence[TensorType], body: Callable[..., Sequence[Value]]) -> Function:
    """The function that a Python function builds on parameters of these types.

    Args:
        name: of the function.
        types: of its parameters.
        body: is given the builder and the parameters, and returns the results.
    """
    b = Builder(name)
    parameters = [b.parameter(f"x{index}", tensor) for index, tensor in enumerate(types)]
    return b.function(*body(b, *parameters))
