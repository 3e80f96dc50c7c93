"""Sizes that are not known yet: polynomials over names, in a normal form that decides equality."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from tilewright.compiler.ir.error import IrError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""The names that sizes may have."""


class SizeName(str):
    """A field of an operator that names a size which its result shows first."""

    __slots__ = ()


@dataclass(frozen=True)
class Quotient:
    """`of // by`, rounded down: an atom of a size, since it is no polynomial."""

    of: "Size"
    by: int

    def __str__(self) -> str:
        text = str(self.of)
        return f"({text}//{self.by})" if NAME.fullmatch(text) else f"(({text})//{self.by})"


Atom = str | Quotient
Monomial = tuple[Atom, ...]
"""A product of atoms, sorted; the empty one is 1."""


@dataclass(frozen=True)
class Size:
    """A polynomial with integer coefficients over names and quotients; never a plain integer.

    Members:
        terms: each product of atoms with its factor, which is not 0, in one order: equal sizes that arise
            in different ways are equal values.
    """

    terms: tuple[tuple[Monomial, int], ...]

    @staticmethod
    def of(name: str) -> "Size":
        """The size of that name.

        Raises:
            IrError: if it is not an identifier.
        """
        if not NAME.fullmatch(name):
            raise IrError(f"the name of a size must be an identifier, not {name!r}")
        return Size((((name,), 1),))

    @cached_property
    def names(self) -> frozenset[str]:
        """Of the sizes that it depends on."""
        atoms = chain.from_iterable(monomial for monomial, _ in self.terms)
        return frozenset(
            chain.from_iterable((atom,) if isinstance(atom, str) else atom.of.names for atom in atoms)
        )

    @property
    def name(self) -> str | None:
        """Its name, if it is nothing but a name."""
        match self.terms:
            case (((str() as name,), 1),):
                return name
        return None

    def evaluate(self, bindings: Mapping[str, "int | Size"]) -> "int | Size":
        """The size with names replaced; those without a binding stay."""
        if self.names.isdisjoint(bindings):
            return self
        total: int | Size = 0
        for monomial, factor in self.terms:
            product: int | Size = factor
            for atom in monomial:
                product = product * _atom(atom, bindings)
            total = total + product
        return total

    def __add__(self, other: "int | Size") -> "int | Size":
        return _normal(chain(self.terms, _terms(other)))

    def __radd__(self, other: int) -> "int | Size":
        return self + other

    def __neg__(self) -> "int | Size":
        return self * -1

    def __sub__(self, other: "int | Size") -> "int | Size":
        return self + (-1) * other

    def __rsub__(self, other: int) -> "int | Size":
        return self * -1 + other

    def __mul__(self, other: "int | Size") -> "int | Size":
        return _normal(
            (tuple(sorted((*left, *right), key=str)), factor * times)
            for left, factor in self.terms
            for right, times in _terms(other)
        )

    def __rmul__(self, other: int) -> "int | Size":
        return self * other

    def __floordiv__(self, by: int) -> "int | Size":
        """The quotient, rounded down; terms that are known multiples of `by` are divided out.

        Raises:
            IrError: unless `by` is positive.
        """
        if not isinstance(by, int) or by < 1:
            raise IrError(f"a size must be divided by a positive integer, not by {by!r}")
        whole = _normal((monomial, factor // by) for monomial, factor in self.terms if factor % by == 0)
        rest = _normal((monomial, factor) for monomial, factor in self.terms if factor % by)
        if isinstance(rest, int):
            return whole + rest // by
        return whole + Size((((Quotient(rest, by),), 1),))

    def __str__(self) -> str:
        text = "+".join(_term_text(monomial, factor) for monomial, factor in self.terms)
        return text.replace("+-", "-")

    __repr__ = __str__


AnySize = int | Size


def _terms(size: AnySize) -> tuple[tuple[Monomial, int], ...]:
    return size.terms if isinstance(size, Size) else (((), int(size)),)


def _normal(terms: Iterable[tuple[Monomial, int]]) -> AnySize:
    total: dict[Monomial, int] = {}
    for monomial, factor in terms:
        total[monomial] = total.get(monomial, 0) + factor
    kept = {monomial: factor for monomial, factor in total.items() if factor}
    if not kept or kept.keys() == {()}:
        return kept.get((), 0)
    # Names first, the constant last, as one writes it.
    return Size(tuple(sorted(kept.items(), key=lambda term: (not term[0], str(term[0])))))


def _atom(atom: Atom, bindings: Mapping[str, AnySize]) -> AnySize:
    if isinstance(atom, str):
        return bindings[atom] if atom in bindings else Size.of(atom)
    return atom.of.evaluate(bindings) // atom.by


def _term_text(monomial: Monomial, factor: int) -> str:
    atoms = "*".join(str(atom) for atom in monomial)
    if not monomial:
        return str(factor)
    return atoms if factor == 1 else f"-{atoms}" if factor == -1 else f"{factor}*{atoms}"


def evaluate(size: AnySize, bindings: Mapping[str, AnySize]) -> AnySize:
    """A size, or a number, with names replaced."""
    return size.evaluate(bindings) if isinstance(size, Size) else size


def product(sizes: Iterable[AnySize]) -> AnySize:
    """Of all sizes; 1 of none."""
    total: AnySize = 1
    for size in sizes:
        total = total * size
    return total


def quotient(total: AnySize, by: AnySize) -> AnySize | None:
    """The size that `by` must be multiplied with to give `total`; None if no size is known to.

    A symbolic size is taken to be a multiple of any number, and rounded down.
    """
    if total == by:
        return 1
    if isinstance(by, int):
        is_exact = by > 0 and (isinstance(total, Size) or total % by == 0)
        return total // by if is_exact else None
    atoms = sorted({atom for monomial, _ in by.terms for atom in monomial}, key=str)

    def order(term: tuple[Monomial, int]) -> tuple[int, list[int]]:
        # One that products keep, so that what is left falls with each step.
        return len(term[0]), [term[0].count(atom) for atom in atoms]

    divisor, factor = max(by.terms, key=order)
    result: AnySize = 0
    rest = total
    while isinstance(rest, Size):
        monomial, times = max(rest.terms, key=order)
        left = _without(monomial, divisor)
        if left is None or times % factor:
            return None
        part = _normal([(left, times // factor)])
        result, rest = result + part, rest - part * by
    return result if rest == 0 else None


def _without(monomial: Monomial, divisor: Monomial) -> Monomial | None:
    """The other factors of a product; None if the divisor is not among them."""
    rest = list(monomial)
    for atom in divisor:
        if atom not in rest:
            return None
        rest.remove(atom)
    return tuple(rest)


def linear_name(size: AnySize) -> str | None:
    """The name in a size of the form a·name + b, whose number tells it; None for another form."""
    if not isinstance(size, Size):
        return None
    products = [monomial for monomial, _ in size.terms if monomial]
    match products:
        case [(str() as name,)]:
            return name
    return None


def solve(size: AnySize, value: int) -> tuple[str, int] | None:
    """The name and number for which a size a·name + b has that value; None if it has another form.

    Raises:
        IrError: if the form is right and no whole number fits.
    """
    name = linear_name(size)
    if name is None or not isinstance(size, Size):
        return None
    terms = dict(size.terms)
    factor, rest = terms[(name,)], value - terms.get((), 0)
    if rest % factor:
        raise IrError(f"a size of {value} must be {size} for a whole {name}, and is not")
    return name, rest // factor
