"""Values that are parts of others in the memory outside, so that nothing is copied.

A concatenation of whole blocks of channels is the memory into which its operands were written; neighbouring
channels from the first lane of a block on are a part of the memory of what they are taken from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count

from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.heads import HEADS
from tilewright.compiler.ops.quantised.operator import QuantisedOperator
from tilewright.compiler.ops.quantised.qconcat import QConcat
from tilewright.compiler.ops.quantised.qgather import QGather
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.window import POINT
from tilewright.isa.config import Config


@dataclass(frozen=True)
class MemoryView:
    """The memory of a value: a part of another value.

    Members:
        whole: the value that it is a part of.
        block: the block of `whole` with which it begins.
    """

    whole: Value
    block: int


def is_view(operator: object, config: Config) -> bool:
    """Whether the operands of a legalised operator, or its result, are parts of one another."""
    if isinstance(operator, QConcat):
        return operator.axis == 1
    return isinstance(operator, QGather) and operator.start is not None and operator.start % config.cols == 0


def views(equation: Equation, config: Config) -> Mapping[Value, MemoryView]:
    """The parts that the equation of a view makes."""
    operator = equation.operator
    if isinstance(operator, QGather):
        assert operator.start is not None, "asked of views"
        return {equation.result: MemoryView(equation.operands[0], operator.start // config.cols)}
    assert isinstance(operator, QConcat)
    starts = operator.starts(*(value.type for value in equation.operands))
    return {
        value: MemoryView(equation.result, start // config.cols)
        for value, start in zip(equation.operands, starts, strict=False)
    }


def is_whole(operator: QConcat, types: list[TensorType], config: Config) -> bool:
    """Whether each operand of a concatenation of channels begins with a block."""
    return not any(start % config.cols for start in operator.starts(*types)[:-1])


def with_copies(function: Function, config: Config) -> Function:
    """The function in which a value is a part of one other at most, and none that is handed back is a part.

    Args:
        function: legalised, of integers between the host's quantisation and dequantisation.
        config: the machine.
    """
    if not any(is_view(each.operator, config) for each in function.equations):
        return function
    return _Copies(function, config).function()


class _Copies:
    """Adds copies where a value would have to lie in two places."""

    def __init__(self, function: Function, config: Config) -> None:
        self._source, self._config = function, config
        self._parts: set[Value] = set()
        self._equations: list[Equation] = []
        values = (value for each in function.equations for value in each.results)
        self._names = {value.name for value in (*function.parameters, *values)}

    def function(self) -> Function:
        """The function with its copies."""
        for equation in self._source.equations:
            if not is_view(equation.operator, self._config):
                self._equations.append(equation)
            elif isinstance(equation.operator, QConcat):
                operands = tuple(self._part(value, equation) for value in equation.operands)
                self._equations.append(replace(equation, operands=operands))
            elif self._is_handed_back(equation.result):
                part = self._value(equation.result)
                self._equations += [
                    replace(equation, results=(part,)),
                    self._copy(part, equation.result, equation),
                ]
            else:
                self._equations.append(equation)
        return replace(self._source, equations=tuple(self._equations))

    def _part(self, value: Value, equation: Equation) -> Value:
        """What can be a part of a concatenation: the value, or a copy."""
        if value in self._parts or self._is_handed_back(value) or not self._has_memory(value):
            copy = self._value(value)
            self._equations.append(self._copy(value, copy, equation))
            value = copy
        self._parts.add(value)
        return value

    def _copy(self, value: Value, result: Value, equation: Equation) -> Equation:
        labels = tuple(f"{label}:copy" for label in equation.labels)
        return Equation((result,), QMaxPool2d(POINT), (value,), labels)

    def _value(self, like: Value) -> Value:
        """A new value of that type."""
        name = next(name for number in count(1) if (name := f"{like.name}_{number}") not in self._names)
        self._names.add(name)
        return Value(name, like.type)

    def _is_handed_back(self, value: Value) -> bool:
        """Whether the host reads a value."""
        readers = self._source.consumers.get(value, ())
        on_host = any(not isinstance(each.operator, QuantisedOperator) for each in readers)
        return on_host or value in self._source.results

    def _has_memory(self, value: Value) -> bool:
        """Whether a layer makes a value where it likes."""
        producer = self._source.producers.get(value)
        if producer is None or not isinstance(producer.operator, QuantisedOperator):
            return False
        if isinstance(producer.operator, HEADS):
            return False
        is_part = isinstance(producer.operator, QGather) and is_view(producer.operator, self._config)
        return not is_part
