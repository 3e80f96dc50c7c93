"""Buffers: arrays that loop programs read and write, each in a memory scope."""

from enum import StrEnum

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.value import value


class MemoryScope(StrEnum):
    """The memory that a buffer lies in. Each target says what its memories can hold."""

    GLOBAL = "global"
    """The memory outside, or the host's."""
    ACTIVATION = "activation"
    WEIGHT = "weight"
    ACCUMULATOR = "accumulator"
    PARAMETER = "parameter"
    TABLE = "table"
    """The look-up table of int8 values, the same for each lane: the memory holds one at a time."""
    LANE = "lane"
    """A register of each lane: exists from item to item of one instruction."""


@value
class Align:
    """The stride of an axis is k · factor + offset elements, for the smallest k that fits."""

    axis: int
    factor: int
    offset: int


@value
class Buffer:
    """A dense row-major array.

    Members:
        name: unique in a function.
        shape: extents; expressions in the variables of the loops around its `Allocate`, constants elsewhere.
            The array is dense in the extents that it has there: at an edge it is smaller, not padded.
        dtype: of its elements.
        scope: the memory that it lies in.
        depth: buffering depth: the number of instances that exist at a time. Successive iterations take them
            in turn, so that one is filled while another is used. An instance that still holds what a fill
            would give it need not be filled again.
        align: strides that are larger than dense ones; holes between elements hold nothing.
    """

    name: str
    shape: tuple[Expr, ...]
    dtype: DType
    scope: MemoryScope = MemoryScope.GLOBAL
    depth: int = 1
    align: tuple[Align, ...] = ()

    def strides(self, extents: tuple[int, ...]) -> tuple[int, ...]:
        """Elements from one index to the next, in each dimension, where the extents have these values."""
        result: list[int] = []
        step = 1
        for axis in reversed(range(len(extents))):
            for align in self.align:
                if align.axis == axis:
                    step += (align.offset - step) % align.factor
            result.append(step)
            step *= extents[axis]
        return tuple(reversed(result))
