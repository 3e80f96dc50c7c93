"""Biases of keys that a softmax takes no notice of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.inline import emit
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.rewrite import rewritten
from tilewright.compiler.ops.nn.activation import Softmax
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.passes.run import each_function


@dataclass(frozen=True)
class DropKeyBias:
    """softmax(q · (k + c)ᵀ + mask) becomes softmax(q · kᵀ + mask), where c is the same for all keys.

    A score q · k + q · c has more than q · k by what is the same in its row, and a softmax of rows knows
    differences only. So keys need no bias, and their range is that of what tells them apart.
    """

    name: ClassVar[str] = "drop_key_bias"

    def apply(self, module: Module) -> Module:
        """The module with fewer biases."""
        return each_function(module, _without_biases)


def _without_biases(function: Function) -> Function:
    search = _Search(function)
    found = [search.bias(each) for each in function.equations if _is_of_rows(each)]
    kept = {equation.result: place for each in found if each is not None for equation, place in [each]}

    def each(
        b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        place = kept.get(equation.results[0]) if equation.results else None
        return emit(b, equation, operator, operands) if place is None else (operands[place],)

    return rewritten(function, each) if kept else function


def _is_of_rows(equation: Equation) -> bool:
    operator = equation.operator
    return isinstance(operator, Softmax) and operator.axis == equation.result.type.rank - 1


@dataclass(frozen=True)
class _Search:
    """Finds biases of keys in a function."""

    function: Function

    def bias(self, softmax: Equation) -> tuple[Equation, int] | None:
        """The addition of a bias to the keys of a softmax, and the place of its operand that stays."""
        scores = self._product(softmax.operands[0])
        if scores is None or not softmax.operands[0].type.is_known:
            return None
        operator, (_, keys) = scores.operator, scores.operands
        assert isinstance(operator, Dot)
        _, rest = operator.rest(scores.operands[0].type.rank, keys.type.rank)
        if len(rest) != 1 or not self._is_read_once(keys):
            return None
        views, value = list[Operator](), keys
        while (made := self._view(value)) is not None:
            views.append(made.operator)
            value = made.operands[0]
        added = self.function.producers.get(value)
        if added is None or not _is_map(added, "add") or not self._is_read_once(value):
            return None
        for place, other in ((0, added.operands[1]), (1, added.operands[0])):
            constant = self._constant(other)
            if constant is not None and _is_same_along(constant, views[::-1], rest[0]):
                return added, place
        return None

    def _product(self, value: Value) -> Equation | None:
        """The product whose scores a value is, perhaps scaled by a number, and with something added."""
        made = self.function.producers.get(value)
        if made is None or not self._is_read_once(value):
            return None
        if isinstance(made.operator, Dot):
            return made
        if _is_map(made, "add"):
            found = [self._product(each) for each in made.operands]
            return next((each for each in found if each is not None), None)
        is_scaled = _is_map(made, "mul") or _is_map(made, "div")
        factor = self._constant(made.operands[1]) if is_scaled else None
        if factor is None or not (factor == factor.reshape(-1)[0]).all():
            return None
        return self._product(made.operands[0])

    def _view(self, value: Value) -> Equation | None:
        made = self.function.producers.get(value)
        is_view = made is not None and isinstance(made.operator, Reshape | Transpose)
        return made if is_view and made is not None and self._is_read_once(made.operands[0]) else None

    def _is_read_once(self, value: Value) -> bool:
        return value not in self.function.results and len(self.function.consumers.get(value, ())) == 1

    def _constant(self, value: Value) -> Array | None:
        """The array of a constant, perhaps repeated; None for others."""
        made = self.function.producers.get(value)
        if made is not None and isinstance(made.operator, Constant):
            return made.operator.value.array
        if made is None or not isinstance(made.operator, Broadcast | Reshape):
            return None
        inner = self._constant(made.operands[0])
        return None if inner is None else made.operator.run(inner)[0]


def _is_map(equation: Equation, function: str) -> bool:
    return isinstance(equation.operator, Map) and equation.operator.function == function


def _is_same_along(constant: Array, views: Sequence[Operator], axis: int) -> bool:
    """Whether views of a constant do not change along an axis."""
    for view in views:
        (constant,) = view.run(constant)
    return bool((constant == constant.take([0], axis)).all())
