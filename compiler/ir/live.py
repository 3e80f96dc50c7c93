"""Functions without what nobody needs."""

from tilewright.compiler.ir.function import Function


def live(function: Function) -> Function:
    """Without the equations that no result needs, unless they do something."""
    wanted = set(function.results)
    kept = []
    for equation in reversed(function.equations):
        if wanted.intersection(equation.results) or not equation.operator.is_pure:
            wanted.update(equation.operands)
            kept.append(equation)
    return Function(function.name, function.parameters, tuple(reversed(kept)), function.results)
