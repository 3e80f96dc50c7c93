"""Derivatives of choices, loops and calls: their functions are replaced by the pullbacks of these."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.derivative.activity import floats, loop_wrt
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.operator import Kept, Operator
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.primitive.control import If, Scan, While

Pullback = Callable[[Function, Sequence[int]], Function]
Cotangents = Sequence[Value | None]
BACK = ".back"
"""The suffix of the name of a pullback, behind the function's name."""


def save(b: Builder, operator: Operator, operands: Sequence[Value]) -> tuple[tuple[Value, ...], Kept]:
    """Results, and what the derivative needs; of a loop also what is carried into each round, stacked."""
    if not isinstance(operator, Scan | While):
        return operator.save(b, *operands)
    body, first = operator.body, operator.captured
    carried = body.parameters[first : first + operator.carried]
    wide = replace(operator, body=replace(body, results=(*body.results, *carried)))
    results = b.apply(wide, *operands)
    count = len(results) - len(carried)
    return results[:count], (*operands, *results)


def vjp(
    b: Builder, operator: Operator, kept: Kept, cotangents: Cotangents, wrt: Sequence[int], back: Pullback
) -> Cotangents:
    """The cotangent of each operand; None where it is zero or not wanted.

    Args:
        b: where equations go.
        operator: the forward operator.
        kept: the values that `save` kept.
        cotangents: of its results; None where zero.
        wrt: numbers of the operands whose cotangents are wanted.
        back: makes the pullback of a function.
    """
    match operator:
        case If():
            return _choice(b, operator, kept, cotangents, wrt, back)
        case Scan():
            first = operator.captured + operator.carried
            count = len(operator.body.parameters)
            loop = _Loop(operator.body, operator.captured, operator.carried, 0, operator.reverse)
            return _loop(b, loop, kept[:first], kept[first:count], kept[count:], cotangents, wrt, back)
        case While():
            count = 1 + len(operator.body.parameters)
            loop = _Loop(operator.body, operator.captured, operator.carried, 1, False)
            inner = [index - 1 for index in wrt]
            found = _loop(b, loop, kept[1:count], (), kept[count:], cotangents, inner, back)
            return [None, *found]
        case Call():
            return _call(b, operator, kept, cotangents)
    return operator.vjp(b, kept, cotangents)


def _filled(b: Builder, values: Sequence[Value], cotangents: Cotangents) -> list[Value]:
    """The cotangents of the floats among the values, zeros in place of None."""
    pairs = zip(values, cotangents, strict=True)
    return [given or e.zeros_like(b, value) for value, given in pairs if value.type.dtype.is_float]


def _choice(
    b: Builder, operator: If, kept: Kept, cotangents: Cotangents, wrt: Sequence[int], back: Pullback
) -> Cotangents:
    """The backward choice has the same condition, and computes forward again inside of the branch."""
    count = 1 + len(operator.then.parameters)
    total = count + len(operator.orelse.parameters)
    condition, operands, results = kept[0], kept[:total], kept[total:]
    given = _filled(b, results, cotangents)

    def branch(function: Function, start: int, stop: int) -> Callable[[Builder], Sequence[Value]]:
        own = [index for index in wrt if start <= index < stop]
        pulled = back(function, [index - start for index in own])

        def body(inner: Builder) -> Sequence[Value]:
            types = [function.results[index].type for index in floats(function.results)]
            local = [e.assume(inner, x, each.shape) for x, each in zip(given, types, strict=True)]
            found = dict(zip(own, inline(inner, pulled, [*operands[start:stop], *local]), strict=True))
            return [found[i] if i in found else e.zeros_like(inner, operands[i]) for i in wrt]

        return body

    found = e.if_(b, condition, branch(operator.then, 1, count), branch(operator.orelse, count, total))
    by_index = dict(zip(wrt, found, strict=True))
    return [by_index.get(index) for index in range(total)]


@dataclass(frozen=True)
class _Loop:
    """A scan or while; `first` is the index of the first carried value among the body's results."""

    body: Function
    captured: int
    carried: int
    first: int
    reverse: bool


def _loop(
    b: Builder,
    loop: _Loop,
    given: Sequence[Value],
    slices: Sequence[Value],
    results: Sequence[Value],
    cotangents: Cotangents,
    wrt: Sequence[int],
    back: Pullback,
) -> Cotangents:
    """A scan in the other order over what was carried in; it carries those of captured values, too."""
    stacks = results[len(results) - loop.carried :]
    inner = loop_wrt(loop.body, loop.captured, loop.carried, loop.first, wrt)
    before = loop.captured + loop.carried
    captured = [i for i in inner if i < loop.captured]
    carried = [i for i in inner if loop.captured <= i < before]
    sliced = [i for i in inner if i >= before]
    pulled = back(loop.body, [*captured, *carried, *sliced])
    ends = [cotangents[i - loop.captured] or e.zeros_like(b, results[i - loop.captured]) for i in carried]
    sums = [e.zeros_like(b, given[i]) for i in captured]
    outputs = list(zip(results[loop.carried :], cotangents[loop.carried :], strict=False))
    known = [index for index, (_, each) in enumerate(outputs) if each is not None]

    def body(step: Builder, *values: Value) -> Sequence[Value]:
        ended, summed = values[: len(ends)], values[len(ends) : len(ends) + len(sums)]
        rest = values[len(ends) + len(sums) :]
        carried_in, elements = rest[: len(stacks)], rest[len(stacks) : len(stacks) + len(slices)]
        of_outputs = dict(zip(known, rest[len(stacks) + len(slices) :], strict=True))
        of_carried = dict(zip(carried, ended, strict=True))
        backs: list[Value] = []
        for position in floats(loop.body.results):
            index = position - loop.first
            found = of_carried.get(loop.captured + index) if index < loop.carried else None
            found = of_outputs.get(index - loop.carried) if index >= loop.carried else found
            backs.append(found or e.zeros_like(step, _like(step, loop.body, position, carried_in, loop)))
        new = inline(step, pulled, [*given[: loop.captured], *carried_in, *elements, *backs])
        added = [e.add(step, x, y) for x, y in zip(summed, new[: len(captured)], strict=True)]
        split = len(captured) + len(carried)
        return [*new[len(captured) : split], *added, *new[split:]]

    backward = [*stacks, *slices, *(outputs[index][1] for index in known)]
    found = e.scan(b, [*ends, *sums], [x for x in backward if x is not None], body, not loop.reverse)
    by_index = dict(zip([*carried, *captured, *sliced], found, strict=True))
    return [by_index.get(index) if index in wrt else None for index in range(before + len(slices))]


def _like(step: Builder, body: Function, position: int, carried_in: Sequence[Value], loop: _Loop) -> Value:
    """A value of the type of the body's result."""
    index = position - loop.first
    if index < loop.carried:
        return carried_in[index]
    tensor = body.results[position].type
    return e.full(step, 0, tensor.dtype, tensor.shape)


def _call(b: Builder, operator: Call, kept: Kept, cotangents: Cotangents) -> Cotangents:
    """A call of the function's own pullback."""
    count = len(kept) - len(cotangents)
    operands, results = kept[:count], kept[count:]
    indices = floats(operands)
    types = [operands[index].type for index in indices]
    back = Call.of(operator.function + BACK, *types)
    found = b.apply(back, *operands, *_filled(b, results, cotangents))
    by_index = dict(zip(indices, found, strict=True))
    return [by_index.get(index) for index in range(count)]
