"""Terms with holes, matched with terms: products and sums in any order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tilewright.compiler.passes.term import Term, Terms, rounded

SENTINEL = 0.0123456789
"""Stands in a pattern for a number that is to be found, as a summand."""


@dataclass(frozen=True)
class Hole:
    """A place of a pattern: any term fits, and the same one wherever it stands."""

    index: int


Found = Mapping[Hole | None, Term | float]
"""What stands in each hole; under None the number."""
_Parts = tuple[tuple[Term, float], ...]


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
        elif pattern.kind == "sum" and rounded(pattern.number) == rounded(SENTINEL):
            if found.get(None, subject.number) == subject.number:
                yield from self._bag(pattern, pattern.parts, subject.parts, {**found, None: subject.number})
        elif rounded(pattern.number) == rounded(subject.number):
            yield from self._bag(pattern, pattern.parts, subject.parts, found)

    def _row(self, pattern: _Parts, subject: _Parts, found: Found) -> Iterator[Found]:
        """Operands in their order."""
        if not pattern:
            yield found
            return
        for each in self.match(pattern[0][0], subject[0][0], found):
            yield from self._row(pattern[1:], subject[1:], each)

    def _bag(self, node: Term, pattern: _Parts, subject: _Parts, found: Found) -> Iterator[Found]:
        """Parts in any order: what says most first, an open hole takes what is left."""
        if not pattern:
            if not subject:
                yield found
            return
        place = min(range(len(pattern)), key=lambda place: _vagueness(pattern[place][0], found))
        (term, times), rest = pattern[place], (*pattern[:place], *pattern[place + 1 :])
        hole = _hole(term)
        if hole is not None and hole not in found and not rest:
            left = self._joined(node, subject, times)
            if left is not None:
                yield {**found, hole: left}
            return
        inside = found.get(hole) if hole is not None else None
        if isinstance(inside, Term) and node.kind == inside.kind == "product":
            remaining = _without(subject, tuple((each, power * times) for each, power in inside.parts))
            if remaining is not None:
                yield from self._bag(node, rest, remaining, found)
        for index, (other, factor) in enumerate(subject):
            if rounded(factor) == rounded(times):
                for each in self.match(term, other, found):
                    yield from self._bag(node, rest, (*subject[:index], *subject[index + 1 :]), each)

    def _joined(self, node: Term, parts: _Parts, times: float) -> Term | None:
        """The term that fills a hole of that power, or factor, alone."""
        if not parts:
            return None
        if node.kind == "sum":
            return self.terms.sum(*((each, factor / times) for each, factor in parts))
        if any(power % times for _, power in parts):
            return None
        return self.terms.product(*((each, int(power / times)) for each, power in parts))


def _hole(term: Term) -> Hole | None:
    return term.head if isinstance(term.head, Hole) else None


def _vagueness(term: Term, found: Found) -> int:
    """What is matched first: nodes, then holes that are filled, then open ones."""
    hole = _hole(term)
    return 0 if hole is None else 1 if hole in found else 2


def _without(parts: _Parts, taken: _Parts) -> _Parts | None:
    left = list(parts)
    for each in taken:
        if each not in left:
            return None
        left.remove(each)
    return tuple(left)
