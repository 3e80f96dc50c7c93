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


@dataclass(frozen=True)
class Arrangement:
    """How a value lies as feature maps of (batch, channels, pixels, 1).

    Members:
        channels, pixels: axes of the value, outermost first; the first axis is the batch.
        sizes: of all axes.
        feature_map: what it is a view of, once there is such.
    """

    channels: tuple[int, ...]
    pixels: tuple[int, ...]
    sizes: tuple[int, ...]
    feature_map: Value | None = None

    @staticmethod
    def of(value: Value, channels: tuple[int, ...], feature_map: Value | None = None) -> "Arrangement":
        """That of a value some of whose axes are channels, while the others keep their order."""
        rank = value.type.rank
        pixels = tuple(axis for axis in range(1, rank) if axis not in channels)
        sizes = tuple(size if isinstance(size, int) else 1 for size in value.type.shape)
        return Arrangement(channels, pixels, sizes, feature_map)

    def __str__(self) -> str:
        channels, pixels = (
            "×".join(str(self.sizes[axis]) for axis in axes) or "1" for axes in (self.channels, self.pixels)
        )
        return f"{channels} channels of {pixels} pixels"

    def transposed(self, permutation: tuple[int, ...]) -> "Arrangement":
        """That of the value with its axes in another order."""
        place = inverse(permutation)
        channels, pixels = (tuple(place[axis] for axis in axes) for axes in (self.channels, self.pixels))
        sizes = tuple(self.sizes[axis] for axis in permutation)
        return Arrangement(channels, pixels, sizes, self.feature_map)

    def reshaped(self, sizes: tuple[int, ...]) -> "Arrangement | None":
        """That of the value with other sizes; None if channels and pixels would share an axis."""
        runs = _runs(self.sizes, sizes)
        found = [
            self._reshaped(axes, [old for old, _ in runs], [new for _, new in runs]) for axes in self._roles
        ]
        if any(each is None for each in found):
            return None
        channels, pixels = (tuple(each) for each in found if each is not None)
        alone = tuple(axis for axis in range(1, len(sizes)) if axis not in (*channels, *pixels))
        return Arrangement(channels, (*alone, *pixels), sizes, self.feature_map)

    @property
    def _roles(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.channels, self.pixels

    def _reshaped(
        self, axes: tuple[int, ...], before: list[tuple[int, ...]], after: list[tuple[int, ...]]
    ) -> list[int] | None:
        """The axes that stand for some of one role; runs of axes must be of one role, and side by side."""
        moving, found = [axis for axis in axes if self.sizes[axis] > 1], list[int]()
        while moving:
            number = next(place for place, run in enumerate(before) if moving[0] in run)
            run = list(before[number])
            if moving[: len(run)] != run:
                return None
            moving = moving[len(run) :]
            found += after[number]
        return found

    @property
    def order(self) -> tuple[int, ...]:
        """All axes as they lie: batch, channels, pixels."""
        return (0, *self.channels, *self.pixels)

    @property
    def count(self) -> int:
        """Of channels."""
        return prod(self.sizes[axis] for axis in self.channels)

    @property
    def is_natural(self) -> bool:
        """Whether the second axis are the channels, and all others follow."""
        return self.is_in_order and (len(self.sizes) < 2 or self.count == self.sizes[1])

    @property
    def is_in_order(self) -> bool:
        """Whether the elements lie in the order of rows."""
        return self._moving == sorted(self._moving)

    @property
    def _moving(self) -> list[int]:
        """Axes as they lie, without those of one index: where these are does not matter."""
        return [axis for axis in self.order if self.sizes[axis] > 1]

    def has_same_order(self, other: "Arrangement") -> bool:
        """Whether the elements of both lie alike."""
        return self._moving == other._moving and self.count == other.count


def _runs(before: tuple[int, ...], after: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Axes of both shapes in runs of as many elements, as short as possible; without axes of one index."""
    old, new = ([(axis, size) for axis, size in enumerate(sizes) if size > 1] for sizes in (before, after))
    found = []
    while old and new:
        left, right = [old.pop(0)], [new.pop(0)]
        while (difference := prod(size for _, size in left) - prod(size for _, size in right)) != 0:
            (right if difference > 0 else left).append((new if difference > 0 else old).pop(0))
        found.append((tuple(axis for axis, _ in left), tuple(axis for axis, _ in right)))
    return found


def arranged_to(emit: Emit, value: Value, arrangement: Arrangement) -> Value:
    """The feature maps (batch, channels, pixels, 1) of a value."""
    pixels = prod(arrangement.sizes[axis] for axis in arrangement.pixels)
    return _reshaped(
        emit,
        _transposed(emit, value, arrangement.order),
        (value.type.shape[0], arrangement.count, pixels, 1),
    )


def arranged_from(emit: Emit, feature_map: Value, arrangement: Arrangement, shape: Shape) -> Value:
    """The value of that shape; the inverse of `arranged_to`."""
    split = _reshaped(emit, feature_map, tuple(shape[axis] for axis in arrangement.order))
    return _transposed(emit, split, inverse(arrangement.order))


def _transposed(emit: Emit, value: Value, order: tuple[int, ...]) -> Value:
    return value if order == tuple(range(len(order))) else emit(Transpose(order), value)


def _reshaped(emit: Emit, value: Value, shape: Shape) -> Value:
    return value if value.type.shape == shape else emit(Reshape(shape), value)
