"""Functions as text, which `parse` reads back."""

import json
from dataclasses import fields
from typing import Any

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.deep import deeply
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import Size

INDENT = "    "
_MOST_INDENTS = 16
"""The largest indentation: else the text of deep regions would grow with the square of their depth."""
INLINE_ELEMENTS = 16
"""Literals of more elements are named by their digest; `tensors_of` has them."""


def print_module(module: Module) -> str:
    """All functions of a module, main first."""
    rest = [each for name, each in module.functions.items() if name != "main"]
    first = [module.functions["main"]] if "main" in module.functions else []
    return "\n".join(print_function(each) for each in (*first, *rest))


def print_function(function: Function) -> str:
    """A line for each equation; regions stand inside of them, indented."""
    writer = _Writer()
    deeply(function.depth, lambda: writer.function(function, 0))
    return "".join(writer.pieces) + "\n"


def tensors_of(program: Function | Module) -> dict[str, Literal]:
    """The literals that the text names by their digest."""
    found: dict[str, Literal] = {}
    pending = [program] if isinstance(program, Function) else list(program)
    while pending:
        for equation in pending.pop().equations:
            pending += equation.operator.regions
            for literal in equation.operator.literals:
                if literal.array.size > INLINE_ELEMENTS:
                    found[literal.digest] = literal
    return found


class _Writer:
    """Collects pieces of text: joined once, so that deep functions take linear time."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def function(self, function: Function, level: int) -> None:
        parameters = ", ".join(_typed(value) for value in function.parameters)
        self.pieces.append(f"function {function.name}({parameters}) {{\n")
        indent = INDENT * min(level + 1, _MOST_INDENTS)
        for equation in function.equations:
            self.pieces.append(indent)
            self._equation(equation, level + 1)
            self.pieces.append("\n")
        self.pieces.append(f"{indent}return {_values(function.results)}".rstrip())
        self.pieces.append(f"\n{INDENT * min(level, _MOST_INDENTS)}}}")

    def _equation(self, equation: Equation, level: int) -> None:
        head = f"{_values(equation.results)} = {equation.operator.name}({_values(equation.operands)})"
        self.pieces.append(head.lstrip())
        self._attributes(equation.operator, level)
        types = ", ".join(str(value.type) for value in equation.results)
        self.pieces.append(f": {types}".rstrip())
        if equation.labels:
            self.pieces.append(f" as {', '.join(json.dumps(label) for label in equation.labels)}")

    def _attributes(self, operator: Operator, level: int) -> None:
        for position, each in enumerate(fields(operator)):
            self.pieces.append(f"{', ' if position else ' {'}{each.name}=")
            self.attribute(getattr(operator, each.name), level)
        if fields(operator):
            self.pieces.append("}")

    def attribute(self, value: Any, level: int = 0) -> None:
        """An attribute as the parser reads it.

        Raises:
            TypeError: if it is none.
        """
        if isinstance(value, Function):
            self.function(value, level)
        elif isinstance(value, tuple):
            self.pieces.append("(")
            for position, each in enumerate(value):
                self.pieces.append(", " if position else "")
                self.attribute(each, level)
            self.pieces.append(",)" if len(value) == 1 else ")")
        else:
            self.pieces.append(_leaf(value))


def _leaf(value: Any) -> str:
    match value:
        case DType():
            return value.short
        case Literal():
            return _literal(value)
        case Size():
            return str(value)
        case str():
            return json.dumps(str(value))
        case bool() | int() | float() | None:
            return repr(value)
    raise TypeError(f"an attribute must not be {value!r}")


def _literal(literal: Literal) -> str:
    if literal.array.size > INLINE_ELEMENTS:
        return f"{literal.type} @{literal.digest}"
    return f"{literal.type} {json.dumps(literal.array.ravel().tolist())}"


def _typed(value: Value) -> str:
    return f"{value}: {value.type}"


def _values(values: tuple[Value, ...]) -> str:
    return ", ".join(str(value) for value in values)
