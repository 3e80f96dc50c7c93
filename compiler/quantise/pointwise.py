"""Functions of single elements that no other unit computes: what one table can stand for.

Such a value is computed from one other, its root, by operators on single elements and numbers alone. Sums,
factors and limits have units of their own; a table is made where the way from the root has anything else.
"""

from dataclasses import dataclass, field

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.emit_map import broadcast_to
from tilewright.compiler.ops.nn.activation import Gelu, HardSwish, Swish
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.quantise.constant import Constants

_KINDS: tuple[type[Operator], ...] = (Map, Cast, Clip, Gelu, Swish, HardSwish)
_VIEWS = (Assume, Broadcast)
"""Operators on single elements, too, where they change no type."""
_OTHER_UNITS = frozenset(["add", "sub", "mul", "div", "max", "min"])
"""Functions that other units compute as well, where one operand is a number."""


@dataclass
class PointwiseAnalysis:
    """Finds the functions of single elements in a function.

    Members:
        source: the function.
        constants: of it.
        roots: of each value that is a function of single elements: of what.
        tables: those that no other unit computes.
    """

    source: Function
    constants: Constants
    roots: dict[Value, Value] = field(default_factory=dict)
    tables: set[Value] = field(default_factory=set)

    def __post_init__(self) -> None:
        for equation in self.source.equations:
            if equation.results[0] not in self.constants:
                self._add(equation)

    def is_inner(self, value: Value) -> bool:
        """Whether only tables are made of a value of one: nobody reads it itself."""
        readers = self.source.consumers.get(value, ())
        if value not in self.roots or value in self.source.results or not readers:
            return False
        root = self.roots[value]
        return all(each.result in self.tables and self.roots[each.result] == root for each in readers)

    def body(self, result: Value, parent: Builder) -> Function:
        """The function from an element of the root to one of a table's result, on any number of elements."""
        b, root = Builder("pointwise", parent), self.roots[result]
        x = b.parameter("x", TensorType(root.type.dtype, (Size.of("elements"),)))
        made = {root: x}
        for equation in self._way(result):
            operands = [
                made[each] if each in made else self._number(b, each, x) for each in equation.operands
            ]
            is_view = isinstance(equation.operator, _VIEWS)
            made[equation.result] = operands[0] if is_view else b.emit(equation.operator, *operands)
        return b.function(made[result])

    def _add(self, equation: Equation) -> None:
        moving = [value for value in equation.operands if value not in self.constants]
        roots = {self.roots.get(value, value) for value in moving}
        if len(roots) != 1 or not self._is_of_elements(equation, moving[0]):
            return
        (root,) = roots
        if root.type.dtype is not DType.FLOAT32:
            return
        self.roots[equation.result] = root
        is_table = not self.tables.isdisjoint(moving) or self._is_beyond_other_units(equation, len(moving))
        if is_table:
            self.tables.add(equation.result)

    def _is_of_elements(self, equation: Equation, x: Value) -> bool:
        if isinstance(equation.operator, _VIEWS):
            return equation.result.type == x.type and len(equation.operands) == 1
        is_known = isinstance(equation.operator, _KINDS) and len(equation.results) == 1
        numbers = [value for value in equation.operands if value in self.constants]
        return is_known and all(_is_number(self.constants.array(value)) for value in numbers)

    def _is_beyond_other_units(self, equation: Equation, moving: int) -> bool:
        operator = equation.operator
        if isinstance(operator, Map):
            is_sum = operator.function == "add"
            is_quotient = operator.function == "div" and equation.operands[0] in self.constants
            return operator.function not in _OTHER_UNITS or is_quotient or (moving > 1 and not is_sum)
        return not isinstance(operator, (Clip, *_VIEWS))

    def _way(self, result: Value) -> list[Equation]:
        """The equations from the root to a value, in order."""
        root, needed, found = self.roots[result], {result}, []
        for equation in reversed(self.source.equations):
            if equation.results[0] in needed and equation.results[0] != root:
                found.append(equation)
                needed.update(value for value in equation.operands if value not in self.constants)
        return found[::-1]

    def _number(self, b: Builder, constant: Value, like: Value) -> Value:
        number = self.constants.array(constant).reshape(-1)[0]
        return broadcast_to(b, b.constant(np.asarray(number)), like.type.shape)


def _is_number(array: Array) -> bool:
    return array.size > 0 and bool((array == array.reshape(-1)[0]).all())
