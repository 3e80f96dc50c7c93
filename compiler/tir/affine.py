"""Index expressions as sums: Σ coefficient · atom + constant.

An atom is a variable, or what is no sum: a quotient, a remainder, a minimum, an element.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tilewright.compiler.tir.expr import Binary, BinaryOp, Const, Expr, Var
from tilewright.compiler.tir.value import kept
from tilewright.compiler.tir.walk import constant


@dataclass(frozen=True)
class Affine:
    """A sum; equal sums compare equal.

    Members:
        terms: atoms with coefficients, none of them 0, the largest coefficient first.
        constant: the constant summand.
    """

    terms: tuple[tuple[Expr, int], ...]
    constant: int

    @staticmethod
    def of(expr: Expr) -> "Affine":
        """The sum that an expression is."""
        return _of(expr)

    @cached_property
    def coefficients(self) -> dict[Expr, int]:
        """The coefficients of the atoms."""
        return dict(self.terms)

    @property
    def is_constant(self) -> bool:
        """Whether there are no atoms."""
        return not self.terms

    def coefficient(self, variable: str) -> int:
        """The coefficient of a variable, 0 if it is no atom."""
        return self.coefficients.get(Var(variable), 0)

    def __add__(self, other: "Affine") -> "Affine":
        total = self.constant + other.constant
        if not (self.terms and other.terms):
            return Affine(self.terms or other.terms, total)
        return _collect((*self.terms, *other.terms), total)

    def __sub__(self, other: "Affine") -> "Affine":
        return self + other.scaled(-1)

    def scaled(self, factor: int) -> "Affine":
        """This sum, `factor` times."""
        if factor == 0:
            return Affine((), 0)
        return Affine(tuple([(atom, factor * c) for atom, c in self.terms]), factor * self.constant)

    def without(self, atom: Expr) -> "Affine":
        """The sum less the term of an atom."""
        return Affine(tuple(term for term in self.terms if term[0] != atom), self.constant)

    def expr(self) -> Expr:
        """As an expression: positive terms first, the constant last unless all terms are negative."""
        result: Expr | None = None
        for atom, coefficient in sorted(self.terms, key=lambda term: term[1] < 0):
            if result is None:
                result = _first_term(atom, coefficient, self.constant)
            else:
                result = _next_term(result, atom, coefficient)
        if result is None:
            return Const(self.constant)
        return result if all(c < 0 for _, c in self.terms) else _plus(result, self.constant)


@kept
def _of(expr: Expr) -> Affine:
    """`Affine.of`, once."""
    value = constant(expr)
    if value is not None:
        return Affine((), value)
    if isinstance(expr, Binary):
        return _of_binary(expr)
    return Affine(((expr, 1),), 0)


def _of_binary(expr: Binary) -> Affine:
    if expr.op in (BinaryOp.ADD, BinaryOp.SUB):
        a, b = Affine.of(expr.a), Affine.of(expr.b)
        return a + b if expr.op is BinaryOp.ADD else a - b
    if expr.op is BinaryOp.MUL:
        a, b = Affine.of(expr.a), Affine.of(expr.b)
        if b.is_constant:
            return a.scaled(b.constant)
        if a.is_constant:
            return b.scaled(a.constant)
    return Affine(((expr, 1),), 0)


def _collect(terms: Iterable[tuple[Expr, int]], total: int) -> Affine:
    coefficients: dict[Expr, int] = {}
    for atom, coefficient in terms:
        coefficients[atom] = coefficients.get(atom, 0) + coefficient
    kept = [term for term in coefficients.items() if term[1]]
    if len(kept) > 1:
        kept.sort(key=_order)
    return Affine(tuple(kept), total)


def _order(term: tuple[Expr, int]) -> tuple[int, str]:
    atom, coefficient = term
    return -abs(coefficient), atom.name if isinstance(atom, Var) else repr(atom)


def _first_term(atom: Expr, coefficient: int, total: int) -> Expr:
    if coefficient > 0:
        return atom if coefficient == 1 else Binary(BinaryOp.MUL, Const(coefficient), atom)
    return _next_term(Const(total), atom, coefficient)


def _next_term(result: Expr, atom: Expr, coefficient: int) -> Expr:
    size = abs(coefficient)
    term = atom if size == 1 else Binary(BinaryOp.MUL, Const(size), atom)
    return Binary(BinaryOp.ADD if coefficient > 0 else BinaryOp.SUB, result, term)


def _plus(expr: Expr, value: int) -> Expr:
    if value == 0:
        return expr
    op = BinaryOp.ADD if value > 0 else BinaryOp.SUB
    return Binary(op, expr, Const(abs(value)))
