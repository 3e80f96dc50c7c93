"""Functions without what nobody needs."""

from dataclasses import replace

from tilewright.compiler.ir.function import Equation, Function


def pruned(function: Function) -> Function:
    """The function without equations whose results, and whose sizes, nobody needs."""
    needed = set(function.results)
    sizes = {name for value in function.results for name in value.type.names}
    kept: list[Equation] = []
    for equation in reversed(function.equations):
        operator = equation.operator
        if (
            operator.is_pure
            and needed.isdisjoint(equation.results)
            and sizes.isdisjoint(operator.bound_names)
        ):
            continue
        kept.append(equation)
        needed.update(equation.operands)
        sizes |= operator.size_names
        sizes.update(name for value in equation.operands for name in value.type.names)
        for region in operator.regions:
            sizes |= _inner_sizes(region)
    return replace(function, equations=tuple(reversed(kept)))


def _inner_sizes(function: Function) -> set[str]:
    """Names of all sizes in a region."""
    found: set[str] = set()
    pending = [function]
    while pending:
        each = pending.pop()
        values = [*each.parameters, *(value for equation in each.equations for value in equation.results)]
        found.update(name for value in values for name in value.type.names)
        for equation in each.equations:
            found |= equation.operator.size_names
            pending += equation.operator.regions
    return found
