"""An ONNX graph while it is written: nodes, constants and names."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

import numpy as np
import onnx

from tilewright.compiler.frontend.error import require
from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import AnySize, Size

Write = Callable[["GraphWriter", Equation], str]
"""Adds the nodes of an equation; returns the name of its result."""
RULES: dict[type[Operator], Write] = {}
"""How equations of these operators are written."""


def writes(*kinds: type[Operator]) -> Callable[[Write], Write]:
    """Registers what writes operators."""

    def register(write: Write) -> Write:
        RULES.update(dict.fromkeys(kinds, write))
        return write

    return register


@dataclass
class GraphWriter:
    """The nodes of a model, in their order.

    Members:
        function: what is written.
        names: of its values that are written.
        taken: names that nothing else may have.
        labels: of nodes.
        tensors: constants by name.
    """

    function: Function
    names: dict[Value, str]
    taken: set[str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    tensors: dict[str, Array] = field(default_factory=dict)
    _constants: dict[Literal, str] = field(default_factory=dict)

    def inputs(self, equation: Equation) -> list[str]:
        """The names of what an equation reads."""
        return [self.names[value] for value in equation.operands]

    def node(self, kind: str, inputs: Sequence[str], labels: Sequence[str] = (), **attributes: Any) -> str:
        """Adds a node; returns the name of its only result."""
        result, name = self.fresh("t"), self._label(labels[0] if labels else kind)
        self.nodes.append(onnx.helper.make_node(kind, inputs, [result], name, **attributes))
        return result

    def constant(self, value: Literal | Array | Sequence[int] | float) -> str:
        """The name of a constant; equal ones are one. Whole numbers are int64, others float32."""
        if not isinstance(value, Literal):
            array = np.asarray(value)
            is_array = isinstance(value, np.ndarray)
            value = Literal(array if is_array or array.dtype == np.int64 else array.astype(np.float32))
        if value not in self._constants:
            self._constants[value] = name = self.fresh("c")
            self.tensors[name] = value.array
        return self._constants[value]

    def own_constant(self, array: Array) -> str:
        """The name of a constant that is no other one, though it be equal.

        ONNX Runtime 1.32 changes zero points of int8 in their place, and does not ask who else reads them.
        """
        name = self.fresh("c")
        self.tensors[name] = array
        return name

    def literal(self, value: Value) -> Array | None:
        """The array of a value that a constant gives."""
        made = self.function.producers.get(value)
        return made.operator.value.array if made and isinstance(made.operator, Constant) else None

    def shape(self, sizes: Iterable[AnySize]) -> str:
        """The name of a shape: int64 [rank].

        Raises:
            UnsupportedError: if a size is neither a number nor that of an axis of an input.
        """
        parts = [self._size(size) for size in sizes]
        if all(isinstance(part, int) for part in parts):
            return self.constant(np.asarray(parts, np.int64))
        names = [part if isinstance(part, str) else self.constant(np.array([part])) for part in parts]
        return names[0] if len(names) == 1 else self.node("Concat", names, axis=0)

    def fresh(self, prefix: str) -> str:
        """A name that nothing has."""
        name = next(each for number in count() if (each := f"{prefix}{number}") not in self.taken)
        self.taken.add(name)
        return name

    def _size(self, size: AnySize) -> int | str:
        """A number, or the name of a tensor int64 [1]."""
        if isinstance(size, int):
            return size
        for value in self.function.parameters:
            if size in value.type.shape:
                axis = value.type.shape.index(size)
                return self.node("Shape", [self.names[value]], start=axis, end=axis + 1)
        require(False, f"sizes must be numbers or those of inputs, not {size}")
        raise AssertionError

    def _label(self, wished: str) -> str:
        numbered = (f"{wished}_{number}" for number in count(2))
        name = next(each for each in chain((wished,), numbered) if each not in self.labels)
        self.labels.add(name)
        return name


def plain(size: AnySize) -> int | str | None:
    """A size as ONNX says it: a number, a name, or nothing."""
    return size if isinstance(size, int) else size.name if isinstance(size, Size) else None
