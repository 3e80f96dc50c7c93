"""Numbers for the names of sizes."""

from collections.abc import Collection, Mapping

from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.deep import deeply
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ir.size import AnySize, Size, SizeName


def specialise(function: Function, sizes: Mapping[str, int]) -> Function:
    """The function for these sizes: every type is inferred anew, and what sizes alone tell is a constant.

    Args:
        function: with symbolic sizes; those that are not named stay.
        sizes: numbers from 0 by name, of sizes of its parameters.

    Raises:
        IrError: for a name that its parameters do not have, a number that is none, or sizes for which the
            function has no meaning.
    """
    require_sizes(function.name, function.size_names, sizes)
    return deeply(function.depth, lambda: _specialised(function, dict(sizes), frozenset()))


def require_sizes(name: str, known: Collection[str], sizes: Mapping[str, int]) -> None:
    """Refuse numbers for sizes that are none.

    Args:
        name: of the function.
        known: its sizes.
        sizes: numbers by name.

    Raises:
        IrError: for a name that is not known, or a number that is none.
    """
    for size, number in sizes.items():
        if size not in known:
            raise IrError(f"a size of {name!r} must be one of {', '.join(known) or 'none'}, not {size!r}")
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise IrError(f"size {size} must be a number from 0, not {number!r}")


def _specialised(function: Function, bindings: dict[str, AnySize], around: frozenset[str]) -> Function:
    b = Builder(function.name)
    for name in sorted(around):
        b.fresh(name)
    values = {each: b.parameter(each.name, each.type.evaluate(bindings)) for each in function.parameters}
    bound = around.union(*(each.operator.bound_names for each in function.equations))
    for equation in function.equations:
        _emit(b, equation, values, bindings, bound)
    return pruned(b.function(*(values[value] for value in function.results)))


def _emit(
    b: Builder,
    equation: Equation,
    values: dict[Value, Value],
    bindings: dict[str, AnySize],
    around: frozenset[str],
) -> None:
    """Adds an equation with its sizes replaced; `bindings` gets the sizes that it no longer shows first."""
    for name in equation.operator.bound_names:
        bindings[name] = Size.of(b.size_name(name))
    replaced = equation.operator.mapped(lambda leaf: _leaf(leaf, bindings, around))
    operator, known = replaced.settled(equation.operator)
    for name in equation.operator.bound_names:
        size = bindings[name]
        if isinstance(size, Size):
            bindings[name] = known.get(size.name or "", size)
    operands = tuple(values[value] for value in equation.operands)
    trivial = operator.known_results(*(value.type for value in operands))
    with b.label(*equation.labels):
        if trivial is None:
            names = [value.name for value in equation.results]
            results: tuple[Value, ...] = b.apply(operator, *operands, names=names)
        else:
            results = tuple(
                b.constant(each) if isinstance(each, Literal) else operands[each] for each in trivial
            )
    values.update(zip(equation.results, results, strict=True))


def _leaf(leaf: object, bindings: dict[str, AnySize], around: frozenset[str]) -> object:
    """An attribute with its sizes replaced."""
    if isinstance(leaf, Function):
        return _specialised(leaf, dict(bindings), around)
    if isinstance(leaf, SizeName):
        new = bindings[leaf]
        return SizeName(new.name or leaf) if isinstance(new, Size) else leaf
    return leaf.evaluate(bindings) if isinstance(leaf, Size) else leaf
