"""Equations whose operands are constants, computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.inline import emit, inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.rewrite import rewritten
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.emit_map import INEXACT
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.control import If
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.passes.run import each_function

SMALL_ELEMENTS = 1024
"""The largest number of elements that a constant may grow to."""
_SAME_EVERYWHERE = frozenset(["exp", "log", "tanh", "erf"])
"""Functions whose float32 results have the same bits on every machine (`numerics.elementary`)."""


@dataclass(frozen=True)
class Fold:
    """Constant folding: computes equations of constants and sizes alone, and takes branches that are known.

    Operators whose last bits differ between machines are not computed. A result is a constant if it is
    small, or not larger than the constants it comes from: a broadcast constant stays one.

    Members:
        most_elements: of a result.
    """

    name: ClassVar[str] = "fold"
    most_elements: int = 1 << 26

    def apply(self, module: Module) -> Module:
        """The module with known results as constants."""
        return each_function(module, lambda each: rewritten(each, _Folding(self.most_elements)))


class _Folding:
    """Folds equations of one function and its regions; knows the arrays of constants and their broadcasts."""

    def __init__(self, most_elements: int) -> None:
        self._most = most_elements
        self._spread: dict[Builder, dict[Value, tuple[Array, int]]] = {}

    def __call__(
        self, b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        with b.label(*equation.labels):
            return self._folded(b, equation, operator, operands)

    def _folded(
        self, b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        chosen = _chosen_branch(b, operator, operands)
        if chosen is not None:
            return inline(b, chosen[0], chosen[1], self)
        trivial = operator.known_results(*(value.type for value in operands))
        if trivial is not None:
            return [b.constant(each) if isinstance(each, Literal) else operands[each] for each in trivial]
        known = [self._known(b, value) for value in operands]
        arrays = [each[0] for each in known if each is not None]
        if len(arrays) < len(operands) or not _is_foldable(operator, operands):
            return emit(b, equation, operator, operands)
        stored = sum(each[1] for each in known if each is not None)
        if isinstance(operator, Broadcast):
            (result,) = emit(b, equation, operator, operands)
            if result.type.is_known:
                spread = self._spread.setdefault(b, {})
                spread[result] = (operator.run(*arrays)[0], stored)
            return [result]
        return self._computed(b, operator, arrays, operands, stored) or emit(b, equation, operator, operands)

    def _known(self, b: Builder, value: Value) -> tuple[Array, int] | None:
        """The array of a value and how many elements are stored of it."""
        literal = b.literal(value)
        if literal is not None:
            return literal.array, literal.array.size
        return self._spread.get(b, {}).get(value)

    def _computed(
        self, b: Builder, operator: Operator, arrays: list[Array], operands: tuple[Value, ...], stored: int
    ) -> Sequence[Value] | None:
        """Constants for the results; None if they are too large, or there are none."""
        types = operator.infer(*(value.type for value in operands))
        if not all(each.is_known for each in types):
            return None
        most = min(self._most, max(SMALL_ELEMENTS, stored))
        if sum(each.elements for each in types) > most:
            return None
        try:
            return [b.constant(Literal(each)) for each in operator.run(*arrays)]
        except EvaluationError:
            # It has no value: that is reported when it is run.
            return None


def _chosen_branch(
    b: Builder, operator: Operator, operands: tuple[Value, ...]
) -> tuple[Function, tuple[Value, ...]] | None:
    """The branch that a known condition takes, and its operands."""
    literal = b.literal(operands[0]) if isinstance(operator, If) and not operator.sizes else None
    if literal is None or not isinstance(operator, If):
        return None
    count = 1 + len(operator.then.parameters)
    if bool(literal.array):
        return operator.then, operands[1:count]
    return operator.orelse, operands[count:]


def _is_foldable(operator: Operator, operands: tuple[Value, ...]) -> bool:
    has_meaning_alone = not operator.regions and not isinstance(operator, Constant | Call)
    sizes = operator.size_names or operator.bound_names
    return has_meaning_alone and not sizes and is_exact(operator, [value.type for value in operands])


def is_exact(operator: Operator, types: Sequence[TensorType]) -> bool:
    """Whether its results have the same bits on every machine."""
    if isinstance(operator, Composite):
        inner = operator.expanded(*types).equations
        return all(is_exact(each.operator, [value.type for value in each.operands]) for each in inner)
    if not isinstance(operator, Map) or operator.function not in INEXACT:
        return True
    if types[0].dtype.is_integer:
        return True
    return types[0].dtype is DType.FLOAT32 and operator.function in _SAME_EVERYWHERE
