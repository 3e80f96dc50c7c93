"""Dead code elimination: functions without equations that nobody needs."""

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
        sizes |= sizes_of(equation)
    return replace(function, equations=tuple(reversed(kept)))


def sizes_of(equation: Equation) -> set[str]:
    """Names of the sizes that an equation needs, those of its regions as well."""
    found = set(equation.operator.size_names)
    values = list(equation.operands)
    pending = list(equation.operator.regions)
    while pending:
        region = pending.pop()
        values += region.parameters
        for each in region.equations:
            values += each.results
            found |= each.operator.size_names
            pending += each.operator.regions
    return found.union(*(value.type.names for value in values))
