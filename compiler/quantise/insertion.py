"""Quantises a function of floats where the accelerator will write int8, and only there.

A value stays an accumulator that is not yet rounded where its one reader can do its work on it: activation
functions, a maximum pooling behind a convolution, the addition of a residual.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cached_property
from itertools import chain, count

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.ops.nn.pool import MaxPool
from tilewright.compiler.ops.nn.product import FinePart, GroupedProduct, PartSum
from tilewright.compiler.ops.nn.quantise import DequantiseAffine
from tilewright.compiler.ops.nn.transposed_dense import TransposedDense
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.quantise.constant import literal_of
from tilewright.compiler.quantise.group import is_sum
from tilewright.compiler.quantise.parameter import (
    PART_PARAMETERS,
    QuantParams,
    choose_parameters,
    residual_is_fine,
    symmetric_parameters,
)
from tilewright.compiler.quantise.range_method import Range
from tilewright.compiler.quantise.recognise_move import MOVES
from tilewright.compiler.quantise.saturation import without_flat_ends

_VIEWS = (Reshape, Broadcast, Transpose)
_SYMMETRIC = (GroupedProduct, TransposedDense)
"""Operators that multiply integers as they are."""


class _State(Enum):
    """The state of a value before its accumulators are rounded."""

    CLOSED = auto()
    """int8, or a view of such."""
    CONVOLVED = auto()
    """Accumulators of a convolution."""
    POOLABLE = auto()
    """Accumulators of a convolution, perhaps with a residual, perhaps clamped."""
    OPEN = auto()
    """A value that can only be clamped."""


@dataclass
class _Insertion:
    function: Function
    ranges: Mapping[Value, Range]
    equations: list[Equation] = field(default_factory=list)
    states: dict[Value, _State] = field(default_factory=dict)
    """The state of each activation."""
    parameters: dict[Value, QuantParams] = field(default_factory=dict)
    """Parameters of closed values, and of open ones that only clamp or pool one and keep its scale."""
    inputs: dict[Value, Value] = field(default_factory=dict)
    """For each input of the function, the value that is read instead."""
    symmetric_inputs: dict[Value, Value] = field(default_factory=dict)
    """The same for those who need a zero point of 0, where others do not."""
    names: set[str] = field(default_factory=set)
    shared: Mapping[Value, QuantParams] = field(default_factory=dict)
    """Parameters of values whose elements are moved together."""

    def close(self, value: Value) -> None:
        """Makes int8 of an open value."""
        if self.states[value] is _State.CLOSED:
            return
        position = next(index for index, each in enumerate(self.equations) if value in each.results)
        real = self.value(value, "real", value.type.dtype)
        self.equations[position] = replace(self.equations[position], results=(real,))
        self.quantise(real, value, self.parameters_of(value), value, position + 1)

    def quantise(
        self, real: Value, value: Value, parameters: QuantParams, result: Value, position: int
    ) -> None:
        """Adds the pair of equations from `real` to `result`, and what it makes of a value."""
        self.add_pair(real, parameters, result, position)
        self.states[value] = _State.CLOSED
        self.parameters[value] = parameters

    def add_pair(self, real: Value, parameters: QuantParams, result: Value, position: int) -> None:
        """Adds the pair of equations from `real` to `result`."""
        integer = self.value(result, "int8", DType.INT8)
        scale, zero_point = parameters.scale, parameters.zero_point
        self.equations[position:position] = [
            Equation((integer,), Quantise(scale, zero_point), (real,)),
            Equation((result,), Dequantise(scale, zero_point), (integer,)),
        ]

    def value(self, like: Value, what: str, dtype: DType) -> Value:
        """A new value of that shape, called alike."""
        wished = f"{like.name}_{what}"
        numbered = (f"{wished}_{number}" for number in count(2))
        free = next(name for name in chain((wished,), numbered) if name not in self.names)
        self.names.add(free)
        return Value(free, like.type.with_dtype(dtype))

    def parameters_of(self, value: Value) -> QuantParams:
        """The parameters that a value has, or will have."""
        if value in self.parameters:
            return self.parameters[value]
        if value in self.known:
            return self.known[value]
        if value in self.shared:
            return self.shared[value]
        seen = self.ranges[value]
        choose = symmetric_parameters if value in self.symmetric else choose_parameters
        return choose(seen.low, seen.high)

    @cached_property
    def symmetric(self) -> frozenset[Value]:
        """Values whose zero point must be 0: of which two are multiplied as matrices."""
        return self._reaching - self.split

    @cached_property
    def split(self) -> frozenset[Value]:
        """Inputs that are read with a zero point of 0 and with any: they are quantised twice."""
        others = (each for each in self.function.equations if not self.is_symmetric(each))
        read = {value for equation in others for value in equation.operands}
        return frozenset(self._reaching & read & set(self.function.parameters))

    @cached_property
    def _reaching(self) -> frozenset[Value]:
        """What products of matrices read, and what that is a view of."""
        found: set[Value] = set()
        for equation in reversed(self.function.equations):
            is_view = isinstance(equation.operator, _VIEWS) and equation.results[0] in found
            if is_view or isinstance(equation.operator, _SYMMETRIC):
                found.update(equation.operands)
        return frozenset(found)

    def is_symmetric(self, equation: Equation) -> bool:
        """Whether an equation reads integers with a zero point of 0."""
        is_view = isinstance(equation.operator, _VIEWS) and equation.results[0] in self._reaching
        return is_view or isinstance(equation.operator, _SYMMETRIC)

    def read(self, equation: Equation) -> tuple[Value, ...]:
        """The operands of an equation behind the quantisation of inputs."""
        inputs = {**self.inputs, **self.symmetric_inputs} if self.is_symmetric(equation) else self.inputs
        return tuple(inputs.get(value, value) for value in equation.operands)

    @cached_property
    def known(self) -> Mapping[Value, QuantParams]:
        """Parameters of both parts of a softmax, which need no samples."""
        found: dict[Value, QuantParams] = {}
        for equation in reversed(self.function.equations):
            if isinstance(equation.operator, PartSum):
                product = self.function.producers[equation.operands[0]]
                found[product.operands[0]] = PART_PARAMETERS
            elif isinstance(equation.operator, _VIEWS) and equation.results[0] in found:
                found[equation.operands[0]] = found[equation.results[0]]
        return found

    def only_reader(self, value: Value) -> Equation | None:
        """The one equation that reads a value, unless the value is a result."""
        readers = self.function.consumers.get(value, ())
        single = len(readers) == 1 and value not in self.function.results
        return readers[0] if single and readers[0].operands.count(value) == 1 else None


def insert_quantisation(function: Function, ranges: Mapping[Value, Range]) -> Function:
    """The function with quantise and dequantise behind each input and each unit of the accelerator.

    Args:
        function: of floats, as recognised.
        ranges: of all its activations.
    """
    ranges = without_flat_ends(function, ranges)
    work = _Insertion(function, ranges, shared=_shared(function, ranges))
    values = (value for equation in function.equations for value in equation.results)
    work.names.update(value.name for value in (*function.parameters, *values))
    for value in function.parameters:
        read = work.inputs[value] = work.value(value, "dequantised", value.type.dtype)
        work.quantise(value, value, work.parameters_of(value), read, len(work.equations))
        if value in work.split:
            seen = work.ranges[value]
            read = work.symmetric_inputs[value] = work.value(value, "symmetric", value.type.dtype)
            work.add_pair(value, symmetric_parameters(seen.low, seen.high), read, len(work.equations))
    for equation in function.equations:
        if isinstance(equation.operator, Constant | DequantiseAffine):
            work.equations.append(equation)
        else:
            _add(work, equation)
    for equation in function.equations:
        if equation.result in function.results and equation.result in work.states:
            work.close(equation.result)
    results = tuple(work.inputs.get(value, value) for value in function.results)
    return Function(function.name, function.parameters, tuple(work.equations), results)


def _add(work: _Insertion, equation: Equation) -> None:
    result, operator = equation.result, equation.operator
    activations = [value for value in equation.operands if value in work.states]
    fused = _fusable_sum(work, equation)
    for value in activations:
        if value != fused and not _can_stay_open(work, value, equation):
            work.close(value)
    work.states[result] = _state(work, equation, fused)
    if isinstance(operator, MOVES):
        # What reads it clamps, or gives it the scale that its operands have already.
        work.parameters[result] = work.parameters_of(result)
    elif result in work.shared or result in work.known:
        pass
    elif isinstance(operator, (Clip, MaxPool, *_VIEWS)) and activations[0] in work.parameters:
        parameters, seen = work.parameters[activations[0]], work.ranges[result]
        own = result not in work.symmetric or parameters.zero_point == 0
        # A clamp whose bounds lie beyond all data makes values that the scale before it has no integers for.
        if own and parameters.hold(seen.low, seen.high):
            work.parameters[result] = parameters
    if isinstance(operator, PartSum):
        seen = work.ranges[equation.operands[1]]
        operator = replace(operator, largest=max(abs(seen.low), abs(seen.high)))
    work.equations.append(replace(equation, operator=operator, operands=work.read(equation)))


def _shared(function: Function, ranges: Mapping[Value, Range]) -> dict[Value, QuantParams]:
    """One scale for all values of which elements come together, so that moving them changes no bits."""
    heads: dict[Value, Value] = {}

    def head(value: Value) -> Value:
        while heads.setdefault(value, value) != value:
            value = heads[value]
        return value

    for equation in function.equations:
        if isinstance(equation.operator, MOVES):
            for value in equation.operands:
                if value in ranges:
                    heads[head(value)] = head(equation.result)
    for equation in reversed(function.equations):
        # What was int8 before keeps its scale: so it gets that of what is made of it.
        if equation.result in heads and _keeps_scale(function, equation):
            heads[head(equation.operands[0])] = head(equation.result)
    joined: dict[Value, Range] = {}
    for value in heads:
        first = head(value)
        joined[first] = ranges[value].joined(joined[first]) if first in joined else ranges[value]
    found = {first: choose_parameters(seen.low, seen.high) for first, seen in joined.items()}
    return {value: found[head(value)] for value in heads}


def _keeps_scale(function: Function, equation: Equation) -> bool:
    """Whether an operator hands on elements of an operand that is int8 before."""
    if not isinstance(equation.operator, MaxPool):
        return isinstance(equation.operator, Reshape)
    (x,) = equation.operands
    producer = function.producers.get(x)
    is_open = producer is not None and isinstance(producer.operator, Convolution | Clip | Map)
    return not is_open or len(function.consumers[x]) > 1 or x in function.results


def _can_stay_open(work: _Insertion, value: Value, reader: Equation) -> bool:
    if isinstance(reader.operator, FinePart | PartSum):
        return True
    if work.only_reader(value) is None:
        return False
    if isinstance(reader.operator, Clip):
        return True
    poolable = (_State.CONVOLVED, _State.POOLABLE)
    return isinstance(reader.operator, MaxPool) and work.states[value] in poolable


def _state(work: _Insertion, equation: Equation, fused: Value | None) -> _State:
    before = work.states.get(equation.operands[0], _State.CLOSED)
    if is_sum(equation):
        return _State.POOLABLE if fused else _State.OPEN
    match equation.operator:
        case Convolution() | Dense():
            return _State.CONVOLVED
        case Clip() if before is _State.CONVOLVED:
            return _State.POOLABLE
        case Clip() if before is not _State.CLOSED:
            return before
        case _ if isinstance(equation.operator, _VIEWS):
            return _State.CLOSED
    return _State.OPEN


def _fusable_sum(work: _Insertion, equation: Equation) -> Value | None:
    """The operand of an addition that is accumulators of a convolution which can take the other one."""
    if not is_sum(equation):
        return None
    order = [value for each in work.equations for value in each.results]
    candidates = [value for value in equation.operands if work.states[value] is _State.CONVOLVED]
    for value in sorted(candidates, key=order.index, reverse=True):
        convolution = work.function.producers[value]
        distinct = len(set(equation.operands)) == 2
        (other,) = (each for each in equation.operands if each != value) if distinct else (value,)
        is_convolution = isinstance(convolution.operator, Convolution)
        if other == value or work.only_reader(value) is None or not is_convolution:
            continue
        weight = literal_of(work.function, convolution.operands[1])
        result = work.parameters_of(_end(work, equation))
        x, residual = work.parameters[convolution.operands[0]], work.parameters_of(other)
        if weight is not None and residual_is_fine(weight, x, result, residual):
            return value
    return None


def _end(work: _Insertion, equation: Equation) -> Value:
    """The value behind the clamps that follow: its integers are those that are written."""
    reader = work.only_reader(equation.result)
    while reader is not None and isinstance(reader.operator, Clip):
        equation, reader = reader, work.only_reader(reader.result)
    return equation.result
