"""A part of a network on the accelerator, while its weights and scales are trained."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import emit, inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ops.nn.fake_quantise import fake_quantise
from tilewright.compiler.ops.nn.product import FinePart, GroupedProduct, PartSum
from tilewright.compiler.ops.nn.quantise import dequantise, quantise
from tilewright.compiler.ops.nn.transposed_dense import TransposedDense
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.quantise.constant import literal_of
from tilewright.compiler.quantise.insertion import insert_quantisation
from tilewright.compiler.quantise.integer import LoweredLayer
from tilewright.compiler.quantise.lowering import lowered_layers
from tilewright.compiler.quantise.parameter import WEIGHT_MAXIMUM, QuantParams
from tilewright.compiler.quantise.recipe import Prepared
from tilewright.compiler.training.adam import Adam
from tilewright.compiler.training.optimiser import InUnits, Multiplicative, Optimiser
from tilewright.numerics.quantise import INT8_MAXIMUM, INT8_MINIMUM

MOST_DRIFT = 4.0
"""The factor by which a scale may leave that of the calibration, up or down."""
_EPSILON = 1e-12
"""Of Adam: gradients of scales are divided by the root of all their elements, and are far below 1e-8."""
_PRODUCTS = (GroupedProduct, TransposedDense, FinePart, PartSum)
"""Operators that recognition makes, and that the quantiser knows by what they are made of."""
Rounded = Callable[[Builder, QuantParams, Value], Value]
"""What integers of these parameters, as the calibration chose them, give back of a value."""
T = TypeVar("T")
Weights = Callable[[Builder, Equation], tuple[Value, Value]]
"""Weights and bias of a layer."""


@dataclass(frozen=True)
class Trainable:
    """What training changes.

    Members:
        name: unique in its part.
        start: float32.
        optimiser: of its steps.
    """

    name: str
    start: Array
    optimiser: Optimiser


class TrainablePart:
    """A part whose values become integers exactly where the quantiser makes such.

    Trained are weights and biases of layers, a scale for each output channel, and the scale of each
    activation; activations that have one scale and zero point keep one. Zero points stay.

    Members:
        floats: the part in floats.
        scaled: the same with quantise and dequantise equations, as the calibration has them.

    Args:
        prepared: with ranges.

    Raises:
        QuantiseError: naming all that cannot be quantised.
    """

    def __init__(self, prepared: Prepared) -> None:
        assert prepared.ranges is not None, "it has no scales of its own"
        self.floats: Function = prepared.floats.function
        self.scaled: Function = insert_quantisation(prepared.named.function, prepared.ranges)
        found = lowered_layers(self.scaled)
        self._layers: Mapping[Equation, LoweredLayer] = {
            each: layer for each, layer in found.items() if self._constants(each) is not None
        }
        ends = (each.operator for each in self.scaled.equations if isinstance(each.operator, Quantise))
        self._scales = tuple(dict.fromkeys(QuantParams(each.scale, each.zero_point) for each in ends))

    @property
    def has_layers(self) -> bool:
        """Whether it has weights that are trained."""
        return bool(self._layers)

    @cached_property
    def trainables(self) -> tuple[Trainable, ...]:
        """Of each layer weights, scales of channels and bias; then the scale of each activation."""
        adam = Adam(epsilon=_EPSILON)
        found = [each for pair in self._layers.items() for each in self._of_layer(*pair, adam)]
        for number, each in enumerate(self._scales):
            found.append(_scale(f"scale_{number}", np.asarray(each.scale, np.float32), adam))
        return tuple(found)

    def in_floats(self, b: Builder, arguments: Sequence[Value], sizes: Mapping[str, AnySize]) -> list[Value]:
        """The results in floats; arguments as of `ir.inline`."""
        return list(inline(b, self.floats, arguments, emit, sizes))

    def fake_quantised(
        self,
        b: Builder,
        arguments: Sequence[Value],
        sizes: Mapping[str, AnySize],
        trained: Sequence[Value],
    ) -> list[Value]:
        """The results in floats, with what integers leave of them; `trained` in the order of `trainables`."""
        layers, scales = self._named(trained)

        def rounded(b: Builder, parameters: QuantParams, x: Value) -> Value:
            low, high = (limit - parameters.zero_point for limit in (INT8_MINIMUM, INT8_MAXIMUM))
            return fake_quantise(b, x, scales[parameters], low, high)

        def weights(b: Builder, equation: Equation) -> tuple[Value, Value]:
            weight, scale, bias = layers[equation]
            return fake_quantise(b, weight, scale, -WEIGHT_MAXIMUM, WEIGHT_MAXIMUM), bias

        return self._inlined(b, arguments, sizes, rounded, weights)

    def in_integers(
        self, b: Builder, arguments: Sequence[Value], sizes: Mapping[str, AnySize], trained: Sequence[Array]
    ) -> list[Value]:
        """The results as of a network that was quantised before: scales, zero points and integer weights."""
        layers, scales = self._named(trained)

        def rounded(b: Builder, parameters: QuantParams, x: Value) -> Value:
            scale = b.constant(scales[parameters])
            zero = b.constant(np.asarray(parameters.zero_point, np.int8))
            return dequantise(b, quantise(b, x, scale, zero), scale, zero)

        def weights(b: Builder, equation: Equation) -> tuple[Value, Value]:
            weight, scale, bias = layers[equation]
            unit = scale.reshape(-1) * scales[self._layers[equation].x]
            integers = np.clip(np.rint(weight / scale), -WEIGHT_MAXIMUM, WEIGHT_MAXIMUM).astype(np.int8)
            sums = np.rint(bias / unit).astype(np.int32)
            return _dequantised(b, integers, scale), _dequantised(b, sums, unit)

        return self._inlined(b, arguments, sizes, rounded, weights)

    # --- details -------------------------------------------------------------------------------------------

    def _inlined(
        self,
        b: Builder,
        arguments: Sequence[Value],
        sizes: Mapping[str, AnySize],
        rounded: Rounded,
        weights: Weights,
    ) -> list[Value]:
        def each(
            b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
        ) -> Sequence[Value]:
            if isinstance(operator, Quantise):
                # The value itself: the dequantise equation behind it does both.
                return operands
            if isinstance(operator, Dequantise):
                return (rounded(b, QuantParams(operator.scale, operator.zero_point), operands[0]),)
            if equation in self._layers:
                operands = (operands[0], *weights(b, equation))
            if isinstance(operator, _PRODUCTS):
                # As networks say it: the quantiser reads its definition, not the operator.
                with b.label(*equation.labels):
                    return inline(b, operator.expanded(*(value.type for value in operands)), operands)
            return emit(b, equation, operator, operands)

        return list(inline(b, self.scaled, arguments, each, sizes))

    def _constants(self, layer: Equation) -> tuple[Array, Array] | None:
        """Weights and bias, if both are floats."""
        weight, bias = (literal_of(self.scaled, value) for value in layer.operands[1:])
        return None if weight is None or bias is None else (weight, bias)

    def _of_layer(self, equation: Equation, layer: LoweredLayer, adam: Adam) -> Iterator[Trainable]:
        constants = self._constants(equation)
        assert constants is not None, "chosen so"
        weight, bias = constants
        name, scale = equation.result.name, layer.weight.astype(np.float32)
        # The rate is a share of the largest weight of a channel, and of that times the largest input.
        unit = scale * np.float32(WEIGHT_MAXIMUM)
        along = (-1, *(1 for _ in weight.shape[1:]))
        largest = np.float32(layer.x.scale * layer.x.reach)
        yield Trainable(f"{name}_weight", weight, InUnits(adam, Literal(unit.reshape(along))))
        yield _scale(f"{name}_scale", scale.reshape(along), adam)
        yield Trainable(f"{name}_bias", bias, InUnits(adam, Literal(unit * largest)))

    def _named(self, trained: Sequence[T]) -> tuple[dict[Equation, tuple[T, ...]], dict[QuantParams, T]]:
        """What is trained, by layer and by the scale that it was."""
        count = 3 * len(self._layers)
        layers = {each: tuple(trained[3 * k : 3 * k + 3]) for k, each in enumerate(self._layers)}
        return layers, dict(zip(self._scales, trained[count:], strict=True))


def _dequantised(b: Builder, integers: Array, scale: Array) -> Value:
    """A constant of integers as floats."""
    operands = (b.constant(each) for each in (integers, scale, np.zeros((), integers.dtype)))
    return dequantise(b, *operands)


def _scale(name: str, start: Array, adam: Adam) -> Trainable:
    low, high = Literal(start / np.float32(MOST_DRIFT)), Literal(start * np.float32(MOST_DRIFT))
    return Trainable(name, start, Multiplicative(adam, low, high))
