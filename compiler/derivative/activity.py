"""Which equations a derivative runs through."""

from collections.abc import Iterable, Iterator, Sequence

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import emit, inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ops.primitive.control import If, Scan, While


def flattened(function: Function) -> Function:
    """The function with the definition of each composite that has no derivative of its own in its place."""
    b = Builder(function.name)
    parameters = [b.parameter(value.name, value.type) for value in function.parameters]
    return b.function(*inline(b, function, parameters, _define))


def _define(
    b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
) -> Sequence[Value]:
    if not isinstance(operator, Composite) or operator.is_differentiable:
        return emit(b, equation, operator, operands)
    with b.label(*equation.labels):
        return inline(b, operator.expanded(*(value.type for value in operands)), operands, _define)


def varying(function: Function, wrt: Iterable[int]) -> set[Value]:
    """Floats that depend on parameters with these numbers."""
    found = {function.parameters[index] for index in wrt}
    for equation in function.equations:
        if not found.isdisjoint(equation.operands):
            found.update(value for value in equation.results if value.type.dtype.is_float)
    return found


def active(function: Function, wrt: Iterable[int]) -> set[Value]:
    """Floats that depend on parameters with these numbers, and on which a result of the function depends."""
    found = varying(function, wrt)
    useful = {value for value in function.results if value in found}
    for equation in reversed(function.equations):
        if not useful.isdisjoint(equation.results):
            useful.update(value for value in equation.operands if value in found)
    return useful


def floats(values: Sequence[Value]) -> list[int]:
    """Indices of the floats."""
    return [index for index, value in enumerate(values) if value.type.dtype.is_float]


def loop_wrt(body: Function, captured: int, carried: int, first: int, wrt: Iterable[int]) -> list[int]:
    """Numbers of the body's parameters that vary, once those with these numbers do.

    Args:
        body: of a loop.
        captured, carried: the numbers of its captured and of its carried parameters.
        first: index of the first carried value among its results.
        wrt: numbers of parameters that vary in the first round.
    """
    found = set(wrt)
    while True:
        values = varying(body, found)
        further = {captured + i for i in range(carried) if body.results[first + i] in values} - found
        if not further:
            return sorted(found)
        found |= further


def missing_rules(function: Function, wrt: Iterable[int]) -> Iterator[str]:
    """Names of operators that a derivative of a flattened function needs a rule of, and that have none."""
    useful = active(function, wrt)
    for equation in function.equations:
        if not useful.isdisjoint(equation.results):
            yield from _missing(equation, [i for i, value in enumerate(equation.operands) if value in useful])


def _missing(equation: Equation, wrt: list[int]) -> Iterator[str]:
    match equation.operator:
        case If() as choice:
            split = 1 + len(choice.then.parameters)
            yield from missing_rules(flattened(choice.then), [i - 1 for i in wrt if i < split])
            yield from missing_rules(flattened(choice.orelse), [i - split for i in wrt if i >= split])
        case Scan() as scan:
            inner = loop_wrt(scan.body, scan.captured, scan.carried, 0, wrt)
            yield from missing_rules(flattened(scan.body), inner)
        case While() as loop:
            inner = loop_wrt(loop.body, loop.captured, loop.carried, 1, [i - 1 for i in wrt])
            yield from missing_rules(flattened(loop.body), inner)
        case operator if not operator.is_differentiable and not isinstance(operator, Call):
            yield operator.name
