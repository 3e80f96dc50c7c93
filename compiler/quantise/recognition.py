"""A function of floats while it becomes one of the few operators that quantisation knows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import Shape
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.quantise.constant import Constants
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.pointwise import Pointwise

if TYPE_CHECKING:
    from tilewright.compiler.quantise.recognise_linear import Linear

Sample = tuple[int, ...]
"""Sizes behind the batch."""


@dataclass
class Recognition:
    """What is known so far.

    Members:
        source: the function; all sizes are numbers, the batch is 1.
        batch: the size that stands for it in what is built.
        b: the function that is built.
        constants: of `source`.
        values: of each value of `source` that was recognised: what it is there.
        equations: what makes each value in `b`.
        sums: values that are sums over feature maps, and wait for the division that makes them means: over
            what, and of how many pixels.
        linears: layers with weights, by their results in `b`.
        repeated: values that have one element for each channel over and over: of which value in `b`.
    """

    source: Function
    batch: Size
    b: Builder
    constants: Constants
    values: dict[Value, Value] = field(default_factory=dict)
    equations: dict[Value, Equation] = field(default_factory=dict)
    sums: dict[Value, tuple[Value, int]] = field(default_factory=dict)
    linears: dict[Value, "Linear"] = field(default_factory=dict)
    repeated: dict[Value, Value] = field(default_factory=dict)
    pointwise: Pointwise = field(init=False)
    """Functions of single elements in `source`."""

    def __post_init__(self) -> None:
        self.pointwise = Pointwise(self.source, self.constants)

    def activation(self, value: Value) -> Value:
        """What stands for a value that depends on the input.

        Raises:
            GroupError: if it is a constant, or a sum that only a division makes a mean.
            KeyError: if it was refused.
        """
        require(value not in self.constants, f"{value} must be computed from the input, not be a constant")
        require(value not in self.sums, "a sum over a feature map must be divided by its number of pixels")
        text = f"an activation must not be repeated to {value.type}, but as factors of channels"
        require(value not in self.repeated, text)
        return self.values[value]

    def is_known(self, value: Value) -> bool:
        """Whether a value was recognised, or is a part of what a later one tells."""
        is_part = value in self.sums or value in self.repeated or self.pointwise.is_inner(value)
        return value in self.values or value in self.constants or is_part

    def is_moving(self, value: Value) -> bool:
        """Whether a value depends on the input."""
        return value not in self.constants

    def emit(self, operator: Operator, *operands: Value, labels: tuple[str, ...] = ()) -> Value:
        """Adds an equation; in the context of its labels, or with those given."""
        if labels:
            with self.b.label(*labels):
                result = self.b.emit(operator, *operands)
        else:
            result = self.b.emit(operator, *operands)
        self.equations.setdefault(result, Equation((result,), operator, operands, labels))
        return result

    def reshape(self, x: Value, sample: Sample) -> Value:
        """x with other sizes behind the batch; a view of a view is one, or none."""
        x = self.under(x)
        shape: Shape = (self.batch, *sample)
        return x if x.type.shape == shape else self.emit(Reshape(shape), x)

    def under(self, x: Value) -> Value:
        """What x is a view of."""
        while (before := self.equations.get(x)) is not None and isinstance(before.operator, Reshape):
            x = before.operands[0]
        return x

    def image(self, x: Value) -> Value:
        """A sequence (batch, channels, length) as feature maps of height 1; feature maps as they are."""
        sample = sample_of(x)
        return x if len(sample) != 2 else self.reshape(x, (sample[0], 1, sample[1]))

    def of_image(self, y: Value, x: Value) -> Value:
        """What was made of the image of x, as a sequence if x is one."""
        if len(sample_of(x)) != 2:
            return y
        channels, _, length = sample_of(y)
        return self.reshape(y, (channels, length))

    def emit_elements(self, operator: Operator, *operands: Value) -> Value:
        """Adds an equation on single elements: of sequences, one on their images, which others may join."""
        return self.of_image(self.emit(operator, *map(self.image, operands)), operands[0])

    def weights(self, array: Array) -> Value:
        """A constant of finite floats.

        Raises:
            GroupError: if there are others.
        """
        require(bool(np.isfinite(array).all()), "weights must be finite, but hold NaN or infinity")
        return self.b.constant(Literal(np.ascontiguousarray(array.astype(np.float32))))

    def is_read_once(self, value: Value) -> bool:
        """Whether one equation reads a value of the source, and it is no result."""
        readers = self.source.consumers.get(value, ())
        return len(readers) == 1 and value not in self.source.results


Rule = Callable[[Recognition, Equation], Value | None]
"""What an equation of the source is; None if a later one tells."""
RULES: dict[type[Operator], Rule] = {}
"""By operator."""
R = TypeVar("R", bound=Rule)


def rule(*kinds: type[Operator]) -> Callable[[R], R]:
    """Registers what recognises operators."""

    def register(function: R) -> R:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


def sample_of(value: Value) -> Sample:
    """Sizes of a value behind its batch, in either function."""
    return tuple(size for size in value.type.shape[1:] if isinstance(size, int))


def feature_map(value: Value) -> tuple[int, int, int]:
    """Channels, height and width.

    Raises:
        GroupError: if it has other axes.
    """
    require(value.type.rank == 4, f"its input must be feature maps with 4 axes, not {value.type}")
    channels, height, width = sample_of(value)
    return channels, height, width


def describe(equation: Equation) -> str:
    """An equation in messages: its operator and its label."""
    operator = equation.operator
    kind = operator.function if isinstance(operator, Map) else operator.name
    return f"{kind} {equation.label!r}"
