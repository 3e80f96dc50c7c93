"""Values in memory: the buffer of each, and the order of its axes there."""

from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.type import TensorType

Order = tuple[int, ...]


@dataclass(frozen=True)
class BufferView:
    """A value in memory: a buffer, read in an order of axes.

    Members:
        buffer: its name.
        type: of the value.
        order: of its axes in memory, the outermost first.
    """

    buffer: str
    type: TensorType
    order: Order

    @property
    def axes(self) -> Order:
        """The order without axes of one element, which have no place."""
        return tuple(axis for axis in self.order if self.type.numbers[axis] != 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of `axes`."""
        return tuple(self.type.numbers[axis] for axis in self.axes)

    @property
    def dtype(self) -> DType:
        """Of an element."""
        return self.type.dtype

    def is_in(self, order: Order) -> bool:
        """Whether elements lie as in another order of axes."""
        return self.axes == tuple(axis for axis in order if self.type.numbers[axis] != 1)


def plain(rank: int) -> Order:
    """The order of the axes themselves."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """(batch, channels, spatial..) with the channels innermost."""
    return (0, *range(2, rank), 1)


def carried(order: Order, source: Sequence[int], shape: Sequence[int]) -> Order:
    """The order for another shape, in which axes of one element come or go."""
    old = [axis for axis, size in enumerate(source) if size != 1]
    new = [axis for axis, size in enumerate(shape) if size != 1]
    moved = dict(zip(old, new, strict=True))
    singles = [axis for axis, size in enumerate(shape) if size == 1]
    return (*singles, *(moved[axis] for axis in order if axis in moved))
