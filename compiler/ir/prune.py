"""Functions without what nobody needs."""

from dataclasses import replace

from tilewright.compiler.ir.function import Equation, Function


def pruned(function: Function) -> Function:
    """The function without equations whose results no result of it needs; what is not pure stays."""
    needed = set(function.results)
    kept: list[Equation] = []
    for equation in reversed(function.equations):
        if not equation.operator.is_pure or not needed.isdisjoint(equation.results):
            kept.append(equation)
            needed.update(equation.operands)
    return replace(function, equations=tuple(reversed(kept)))
