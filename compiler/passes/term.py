"""Values as terms in a normal form: equal numbers by other arrangements of arithmetic are the same term.

Products of floats are flattened into factors and a number, sums into terms with numbers before them; a
division is a factor below the line, a power of a small whole number repeats its base, and broadcasts (and
reshapes that add axes of size 1) move to the leaves. Terms are interned: equal ones are one object. Numbers
count as equal in their first five digits, so that models may write √2 as they like.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape

_DIGITS = 5
_MOST_PARTS = 8
"""Longer sums and products stay apart: along a chain of residuals they would grow and grow."""
Factor = tuple["Term", int]
"""A factor and its power, positive or negative."""


@dataclass(eq=False)
class Term:
    """A node: of one kind, with a head that must be equal, and parts.

    Members:
        index: in the order of making.
        kind: leaf, number, product, sum or operator.
        head: the value of a leaf, the operator, or None.
        number: of a product the factor, of a sum the summand, of a number itself.
        parts: operands; of a product with powers, of a sum with factors.
    """

    index: int
    kind: str
    head: object = None
    number: float = 0.0
    parts: tuple[tuple["Term", float], ...] = ()


class Terms:
    """Makes and interns terms."""

    def __init__(self) -> None:
        self._interned: dict[tuple[object, ...], Term] = {}
        self._of: dict[Value, Term] = {}

    def of(self, function: Function, leaves: Sequence[Term] | None = None) -> dict[Value, Term]:
        """The terms of all values of a function; parameters are leaves, if no terms are given."""
        own = [self.leaf(value) for value in function.parameters] if leaves is None else leaves
        self._of = dict(zip(function.parameters, own, strict=True))
        for equation in function.equations:
            self._equation(equation)
        return self._of

    def leaf(self, head: object) -> Term:
        """A term that nothing is known of."""
        return self._make("leaf", head)

    def number(self, value: float) -> Term:
        """A number."""
        return self._make("number", None, value)

    def _make(
        self, kind: str, head: object, number: float = 0.0, parts: Iterable[tuple[Term, float]] = ()
    ) -> Term:
        ordered = tuple(parts)
        key = (kind, head, rounded(number), tuple((term.index, rounded(times)) for term, times in ordered))
        if key not in self._interned:
            self._interned[key] = Term(len(self._interned), kind, head, number, ordered)
        return self._interned[key]

    # --- equations -------------------------------------------------------------------------------------

    def _equation(self, equation: Equation) -> None:
        operator, operands = equation.operator, [self._of[value] for value in equation.operands]
        if isinstance(operator, Constant):
            self._of[equation.result] = self._constant(operator.value)
        elif len(equation.results) != 1:
            for position, value in enumerate(equation.results):
                self._of[value] = self._make("operator", (operator, position), 0.0, _once(operands))
        else:
            self._of[equation.result] = self._one(equation, operator, operands)

    def _constant(self, literal: Literal) -> Term:
        if literal.type.dtype.is_float and literal.array.size == 1:
            return self.number(float(literal.array.reshape(-1)[0]))
        return self.leaf(literal)

    def _one(self, equation: Equation, operator: Operator, operands: list[Term]) -> Term:
        axes = _new_axes(equation)
        if axes is not None:
            return self._spread(
                operands[0], equation.result.type.shape, axes, equation.operands[0].type.shape
            )
        if isinstance(operator, Map) and equation.result.type.dtype.is_float:
            return self.map(operator.function, *operands)
        return self._make("operator", operator, 0.0, _once(operands))

    def map(self, function: str, *operands: Term) -> Term:
        """A scalar function of floats."""
        match function, operands:
            case "add", (x, y):
                return self.sum((x, 1.0), (y, 1.0))
            case "sub", (x, y):
                return self.sum((x, 1.0), (y, -1.0))
            case "neg", (x,):
                return self.product((x, 1), (self.number(-1.0), 1))
            case "mul", (x, y):
                return self.product((x, 1), (y, 1))
            case "div", (x, y):
                return self.product((x, 1), (y, -1))
            case "pow", (x, Term(kind="number", number=power)) if power in (-1, 2, 3):
                return self.product((x, int(power)))
            case "pow", (x, Term(kind="number", number=power)) if power in (0.5, -0.5):
                return self.product((self.map("sqrt", x), 1 if power > 0 else -1))
            case "max" | "min", (x, y):
                operands = (x, y) if (x.kind == "number", x.index) < (y.kind == "number", y.index) else (y, x)
        return self._make("operator", function, 0.0, _once(operands))

    def product(self, *factors: Factor) -> Term:
        """The product of powers of terms."""
        number, found = 1.0, dict[tuple[Term, bool], int]()
        for term, power in factors:
            inner: list[tuple[Term, float]] = [(term, 1)]
            if term.kind == "number":
                number, inner = number * _power(term.number, power), []
            elif term.kind == "product" and len(term.parts) * abs(power) <= _MOST_PARTS:
                number, inner = number * _power(term.number, power), list(term.parts)
            for each, times in inner:
                total = int(times) * power
                # x / x is not 1 everywhere: powers above and below the line stay apart.
                key = (each, total > 0)
                found[key] = found.get(key, 0) + total
        if not found:
            return self.number(number)
        parts = [(term, float(power)) for (term, _), power in found.items()]
        if number == 1.0 and len(parts) == 1 and parts[0][1] == 1:
            return parts[0][0]
        return self._make("product", None, number, _ordered(parts))

    def sum(self, *terms: tuple[Term, float]) -> Term:
        """The sum of terms with factors."""
        number, found = 0.0, dict[Term, float]()
        for term, factor in terms:
            if term.kind == "number":
                number += term.number * factor
                continue
            inner = [(term, 1.0)]
            if term.kind == "sum" and len(term.parts) <= _MOST_PARTS:
                number, inner = number + term.number * factor, list(term.parts)
            for each, times in inner:
                base, scale = self._scaled(each)
                found[base] = found.get(base, 0.0) + times * factor * scale
        if not found:
            return self.number(number)
        if number == 0.0 and len(found) == 1:
            ((term, factor),) = found.items()
            return self.product((self.number(factor), 1), (term, 1))
        return self._make("sum", None, number, _ordered(found.items()))

    def _scaled(self, term: Term) -> tuple[Term, float]:
        """A product as its factors and its number."""
        if term.kind != "product" or term.number == 1.0:
            return term, 1.0
        if len(term.parts) == 1 and term.parts[0][1] == 1:
            return term.parts[0][0], term.number
        return self._make("product", None, 1.0, term.parts), term.number

    def _spread(
        self, term: Term, shape: tuple[AnySize, ...], axes: tuple[int, ...], inner: tuple[AnySize, ...]
    ) -> Term:
        """A term repeated along new axes, which moves to its leaves."""
        if term.kind == "number":
            return term
        if term.kind == "product":
            spread = ((self._spread(each, shape, axes, inner), int(power)) for each, power in term.parts)
            return self.product((self.number(term.number), 1), *spread)
        if term.kind == "sum":
            parts = ((self._spread(each, shape, axes, inner), factor) for each, factor in term.parts)
            return self.sum((self.number(term.number), 1.0), *parts)
        if term.kind == "operator" and isinstance(term.head, str):
            return self.map(term.head, *(self._spread(each, shape, axes, inner) for each, _ in term.parts))
        if term.kind == "operator" and isinstance(term.head, _Spread):
            ((source, _),) = term.parts
            joint = tuple(axes[axis] for axis in term.head.axes)
            return self._make("operator", _Spread(shape, joint), 0.0, [(source, 1.0)])
        own = tuple(axis for axis, size in zip(axes, inner, strict=True) if size != 1)
        return self._make("operator", _Spread(shape, own), 0.0, [(term, 1.0)])


@dataclass(frozen=True)
class _Spread:
    """A broadcast, without the axes of the operand that are 1."""

    shape: tuple[AnySize, ...]
    axes: tuple[int, ...]


def _new_axes(equation: Equation) -> tuple[int, ...] | None:
    """The axis of the result for each axis of the operand, if elements are only repeated; else None."""
    operator = equation.operator
    if isinstance(operator, Broadcast):
        return operator.axes
    if not isinstance(operator, Reshape):
        return None
    found, position = [], 0
    for size in equation.operands[0].type.shape:
        while position < len(operator.shape) and operator.shape[position] != size:
            if operator.shape[position] != 1:
                return None
            position += 1
        if position == len(operator.shape):
            return None
        found.append(position)
        position += 1
    return tuple(found) if all(size == 1 for size in operator.shape[position:]) else None


def _once(terms: Iterable[Term]) -> list[tuple[Term, float]]:
    return [(term, 1.0) for term in terms]


def _ordered(parts: Iterable[tuple[Term, float]]) -> list[tuple[Term, float]]:
    return sorted(parts, key=lambda part: (part[0].index, part[1]))


def _power(number: float, power: int) -> float:
    with np.errstate(all="ignore"):
        return float(np.float64(number) ** power)


def rounded(number: float) -> float:
    """A number in the digits that count."""
    return float(f"{number:.{_DIGITS}g}")
