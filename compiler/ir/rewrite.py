"""Functions rewritten equation by equation, with the regions inside of them."""

from collections.abc import Iterable, Sequence

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.deep import deeply
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import Emit, emit, inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.prune import pruned


def rewritten(function: Function, each: Emit = emit) -> Function:
    """The function with its equations emitted anew, inner ones first; equal ones merge, unneeded ones go.

    Args:
        function: keeps its parameters and the types of its results.
        each: adds one equation whose regions are rewritten already; its results must be of the same types.
    """
    return deeply(function.depth, lambda: _rewritten(function, each, ()))


def _rewritten(function: Function, each: Emit, around: Iterable[str]) -> Function:
    bound = [*around, *(name for equation in function.equations for name in equation.operator.bound_names)]

    def with_regions(
        b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        if operator.regions:
            operator = operator.mapped(
                lambda leaf: _rewritten(leaf, each, bound) if isinstance(leaf, Function) else leaf
            )
        return each(b, equation, operator, operands)

    b = Builder(function.name)
    for name in around:
        # A size that a region shows first must not be called like one around it.
        b.fresh(name)
    parameters = [b.parameter(value.name, value.type) for value in function.parameters]
    return pruned(b.function(*inline(b, function, parameters, with_regions)))
