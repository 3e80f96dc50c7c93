"""Values that are views of feature maps: which of their axes are channels, and which pixels.

Feature maps have channels in front. Where a network has them behind, as one of [batch, tokens, features], its
values are views: the same elements, which the host puts in order where it gives or takes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.type import Shape
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose, inverse

Emit = Callable[..., Value]
"""Adds an equation of an operator and its operands."""
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Arrangement:
    """The arrangement of a value as feature maps of (batch, channels, pixels, 1).

    The axes of a value are made of *parts*, so that one of them may be channels and pixels at a time:
    features that are heads × size, of which heads are pixels. Parts have two elements at least.

    Members:
        shape: of the value, the batch as 1.
        parts: sizes that make its axes behind the batch, in the order of rows.
        channels, pixels: numbers of the parts, outermost first.
        feature_map: what it is a view of, once there is such.
    """

    shape: Sizes
    parts: Sizes
    channels: Sizes
    pixels: Sizes
    feature_map: Value | None = None

    @staticmethod
    def of(value: Value, channels: Sizes, feature_map: Value | None = None) -> "Arrangement":
        """The arrangement of a value some of whose axes are channels, while the others keep their order."""
        shape = tuple(size if isinstance(size, int) else 1 for size in value.type.shape)
        axes = [axis for axis, size in enumerate(shape) if axis > 0 and size > 1]
        own = tuple(axes.index(axis) for axis in channels if axis in axes)
        pixels = tuple(number for number in range(len(axes)) if number not in own)
        return Arrangement(shape, tuple(shape[axis] for axis in axes), own, pixels, feature_map)

    def __str__(self) -> str:
        channels, pixels = (
            "×".join(str(self.parts[part]) for part in parts) or "1" for parts in (self.channels, self.pixels)
        )
        return f"{channels} channels of {pixels} pixels"

    @property
    def order(self) -> Sizes:
        """All parts in the order of memory: channels, pixels."""
        return (*self.channels, *self.pixels)

    @property
    def count(self) -> int:
        """The number of channels."""
        return prod(self.parts[part] for part in self.channels)

    @property
    def is_natural(self) -> bool:
        """Whether the second axis are the channels, and all others follow."""
        return self.is_in_order and (len(self.shape) < 2 or self.count == self.shape[1])

    @property
    def is_in_order(self) -> bool:
        """Whether the elements lie in the order of rows."""
        return self.order == tuple(range(len(self.parts)))

    def has_same_order(self, other: "Arrangement") -> bool:
        """Whether the elements of both, of one value, lie alike."""
        found = self.alike(other)
        return found is not None and (found[0].channels, found[0].pixels) == (
            found[1].channels,
            found[1].pixels,
        )

    def alike(self, other: "Arrangement") -> "tuple[Arrangement, Arrangement] | None":
        """Both arrangements of one value in the same parts; None if there are no such parts."""
        own = self.refined(other) or self
        finer = other.refined(own)
        return None if finer is None else (own, finer)

    def is_transposition_of(self, before: "Arrangement") -> bool:
        """Whether channels become pixels, and pixels channels."""
        return self.channels == before.pixels and self.pixels == before.channels

    def is_reached_by_heads(self, before: "Arrangement") -> bool:
        """Whether the first of the channels become rows, or the first rows become channels again."""
        one, two = (each.channels + each.pixels for each in (before, self))
        if one == two:
            return True
        spread, joined = before, self
        if len(spread.channels) < len(joined.channels):
            spread, joined = joined, spread
        count = len(spread.channels) - len(joined.channels)
        return (
            count > 0
            and joined.channels == spread.channels[count:]
            and joined.pixels == spread.channels[:count] + spread.pixels
        )

    def transposed(self, permutation: Sizes) -> "Arrangement":
        """The arrangement of the value with its axes in another order."""
        order = [part for axis in permutation for part in self._of_axes[axis]]
        index = inverse(order)
        channels, pixels = (tuple(index[part] for part in parts) for parts in (self.channels, self.pixels))
        shape, parts = (self.shape[axis] for axis in permutation), (self.parts[part] for part in order)
        return Arrangement(tuple(shape), tuple(parts), channels, pixels, self.feature_map)

    def reshaped(self, shape: Sizes) -> "Arrangement | None":
        """The arrangement of the value with other sizes; None if its parts cannot make them."""
        new = tuple(size for size in shape[1:] if size > 1)
        found = self._split(new)
        if found is None:
            return None
        parts, channels, pixels = found
        return Arrangement(shape, parts, channels, pixels, self.feature_map)

    def refined(self, other: "Arrangement") -> "Arrangement | None":
        """The arrangement in the parts of another one of the value; None if these do not divide its own."""
        found = self._split(other.parts)
        if found is None or found[0] != other.parts:
            return None
        return Arrangement(self.shape, *found, self.feature_map)

    @property
    def _of_axes(self) -> list[Sizes]:
        """The parts of each axis."""
        found, part = [], 0
        for axis, size in enumerate(self.shape):
            first, rest = part, size if axis else 1
            while rest > 1:
                rest //= self.parts[part]
                part += 1
            found.append(tuple(range(first, part)))
        return found

    def _split(self, sizes: Sizes) -> tuple[Sizes, Sizes, Sizes] | None:
        """Parts that make these sizes: they, and which are channels and pixels."""
        parts: list[int] = []
        of_old: list[Sizes] = []
        for old, new in _runs(self.parts, sizes):
            if len(old) > 1 < len(new):
                return None
            first = len(parts)
            parts += [self.parts[part] for part in old] if len(old) > 1 else [sizes[axis] for axis in new]
            numbers = tuple(range(first, len(parts)))
            of_old += [(number,) for number in numbers] if len(old) > 1 else [numbers]
        channels, pixels = (
            tuple(number for part in role for number in of_old[part]) for role in (self.channels, self.pixels)
        )
        return tuple(parts), channels, pixels


def _runs(before: Sizes, after: Sizes) -> list[tuple[Sizes, Sizes]]:
    """Indices of both in runs of equally many elements, as short as possible; all sizes are above 1."""
    old, new = list(enumerate(before)), list(enumerate(after))
    found = []
    while old and new:
        left, right = [old.pop(0)], [new.pop(0)]
        while (difference := prod(size for _, size in left) - prod(size for _, size in right)) != 0:
            (right if difference > 0 else left).append((new if difference > 0 else old).pop(0))
        found.append((tuple(index for index, _ in left), tuple(index for index, _ in right)))
    return found


def arranged_to(emit: Emit, value: Value, arrangement: Arrangement) -> Value:
    """The feature maps (batch, channels, pixels, 1) of a value."""
    batch, pixels = value.type.shape[0], prod(arrangement.parts[part] for part in arrangement.pixels)
    split = _reshaped(emit, value, (batch, *arrangement.parts))
    ordered = _transposed(emit, split, arrangement.order)
    return _reshaped(emit, ordered, (batch, arrangement.count, pixels, 1))


def arranged_from(emit: Emit, feature_map: Value, arrangement: Arrangement) -> Value:
    """The value; the inverse of `arranged_to`."""
    batch: Shape = feature_map.type.shape[:1]
    split = _reshaped(emit, feature_map, (*batch, *(arrangement.parts[part] for part in arrangement.order)))
    ordered = _transposed(emit, split, inverse(arrangement.order))
    return _reshaped(emit, ordered, (*batch, *arrangement.shape[1:]))


def rearranged_map(emit: Emit, feature_map: Value, before: Arrangement, after: Arrangement) -> Value:
    """The feature maps (batch, channels, pixels, 1) of a value in another arrangement of the same parts."""
    batch: Shape = feature_map.type.shape[:1]
    split = _reshaped(emit, feature_map, (*batch, *(before.parts[part] for part in before.order)))
    ordered = _transposed(emit, split, tuple(before.order.index(part) for part in after.order))
    pixels = prod(after.parts[part] for part in after.pixels)
    return _reshaped(emit, ordered, (*batch, after.count, pixels, 1))


def _transposed(emit: Emit, value: Value, order: Sizes) -> Value:
    """The value with the axes behind the batch in that order."""
    permutation = (0, *(part + 1 for part in order))
    return value if permutation == tuple(range(len(permutation))) else emit(Transpose(permutation), value)


def _reshaped(emit: Emit, value: Value, shape: Shape) -> Value:
    return value if value.type.shape == shape else emit(Reshape(shape), value)
