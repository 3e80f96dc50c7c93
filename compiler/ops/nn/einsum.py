"""Sums of products by index letters."""

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ops import emit as e


def einsum(b: Builder, equation: str, *operands: Value) -> Value:
    """numpy.einsum of one or two operands; `...` stands for axes in front, which broadcast.

    Raises:
        OperatorError: if the equation does not fit the operands.
    """
    left, _, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    expect(len(terms) == len(operands), f"equation {equation!r} must have {len(operands)} terms")
    widest = max(
        (x.type.rank - len(t.replace("...", "")) for t, x in zip(terms, operands, strict=True)), default=0
    )
    dots = "".join(chr(ord("0") + place) for place in range(widest)) if "..." in left else ""
    terms = [_named(term, dots, x.type.rank) for term, x in zip(terms, operands, strict=True)]
    letters = "".join(terms)
    if "->" in equation:
        result = right.replace("...", dots)
    else:
        result = dots + "".join(sorted(each for each in set(letters) - set(dots) if letters.count(each) == 1))
    expect(set(result) <= set(letters), f"equation {equation!r} must name the result's letters on its left")
    plain = [_diagonal(b, term, x) for term, x in zip(terms, operands, strict=True)]
    if len(plain) == 1:
        term, x = plain[0]
        return _arranged(b, term, x, result)
    return _product(b, plain[0], plain[1], result)


def _named(term: str, dots: str, rank: int) -> str:
    if "..." not in term:
        expect(len(term) == rank, f"{term!r} must have {rank} letters")
        return term
    count = rank - len(term.replace("...", ""))
    expect(0 <= count <= len(dots), f"{term!r} must have at most {rank} letters")
    return term.replace("...", dots[len(dots) - count :])


def _diagonal(b: Builder, term: str, x: Value) -> tuple[str, Value]:
    """An operand whose letters differ: of one that is there twice, the diagonal."""
    for letter in term:
        while term.count(letter) > 1:
            one, other = term.index(letter), term.rindex(letter)
            rows = e.iota(b, DType.INT64, x.type.shape, one)
            columns = e.iota(b, DType.INT64, x.type.shape, other)
            kept = e.select(b, e.equal(b, rows, columns), x, e.zeros_like(b, x))
            x = e.reduce_sum(b, kept, (other,))
            term = term[:other] + term[other + 1 :]
    return term, x


def _arranged(b: Builder, term: str, x: Value, result: str) -> Value:
    summed = tuple(axis for axis, letter in enumerate(term) if letter not in result)
    x = e.reduce_sum(b, x, summed) if summed else x
    kept = [letter for letter in term if letter in result]
    return e.transpose(b, x, tuple(kept.index(letter) for letter in result))


def _product(b: Builder, one: tuple[str, Value], other: tuple[str, Value], result: str) -> Value:
    (s, x), (t, y) = one, other
    shared = [letter for letter in s if letter in t]
    sums = [letter for letter in shared if letter not in result]
    batch = [letter for letter in shared if letter in result]
    sizes = [(x.type.shape[s.index(each)], y.type.shape[t.index(each)]) for each in shared]
    if any(mine != theirs for mine, theirs in sizes):
        return _broadcast_product(b, one, other, result)
    product = e.dot(
        b, x, y,
        tuple(s.index(letter) for letter in sums), tuple(t.index(letter) for letter in sums),
        tuple(s.index(letter) for letter in batch), tuple(t.index(letter) for letter in batch),
    )  # fmt: skip
    rest = [letter for letter in s if letter not in shared] + [letter for letter in t if letter not in shared]
    return _arranged(b, "".join([*batch, *rest]), product, result)


def _broadcast_product(b: Builder, one: tuple[str, Value], other: tuple[str, Value], result: str) -> Value:
    """Where axes of size 1 stretch: elementwise over all letters, then summed."""
    letters = "".join(dict.fromkeys(one[0] + other[0]))
    wide = []
    for term, x in (one, other):
        kept = [letter for letter in letters if letter in term]
        moved = e.transpose(b, x, tuple(term.index(letter) for letter in kept))
        missing = tuple(axis for axis, letter in enumerate(letters) if letter not in term)
        wide.append(e.expand_dims(b, moved, missing))
    return _arranged(b, letters, e.mul(b, wide[0], wide[1]), result)
