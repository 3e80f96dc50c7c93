"""A function of floats while it becomes one of the few operators that quantisation knows."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from tilewright.compiler.ir.array import Array, Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import Shape
from tilewright.compiler.ops.nn.activation import Gelu, HardSwish, Swish
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.pointwise import Pointwise
from tilewright.compiler.ops.nn.product import GroupedProduct, PartSum
from tilewright.compiler.ops.nn.quantise import DequantiseAffine, QuantiseAffine
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.quantise.arrangement import Arrangement, arranged_from, arranged_to, rearranged_map
from tilewright.compiler.quantise.constant import Constants
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.pointwise import PointwiseAnalysis

if TYPE_CHECKING:
    from tilewright.compiler.quantise.recognise_linear import Linear

Sample = tuple[int, ...]
"""Sizes behind the batch."""
ELEMENTWISE = (
    Map,
    Cast,
    Clip,
    Gelu,
    Swish,
    HardSwish,
    Pointwise,
    QuantiseAffine,
    DequantiseAffine,
    Quantise,
    Dequantise,
)
"""Operators on single elements."""

_BETWEEN = (Reshape, Quantise, Dequantise)
"""Operators that may lie between a layer and a view that moves its heads."""


@dataclass
class Recognition:
    """The state of recognition: the new function, and what is known of the values of the source.

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
        arrangements: values in `b` that are views of feature maps in another order of axes.
        given_as: how values that the host gives are read, where that is not in their own order.
        transposes: whether the machine can transpose what a product of two activations reads.
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
    arrangements: dict[Value, Arrangement] = field(default_factory=dict)
    given_as: dict[Value, Arrangement] = field(default_factory=dict)
    transposes: bool = True
    pointwise: PointwiseAnalysis = field(init=False)
    """Functions of single elements in `source`."""

    def __post_init__(self) -> None:
        self.pointwise = PointwiseAnalysis(self.source, self.constants)

    def activation(self, value: Value) -> Value:
        """The new value of one that depends on the input, in the order of its axes.

        Raises:
            GroupError: if it is a constant, a sum that only a division makes a mean, or lies in memory in
                another order.
            KeyError: if it was refused.
        """
        found = self.view(value)
        arrangement = self.arrangements.get(found)
        text = (
            f"{value.type} must lie in memory in the order of its axes, channels first, not as {arrangement}"
        )
        require(arrangement is None or arrangement.is_natural, text)
        return found

    def view(self, value: Value) -> Value:
        """The new value of one that depends on the input, however its elements lie in memory.

        Raises:
            GroupError, KeyError: as `activation` does, but for the order.
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
        """The value that x is a view of."""
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

    # --- values whose last axes are channels ---

    def feature_map(
        self, value: Value, channels: tuple[int, ...], moves: bool = False, transposes: bool = False
    ) -> Value:
        """The feature maps (batch, channels, pixels, 1) that a value is a view of.

        Args:
            value: of the source.
            channels: its axes that are channels, outermost first; the others, in their order, are pixels.
            moves: whether a product with weights may write heads as rows, or read them so.
            transposes: whether pixels may become channels, and channels pixels, of such a product.

        Raises:
            GroupError: if it lies in memory in another order.
        """
        return self._ordered(value, Arrangement.of(self.view(value), channels), moves, transposes)

    def _ordered(
        self, value: Value, wanted: Arrangement, moves: bool = False, transposes: bool = False
    ) -> Value:
        x = self.view(value)
        found = self.arrangements.get(x)
        if found is None and self.is_given(x):
            return self._given(x, wanted)
        if found is None:
            found = Arrangement.of(x, (1,))
        text = f"{value.type} must lie in memory as {wanted}, and lies there as {found}"
        base = x if found.feature_map is None else found.feature_map
        both = found.alike(wanted) if moves else None
        if both is not None and not found.has_same_order(wanted):
            is_transposed = transposes and both[1].is_transposition_of(both[0]) and self.transposes
            require((both[1].is_reached_by_heads(both[0]) or is_transposed) and self._may_move(base), text)
            return rearranged_map(self.emit, base, *both)
        require(found.has_same_order(wanted), text)
        return self._as_rows(base)

    def _may_move(self, x: Value) -> bool:
        """Whether what makes feature maps can write them in another order, or who reads them can take it."""
        while (equation := self.equations.get(x)) is not None and isinstance(equation.operator, _BETWEEN):
            x = equation.operands[0]
        if equation is None or not isinstance(equation.operator, Convolution):
            return equation is not None and isinstance(equation.operator, GroupedProduct | PartSum)
        operator, kernel = equation.operator, equation.operands[1].type.shape[2:]
        windows = kernel, operator.strides, operator.pads, operator.groups
        return windows == ((1, 1), (1, 1), (0, 0, 0, 0), 1)

    def unarranged(self, feature_map: Value, like: Value, channels: tuple[int, ...]) -> Value:
        """The view of feature maps that stands for a value of the source; the inverse of `feature_map`."""
        return self.rearranged(Arrangement.of(like, channels, feature_map))

    def rearranged(self, arrangement: Arrangement) -> Value:
        """The view of feature maps that an arrangement describes."""
        assert arrangement.feature_map is not None, "there is something to view"
        result = arranged_from(self.emit, arrangement.feature_map, arrangement)
        self.arrangements[result] = arrangement
        return result

    def each(self, operator: Operator, *operands: Value) -> Value:
        """An operator on single elements, where those of its operands lie.

        Args:
            operator: it.
            operands: of the source, of the shape of its result.
        """
        found = next((each for each in map(self.order_of, operands) if each is not None), None)
        inner = [self.inner(value, found) for value in operands]
        return self.outer(self.emit(operator, *inner), found, operands[0])

    def passed(self, operator: Quantise | Dequantise, value: Value) -> Value:
        """A conversion of a value; where the host does it, of what it has, in the order of that."""
        x = self.view(value)
        is_host = x not in self.arrangements and self.is_given(x)
        return self.emit(operator, x) if is_host else self.each(operator, value)

    def order_of(self, value: Value) -> Arrangement | None:
        """The arrangement of a value, if it is, or shall be, a view of feature maps."""
        x = self.view(value)
        found = self.arrangements.get(x) or self.given_as.get(x)
        if found is not None:
            return found
        is_row = value in self._rows and self.is_given(x)
        return Arrangement.of(x, (value.type.rank - 1,)) if is_row else None

    def inner(self, value: Value, order: Arrangement | None) -> Value:
        """What operators on single elements read of a value: the feature maps, if it is a view of such."""
        return self.image(self.activation(value)) if order is None else self._ordered(value, order)

    def outer(self, result: Value, order: Arrangement | None, like: Value) -> Value:
        """The result of an equation of which the feature maps are there; the inverse of `inner`.

        Args:
            result: feature maps.
            order: how the operands lie.
            like: one of the operands, of the source.
        """
        if order is None:
            return self.of_image(result, self.activation(like))
        return self.rearranged(replace(order, feature_map=result))

    @cached_property
    def _rows(self) -> frozenset[Value]:
        """Values whose last axis a product of matrices sums, perhaps behind operators on elements."""
        found: set[Value] = set()
        for equation in reversed(self.source.equations):
            operator, first = equation.operator, equation.operands[:1]
            if isinstance(operator, Dot) and operator.contract_a == (first[0].type.rank - 1,):
                found.update(value for value in first if value.type.rank > 2)
            elif equation.results[0] in found and isinstance(operator, ELEMENTWISE):
                found.update(
                    value for value in equation.operands if value.type.shape == equation.result.type.shape
                )
        return frozenset(found)

    def is_input(self, x: Value) -> bool:
        """Whether a value is a parameter, or a view of one, that nothing has quantised yet."""
        while (equation := self.equations.get(x)) is not None and isinstance(
            equation.operator, Reshape | Transpose
        ):
            x = equation.operands[0]
        return x not in self.equations

    def is_given(self, x: Value) -> bool:
        """Whether the host makes a value, in any order that its reader wants."""
        views = (Reshape, Transpose, Quantise, Dequantise)
        while (equation := self.equations.get(x)) is not None and isinstance(equation.operator, views):
            x = equation.operands[0]
        return x not in self.equations

    def _given(self, x: Value, wanted: Arrangement) -> Value:
        self.given_as.setdefault(x, wanted)
        return arranged_to(self.emit, x, wanted)

    def _as_rows(self, x: Value) -> Value:
        channels, *pixels = sample_of(x)
        return self.reshape(x, (channels, int(np.prod(pixels)), 1))

    def weights(self, array: Array) -> Value:
        """A constant of finite floats.

        Raises:
            GroupError: if there are others.
        """
        require(bool(np.isfinite(array).all()), "weights must be finite, but hold NaN or infinity")
        return self.b.constant(Literal(np.ascontiguousarray(array.astype(np.float32))))

    def is_repeated(self, value: Value) -> bool:
        """Whether a value of the source is a smaller one over and over."""
        made = self.source.producers.get(value)
        is_broadcast = made is not None and isinstance(made.operator, Broadcast)
        return is_broadcast and made is not None and made.operands[0].type.shape != value.type.shape

    def is_read_once(self, value: Value) -> bool:
        """Whether one equation reads a value of the source, and it is no result."""
        readers = self.source.consumers.get(value, ())
        return len(readers) == 1 and value not in self.source.results


Rule = Callable[[Recognition, Equation], Value | None]
"""A rule: the new value of an equation of the source; None if a later equation decides."""
RULES: dict[type[Operator], Rule] = {}
"""The rules by operator."""
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
