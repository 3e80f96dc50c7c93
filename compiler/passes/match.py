"""Terms with holes, matched with terms: products and sums in any order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tilewright.compiler.passes.term import Term, Terms, rounded

SENTINEL = 0.0123456789
"""A summand that stands in a pattern for a number to be found."""


@dataclass(frozen=True)
class Hole:
    """A place of a pattern: any term fits, and the same one wherever it stands."""

    index: int


Found = Mapping[Hole | None, Term | float]
"""The term in each hole; under None the number."""
Parts = tuple[tuple[Term, float], ...]
"""Of a sum or a product: terms with factors or powers."""


@dataclass(frozen=True)
class Matcher:
    """Matches terms that were made by the same `Terms`."""

    terms: Terms

    def match(self, pattern: Term, subject: Term, found: Found) -> Iterator[Found]:
        """Every way in which the pattern is the subject, given what was found so far."""
        hole = _hole(pattern)
        if hole is not None:
            if found.get(hole, subject) is subject:
                yield {**found, hole: subject}
        elif pattern is subject:
            yield found
        elif pattern.kind == subject.kind and pattern.kind != "leaf":
            yield from self._node(pattern, subject, found)

    def _node(self, pattern: Term, subject: Term, found: Found) -> Iterator[Found]:
        if pattern.kind == "operator":
            if pattern.head == subject.head and len(pattern.parts) == len(subject.parts):
                yield from self._row(pattern.parts, subject.parts, found)
            return
        is_sum, number = pattern.kind == "sum", 0.0
        if is_sum and rounded(pattern.number) == rounded(SENTINEL):
            if found.get(None, subject.number) != subject.number:
                return
            found = {**found, None: subject.number}
        elif is_sum:
            number = subject.number - pattern.number
        else:
            number = subject.number / pattern.number
        yield from _Bag(self, is_sum).match(pattern.parts, subject.parts, number, found)

    def _row(self, pattern: Parts, subject: Parts, found: Found) -> Iterator[Found]:
        """Operands in their order."""
        if not pattern:
            yield found
            return
        for each in self.match(pattern[0][0], subject[0][0], found):
            yield from self._row(pattern[1:], subject[1:], each)


@dataclass(frozen=True)
class _Bag:
    """Matches the parts of products, or of sums, in any order.

    The most specific parts are matched first, and an open hole takes the rest. The number that the parts of
    the pattern leave must be that of the terms in the holes.
    """

    matcher: Matcher
    is_sum: bool

    def match(self, pattern: Parts, subject: Parts, number: float, found: Found) -> Iterator[Found]:
        """Every way in which parts of the pattern are those of the subject."""
        if not pattern:
            if not subject and rounded(number) == (0.0 if self.is_sum else 1.0):
                yield found
            return
        position = min(range(len(pattern)), key=lambda position: _vagueness(pattern[position][0], found))
        (term, times), rest = pattern[position], (*pattern[:position], *pattern[position + 1 :])
        hole = _hole(term)
        if hole is None:
            for index, (other, factor) in enumerate(subject):
                if rounded(factor) == rounded(times):
                    for each in self.matcher.match(term, other, found):
                        yield from self.match(rest, (*subject[:index], *subject[index + 1 :]), number, each)
        elif hole in found:
            inside = found[hole]
            assert isinstance(inside, Term)
            own, parts = self._apart(inside, times)
            left = _without(subject, parts)
            if left is not None and (self.is_sum or own):
                yield from self.match(rest, left, number - own if self.is_sum else number / own, found)
        elif not rest:
            joined = self._joined(subject, times, number)
            if joined is not None:
                yield {**found, hole: joined}

    def _apart(self, term: Term, times: float) -> tuple[float, Parts]:
        """The number and the parts that a term adds to a sum, or a product, with that factor or power."""
        if self.is_sum:
            whole = self.matcher.terms.sum((term, times), (self.matcher.terms.leaf(None), 1.0))
        else:
            whole = self.matcher.terms.product((term, int(times)), (self.matcher.terms.leaf(None), 1))
        # With a leaf beside it, the whole is a sum or product in any case.
        mark = self.matcher.terms.leaf(None)
        return whole.number, tuple(part for part in whole.parts if part[0] is not mark)

    def _joined(self, parts: Parts, times: float, number: float) -> Term | None:
        """The term that fills a hole of that factor, or power, alone."""
        terms = self.matcher.terms
        if not parts:
            return None
        if self.is_sum:
            summands = ((each, factor / times) for each, factor in parts)
            return terms.sum((terms.number(number / times), 1.0), *summands)
        if any(power % times for _, power in parts) or (times != 1 and rounded(number) != 1.0):
            return None
        return terms.product(
            (terms.number(number), 1), *((each, int(power / times)) for each, power in parts)
        )


def _hole(term: Term) -> Hole | None:
    return term.head if isinstance(term.head, Hole) else None


def _vagueness(term: Term, found: Found) -> int:
    """The order of matching: nodes, then holes that are filled, then open holes."""
    hole = _hole(term)
    return 0 if hole is None else 1 if hole in found else 2


def _without(parts: Parts, taken: Parts) -> Parts | None:
    """The other parts; None if one is not among them."""
    left = list(parts)
    for term, times in taken:
        index = next(
            (
                position
                for position, (each, own) in enumerate(left)
                if each is term and rounded(own) == rounded(times)
            ),
            None,
        )
        if index is None:
            return None
        del left[index]
    return tuple(left)
