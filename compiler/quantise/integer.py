"""Activations as int8, and the function of integers while it is made."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from numpy.typing import ArrayLike

from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.parameter import QuantParams, Real
from tilewright.compiler.quantise.recognition import Sample, sample_of

_VIEWS = (Reshape, Broadcast, Transpose)


@dataclass(frozen=True)
class QuantisedValue:
    """A quantised activation.

    Members:
        value: int8, of the function of integers; a float parameter of it, if it is `given`.
        sample: its sizes behind the batch: channels, height, width.
        parameters: what its integers mean to its consumer.
        given: how the host makes it, if it is a parameter: in the shape that its reader wants.
    """

    value: Value
    sample: Sample
    parameters: QuantParams
    given: QuantParams | None = None
    views: tuple[Operator, ...] = ()
    """Views of the source between the value and what is read: first to last."""

    @property
    def is_moved(self) -> bool:
        """Whether the views put elements in another order."""
        return any(isinstance(each, Transpose) for each in self.views)


@dataclass(frozen=True)
class LoweredLayer:
    """The scales with which a convolution or dense layer became integers.

    Members:
        weight: float64 (O,), of each output channel.
        x: of the input.
    """

    weight: Real
    x: QuantParams


@dataclass
class IntegerBuilder:
    """Builds the function of integers.

    Members:
        source: the function of floats with quantise and dequantise equations.
        integers: by the result of their quantise equation in `source`.
        layers: convolutions and dense layers of `source`.
    """

    source: Function
    integers: dict[Value, QuantisedValue] = field(default_factory=dict)
    layers: dict[Equation, LoweredLayer] = field(default_factory=dict)
    _b: Builder = field(init=False)
    _parameters: dict[Value, Value] = field(init=False)

    def __post_init__(self) -> None:
        self._b = Builder(self.source.name)
        self._parameters = {
            value: self._b.parameter(value.name, value.type) for value in self.source.parameters
        }

    def parameter(self, value: Value, parameters: QuantParams) -> QuantisedValue:
        """A parameter of the source, quantised by the host."""
        return QuantisedValue(self._parameters[value], sample_of(value), parameters, given=parameters)

    def operand(self, value: Value) -> QuantisedValue:
        """The quantised activation that a float value of the source is, or is a view of.

        Its integers mean what the dequantisation says: its scale need not be the quantisation's.

        Raises:
            GroupError: if it is none.
            KeyError: if it could not be made.
        """
        name, views = value.name, list[Operator]()
        while (equation := self.source.producers.get(value)) is not None and isinstance(
            equation.operator, _VIEWS
        ):
            views.append(equation.operator)
            value = equation.operands[0]
        operator = None if equation is None else equation.operator
        require(isinstance(operator, Dequantise), f"its input {name!r} must be quantised")
        assert equation is not None
        assert isinstance(operator, Dequantise)
        parameters = QuantParams(operator.scale, operator.zero_point)
        integer = self.integers[equation.operands[0]]
        return replace(integer, parameters=parameters, views=tuple(reversed(views)))

    def feature_map(self, integer: QuantisedValue, sample: Sample, moves: bool = False) -> Value:
        """The int8 value as feature maps of a shape.

        Args:
            integer: the activation.
            sample: the shape that is wanted.
            moves: whether its elements may be put in another order on the chip.

        Raises:
            GroupError: if it has another one.
        """
        if integer.given is not None:
            value = self._viewed(integer.value, integer.views) if integer.is_moved else integer.value
            return self._quantised_input(value, integer.given, sample)
        is_same = integer.sample[:1] == sample[:1] and math.prod(integer.sample) == math.prod(sample)
        if moves and (integer.is_moved or not is_same):
            return self._viewed(integer.value, integer.views)
        require(
            is_same and not integer.is_moved,
            f"feature maps {list(integer.sample)} must not be reshaped to {list(sample)}",
        )
        return integer.value if integer.sample == sample else self._reshaped(integer.value, sample)

    def constant(self, array: ArrayLike) -> Value:
        """A constant."""
        return self._b.constant(Literal.of(array))

    def emit(self, operator: Operator, operands: Sequence[Value], labels: Sequence[str] = ()) -> Value:
        """Adds an equation."""
        with self._b.label(*labels):
            return self._b.emit(operator, *operands)

    def finish(self, result: Value) -> Value:
        """Adds what makes a result of the source from its integers."""
        read, sample = self.operand(result), sample_of(result)
        integer = replace(read, views=())
        if read.is_moved:
            sample = read.sample
        own = as_feature_map(sample) if integer.given else integer.sample
        parameters = integer.parameters
        operator = Dequantise(parameters.scale, parameters.zero_point)
        real = self.emit(operator, (self.feature_map(integer, own),))
        real = real if own == sample else self._reshaped(real, sample)
        return self._viewed(real, read.views) if read.is_moved else real

    def function(self, *results: Value) -> Function:
        """The function of integers."""
        return self._b.function(*results)

    def _quantised_input(self, value: Value, parameters: QuantParams, sample: Sample) -> Value:
        real = value if sample_of(value) == sample else self._reshaped(value, sample)
        return self.emit(Quantise(parameters.scale, parameters.zero_point), (real,))

    def _viewed(self, value: Value, views: Sequence[Operator]) -> Value:
        """What views make of a value of the host."""
        for view in views:
            value = self.emit(view, (value,))
        return value

    def _reshaped(self, value: Value, sample: Sample) -> Value:
        return self.emit(Reshape((value.type.shape[0], *sample)), (value,))


def feature_map_of(integer: QuantisedValue, sample: Sample) -> Sample:
    """The feature maps behind features of that shape, or the shape itself if it has height and width."""
    if len(sample) == 3:
        return sample
    return as_feature_map(sample) if integer.given else integer.sample


def as_feature_map(sample: Sample) -> Sample:
    """Channels, height, width of a sample of any shape: height is 1 unless it has one."""
    if len(sample) == 3:
        return sample
    return (sample[0] if sample else 1, 1, math.prod(sample[1:]))
