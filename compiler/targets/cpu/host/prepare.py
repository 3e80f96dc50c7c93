"""Functions as the host compiles them: composites written out, constants computed, products in one form."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import prod

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.extent import Extent
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.targets.cpu.host.fusion import uniform
from tilewright.compiler.targets.cpu.host.narrow import NarrowConv, NarrowDot, narrow_source, narrow_weight

FOLDED_BYTES = 1 << 16
"""A constant may become larger than what it is made of up to this."""
REPEATED_BYTES = 256
"""The same where elements are only repeated, which costs nothing where they are read."""


def prepared(function: Function) -> Function:
    """The same function of primitives alone: smaller where constants tell, dots as batches of matrices.

    Sizes that equations show first may stay symbolic, and what depends on them.
    """
    b = Builder(function.name)
    parameters = [b.parameter(value.name, value.type) for value in function.parameters]
    results = inline(b, function, parameters, _Preparation().each)
    return without_dead(b.function(*results))


def without_dead(function: Function) -> Function:
    """The function without equations whose results nobody reads."""
    live, kept = set(function.results), []
    for equation in reversed(function.equations):
        is_checked = isinstance(equation.operator, Assume) or bool(equation.operator.bound_names)
        if is_checked or not live.isdisjoint(equation.results):
            kept.append(equation)
            live.update(equation.operands)
    return Function(function.name, function.parameters, tuple(reversed(kept)), function.results)


@dataclass
class _Preparation:
    """Adds equations to a builder.

    Members:
        large: constants that are not written down, since they are much larger than what they are made of;
            weights are, all the same.
        made: how each value was made that is the only result of its equation.
    """

    large: dict[Value, tuple[Operator, tuple[Value, ...]]] = field(default_factory=dict)
    made: dict[Value, tuple[Operator, tuple[Value, ...]]] = field(default_factory=dict)

    def each(
        self, b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        """The equation, in primitives."""
        with b.label(*equation.labels):
            return self._added(b, operator, operands)

    def _added(self, b: Builder, operator: Operator, operands: tuple[Value, ...]) -> Sequence[Value]:
        if isinstance(operator, Composite):
            inner = operator.expanded(*(value.type for value in operands))
            return inline(b, inner, operands, self.each)
        if isinstance(operator, Dot) and all(value.type.is_known for value in operands):
            return [self._dot(b, operator, *operands)]
        if isinstance(operator, Extent):
            size = operands[0].type.shape[operator.axis]
            if isinstance(size, int):
                return [b.constant(Literal.of(size, INDEX))]
        if isinstance(operator, Conv):
            operands = operands[0], self._small(b, operands[1])
            narrow = self._narrow(b, *operands)
            if narrow is not None:
                own = {each.name: getattr(operator, each.name) for each in fields(Conv)}
                return b.apply(NarrowConv(**own, zero=narrow[2]), *narrow[:2])
        folded = self._folded(b, operator, operands)
        if folded is not None:
            return folded
        results = b.apply(operator, *operands)
        self.made[results[0]] = operator, operands
        if self._is_known(b, operator, operands) and results[0].type.is_known:
            self.large[results[0]] = operator, operands
        return results

    def _folded(self, b: Builder, operator: Operator, operands: tuple[Value, ...]) -> list[Value] | None:
        """Constants, where operands are; None where they are not, or would become large."""
        if not self._is_known(b, operator, operands):
            return None
        types = operator.infer(*(value.type for value in operands))
        literals = [literal.array.nbytes for literal in map(b.literal, operands) if literal is not None]
        if not all(each.is_known for each in types):
            return None
        if sum(each.size_bytes for each in types) > max(
            [_room(operator, len(literals) == len(operands)), *literals]
        ):
            return None
        known = [b.literal(self._small(b, value)) for value in operands]
        arrays = [literal.array for literal in known if literal is not None]
        try:
            return [b.constant(Literal(array)) for array in operator.run(*arrays)]
        except EvaluationError:
            return None

    def _is_known(self, b: Builder, operator: Operator, operands: tuple[Value, ...]) -> bool:
        """Whether the results are constants, written down or not."""
        is_foldable = not (operator.regions or operator.bound_names)
        if not operands or not is_foldable or isinstance(operator, Constant | Iota | Call):
            return False
        return all(value in self.large or b.literal(value) is not None for value in operands)

    def _small(self, b: Builder, value: Value) -> Value:
        """The value as a constant, if it is one that was not written down."""
        if value not in self.large or not value.type.is_known:
            return value
        operator, operands = self.large[value]
        arrays = []
        for operand in operands:
            literal = b.literal(self._small(b, operand))
            if literal is None:
                return value
            arrays.append(literal.array)
        return b.constant(Literal(operator.run(*arrays)[0]))

    def _narrow(self, b: Builder, x: Value, weight: Value) -> tuple[Value, Value, int] | None:
        """Operands of int8 and the zero point of the first, where operands of int32 were made of such."""
        literal = b.literal(weight)
        if x.type.dtype is not DType.INT32 or literal is None:
            return None
        source = narrow_source(x, self.made.get, lambda value: self._number(b, value))
        small = narrow_weight(literal.array)
        if source is None or small is None:
            return None
        return source[0], b.constant(Literal(small)), source[1]

    def _number(self, b: Builder, value: Value) -> int | float | None:
        """The number that all elements of a value are."""
        while value in self.large and isinstance(self.large[value][0], Broadcast):
            (value,) = self.large[value][1]
        literal = b.literal(value)
        return None if literal is None else uniform(literal.array)

    def _dot(self, b: Builder, operator: Dot, x: Value, y: Value) -> Value:
        """As the product of (batch, rows, depth) and (batch, depth, columns), all axes of a kind as one."""
        y = self._small(b, y)
        narrow = self._narrow(b, x, y)
        kind: Dot = Dot((2,), (1,), (0,), (0,))
        result_type = operator.infer(x.type, y.type)[0]
        if narrow is not None:
            x, y, zero = narrow
            kind = NarrowDot((2,), (1,), (0,), (0,), zero)
        rest_x, rest_y = operator.rest(x.type.rank, y.type.rank)
        xs, ys = x.type.numbers, y.type.numbers
        batch, depth = prod(xs[i] for i in operator.batch_a), prod(xs[i] for i in operator.contract_a)
        rows, columns = prod(xs[i] for i in rest_x), prod(ys[i] for i in rest_y)
        left = self._matrix(b, x, (*operator.batch_a, *rest_x, *operator.contract_a), (batch, rows, depth))
        right = self._matrix(
            b, y, (*operator.batch_b, *operator.contract_b, *rest_y), (batch, depth, columns)
        )
        result = b.emit(kind, left, right)
        return self._reshaped(b, result, result_type.numbers)

    def _matrix(self, b: Builder, value: Value, order: tuple[int, ...], shape: tuple[int, ...]) -> Value:
        if order != tuple(range(len(order))):
            (value,) = self._added(b, Transpose(order), (value,))
        return self._reshaped(b, value, shape)

    def _reshaped(self, b: Builder, value: Value, shape: tuple[int, ...]) -> Value:
        if value.type.shape == shape:
            return value
        (result,) = self._added(b, Reshape(shape), (value,))
        return result


def _room(operator: Operator, is_written: bool) -> int:
    """Bytes that a constant may have where its operands have fewer."""
    if isinstance(operator, Broadcast):
        return REPEATED_BYTES
    return FOLDED_BYTES if is_written else 0
