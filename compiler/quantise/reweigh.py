"""Functions of floats whose layers read other constants: other weights and biases, all else as it was."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.prune import pruned

Changes = Mapping[Equation, Mapping[int, Array]]
"""For equations: arrays in place of operands, by their places."""


def reweighed(function: Function, changes: Changes) -> Function:
    """The function whose equations read these constants; all its other values keep their names.

    Args:
        function: of floats, as recognised.
        changes: arrays of the types of the constants that they replace.
    """
    names = {value.name for each in function.equations for value in each.results}
    names.update(value.name for value in function.parameters)
    equations: list[Equation] = []
    for equation in function.equations:
        operands = list(equation.operands)
        for place, array in changes.get(equation, {}).items():
            operands[place] = _renamed(operands[place], equation.result.name, place, names)
            equations.append(Equation((operands[place],), Constant(Literal(array)), (), equation.labels))
        equations.append(replace(equation, operands=tuple(operands)) if equation in changes else equation)
    return pruned(replace(function, equations=tuple(equations)))


def _renamed(value: Value, reader: str, place: int, names: set[str]) -> Value:
    """A value of that type with a name that nothing else has, which it takes."""
    wished = f"{reader}_operand_{place}"
    name = next(each for number in count() if (each := f"{wished}_{number}") not in names)
    names.add(name)
    return Value(name, value.type)
