"""Attention's softmax in two parts, so that its product with values is fine in integers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.inline import emit
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.rewrite import rewritten
from tilewright.compiler.ops.nn.activation import Softmax
from tilewright.compiler.ops.nn.parted_softmax import PartedProduct, PartedSoftmax
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.passes.run import each_function

MOST_PLAIN = 16
"""Elements of a row up to which one part is enough: of n equal ones its signal is 440 / n times its noise."""


@dataclass(frozen=True)
class PartSoftmax:
    """softmax(x) · v becomes a product of its two parts, where nothing else reads the softmax.

    It is that of the last axis, of more than `MOST_PLAIN` elements, and the product one of matrices with all
    axes in front alike. Others stay.

    Members:
        plain: labels of products whose softmax stays, too.
    """

    name: ClassVar[str] = "part_softmax"
    plain: frozenset[str] = frozenset()

    def apply(self, module: Module) -> Module:
        """The module with softmaxes in parts."""
        return each_function(module, self._function)

    def _function(self, function: Function) -> Function:
        has_softmax = any(isinstance(each.operator, Softmax) for each in function.equations)
        return rewritten(function, _Parting(function, self.plain)) if has_softmax else function


@dataclass(frozen=True)
class _Parting:
    """Emits equations of a function; those of its regions as they are."""

    function: Function
    plain: frozenset[str]

    def __call__(
        self, b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        softmax = b.producer(operands[0]) if isinstance(operator, Dot) else None
        if softmax is None or not self._is_of_rows(softmax) or not self._is_read_once(equation.operands[0]):
            return emit(b, equation, operator, operands)
        x, v = operands
        if equation.label in self.plain:
            return emit(b, equation, operator, operands)
        if operator != PartedProduct.dot(x.type.rank) or x.type.rank < 3 or v.type.rank != x.type.rank:
            return emit(b, equation, operator, operands)
        with b.label(*softmax.labels):
            parts = b.emit(PartedSoftmax(), *softmax.operands)
        with b.label(*equation.labels):
            return b.apply(PartedProduct(), parts, v, names=[equation.result.name])

    def _is_of_rows(self, equation: Equation) -> bool:
        operator, tensor = equation.operator, equation.result.type
        is_last = isinstance(operator, Softmax) and operator.axis == tensor.rank - 1
        if not is_last or tensor.dtype is not DType.FLOAT32:
            return False
        elements = tensor.shape[-1]
        return isinstance(elements, int) and elements > MOST_PLAIN

    def _is_read_once(self, value: Value) -> bool:
        return value not in self.function.results and len(self.function.consumers.get(value, ())) == 1
