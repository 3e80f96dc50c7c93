"""Checks functions made by builders, parsers and passes."""

from collections.abc import Iterable, Mapping

from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.deep import deeply
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.size import linear_name


def verify(program: Function | Module) -> None:
    """Checks names, order, types and sizes of all functions, and infers every type anew.

    Raises:
        IrError: what is wrong, with the function and the equation.
    """
    functions = {program.name: program} if isinstance(program, Function) else program.functions
    for name, function in functions.items():
        if name != function.name:
            raise IrError(f"function {function.name!r} must be in the module under its name, not as {name!r}")
        deeply(function.depth, lambda each=function: _verify(each, frozenset(), functions))  # type: ignore[misc]


def _verify(function: Function, around: frozenset[str], functions: Mapping[str, Function]) -> None:
    where = f"function {function.name!r}"
    values: dict[str, Value] = {}
    _define(values, function.parameters, where)
    sizes = set(around)
    # A number tells the n of 2·n + 1; that of n·m must be told elsewhere.
    linear = (linear_name(size) for value in function.parameters for size in value.type.shape)
    sizes.update(name for name in linear if name is not None)
    _check_sizes(function.parameters, sizes, where)
    for equation in function.equations:
        _verify_equation(equation, values, sizes, f"{where}, {equation.label}", functions)
    for value in function.results:
        if values.get(value.name) != value:
            raise IrError(f"{where}: a result must be a value of it, and {value} is not")


def _verify_equation(
    equation: Equation,
    values: dict[str, Value],
    sizes: set[str],
    where: str,
    functions: Mapping[str, Function],
) -> None:
    operator = equation.operator
    for value in equation.operands:
        if values.get(value.name) != value:
            raise IrError(f"{where}: an operand must be defined before, and {value} is not")
    unbound = operator.size_names - sizes
    if unbound:
        raise IrError(f"{where}: a size must be bound before, and {min(unbound)} is not")
    again = [name for name in operator.bound_names if name in sizes]
    if again:
        raise IrError(f"{where}: a size must be shown first once, and {again[0]} is bound already")
    for region in operator.regions:
        _verify(region, frozenset(sizes), functions)
    if isinstance(operator, Call):
        _verify_call(operator, equation, where, functions)
    try:
        inferred = operator.infer(*(value.type for value in equation.operands))
    except IrError as error:
        raise IrError(f"{where}: {operator.name}: {error}") from error
    if inferred != tuple(value.type for value in equation.results):
        stated = ", ".join(str(value.type) for value in equation.results)
        raise IrError(f"{where}: results must be {', '.join(map(str, inferred))}, not {stated}")
    sizes.update(operator.bound_names)
    _check_sizes(equation.results, sizes, where)
    _define(values, equation.results, where)


def _verify_call(call: Call, equation: Equation, where: str, functions: Mapping[str, Function]) -> None:
    if call.function not in functions:
        raise IrError(f"{where}: a call must be of a function of the module, and {call.function!r} is none")
    function = functions[call.function]
    for what, wanted, given in (
        ("operands", function.parameters, equation.operands),
        ("results", function.results, equation.results),
    ):
        # Sizes have other names in each function: element types and ranks must agree, and what is a number.
        if len(wanted) != len(given) or not all(map(_may_be, wanted, given)):
            types = ", ".join(str(value.type) for value in wanted)
            raise IrError(f"{where}: {what} of a call of {call.function!r} must be {types or 'none'}")


def _may_be(wanted: Value, given: Value) -> bool:
    one, other = wanted.type, given.type
    sizes = zip(one.shape, other.shape, strict=False)
    known = [pair for pair in sizes if all(isinstance(size, int) for size in pair)]
    return one.dtype is other.dtype and one.rank == other.rank and all(a == b for a, b in known)


def _define(values: dict[str, Value], new: Iterable[Value], where: str) -> None:
    for value in new:
        if value.name in values:
            raise IrError(f"{where}: a value must be defined once, and {value} is defined again")
        values[value.name] = value


def _check_sizes(values: Iterable[Value], sizes: set[str], where: str) -> None:
    for value in values:
        unbound = value.type.names - sizes
        if unbound:
            raise IrError(f"{where}: a size must be bound before, and {min(unbound)} of {value} is not")
