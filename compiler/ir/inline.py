"""Equations of one function in another."""

from collections.abc import Callable, Mapping, Sequence

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import AnySize, Size, SizeName

Emit = Callable[[Builder, Equation, Operator, tuple[Value, ...]], Sequence[Value]]
"""Adds an equation to a builder: with its operator as sizes want it, and its operands there."""


def emit(b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]) -> Sequence[Value]:
    """The equation as it is."""
    with b.label(*equation.labels):
        return b.apply(operator, *operands, names=[value.name for value in equation.results])


def inline(
    b: Builder,
    function: Function,
    arguments: Sequence[Value],
    each: Emit = emit,
    sizes: Mapping[str, AnySize] | None = None,
) -> tuple[Value, ...]:
    """The results of a function whose equations are added to a builder.

    Sizes that equations show first get names of their own, so that a function can be inlined twice.

    Args:
        b: where the equations go.
        function: the applied function; regions inside of it stay as they are, but for their sizes.
        arguments: values for its parameters.
        each: adds one equation.
        sizes: that stand for names in it.
    """
    values = dict(zip(function.parameters, arguments, strict=True))
    bindings: dict[str, AnySize] = dict(sizes or {})
    for equation in function.equations:
        operator = equation.operator
        for name in operator.bound_names:
            bindings[name] = Size.of(b.size_name(name))
        operands = tuple(values[value] for value in equation.operands)
        results = each(b, equation, renamed(operator, bindings), operands)
        values.update(zip(equation.results, results, strict=True))
    return tuple(values[value] for value in function.results)


def renamed(operator: Operator, bindings: Mapping[str, AnySize]) -> Operator:
    """The operator with sizes replaced, those that it shows first and those in its regions as well."""
    if not bindings:
        return operator

    def change(leaf: object) -> object:
        if isinstance(leaf, SizeName):
            new = bindings.get(leaf, leaf)
            return SizeName(new.name or leaf) if isinstance(new, Size) else leaf
        if isinstance(leaf, Size):
            return leaf.evaluate(bindings)
        return with_sizes(leaf, bindings) if isinstance(leaf, Function) else leaf

    return operator.mapped(change)


def with_sizes(function: Function, bindings: Mapping[str, AnySize]) -> Function:
    """A function with sizes replaced by name, throughout."""
    values = {value: _with_sizes(value, bindings) for value in function.parameters}
    equations = []
    for equation in function.equations:
        values.update({value: _with_sizes(value, bindings) for value in equation.results})
        equations.append(
            Equation(
                tuple(values[value] for value in equation.results),
                renamed(equation.operator, bindings),
                tuple(values[value] for value in equation.operands),
                equation.labels,
            )
        )
    results = tuple(values[value] for value in function.results)
    parameters = tuple(values[value] for value in function.parameters)
    return Function(function.name, parameters, tuple(equations), results)


def _with_sizes(value: Value, bindings: Mapping[str, AnySize]) -> Value:
    return Value(value.name, value.type.evaluate(bindings))
