"""Numeric loops: merged where they compose, split and put into the loop fields of an instruction."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.isa.encoding import IntArray


class StridedLoop(NamedTuple):
    """A loop of `extent` steps; a step moves each access by one of `strides` (elements of its buffer)."""

    extent: int
    strides: tuple[int, ...]

    def split(self, inner: int) -> "tuple[StridedLoop, StridedLoop]":
        """An outer loop around one of `inner` steps, which must divide the extent."""
        outer = tuple(inner * stride for stride in self.strides)
        return StridedLoop(self.extent // inner, outer), StridedLoop(inner, self.strides)

    def composes(self, inner: "StridedLoop") -> bool:
        """Whether this loop around `inner` is one loop: each stride is that of all steps of `inner`."""
        return all(mine == inner.extent * its for mine, its in zip(self.strides, inner.strides, strict=True))


ABSENT = StridedLoop(1, ())
"""A role that no loop has; what does not move has no strides."""


def merged(axes: Iterable[StridedLoop]) -> list[StridedLoop]:
    """The loops without those of one step, and with one for each two that compose."""
    left = [axis for axis in axes if axis.extent != 1]
    while (pair := _composing(left)) is not None:
        outer, inner = pair
        left[outer] = StridedLoop(left[outer].extent * left[inner].extent, left[inner].strides)
        del left[inner]
    return left


def _composing(axes: Sequence[StridedLoop]) -> tuple[int, int] | None:
    for outer, axis in enumerate(axes):
        for inner, other in enumerate(axes):
            if outer != inner and axis.composes(other):
                return outer, inner
    return None


def fitted(axes: Sequence[StridedLoop], maxima: Sequence[int], what: str) -> list[StridedLoop]:
    """The loops in fields of these largest values, both innermost first; `ABSENT` where none is left.

    A loop too long for its field goes into two.

    Raises:
        MismatchError: if there are more loops than fields.
    """
    waiting, result = list(axes), []
    for maximum in maxima:
        if not waiting:
            break
        axis = waiting.pop(0)
        if axis.extent > maximum:
            outer, axis = axis.split(_largest_divisor(axis.extent, maximum))
            waiting.insert(0, outer)
        result.append(axis)
    if waiting:
        extents = [axis.extent for axis in axes]
        text = f"loops of {extents} {what} (innermost first) do not fit fields up to {list(maxima)}"
        raise MismatchError(f"{text}: leave the outer ones outside", MatchProgress.LOOPS)
    return result + [ABSENT] * (len(maxima) - len(result))


def _largest_divisor(extent: int, maximum: int) -> int:
    return next(candidate for candidate in range(maximum, 0, -1) if extent % candidate == 0)


def without(
    axes: list[StridedLoop], strides: tuple[int, ...], extent: int, what: str = "lanes"
) -> list[StridedLoop]:
    """The loops without that of these strides and this extent.

    Args:
        axes: loops.
        strides: of the one to leave out.
        extent: of the one to leave out.
        what: it runs over.

    Raises:
        MismatchError: if there is none.
    """
    for index, axis in enumerate(axes):
        if axis == StridedLoop(extent, strides):
            return axes[:index] + axes[index + 1 :]
    nearest = [axis.extent for axis in axes if axis.strides == strides]
    text = f"a loop of {extent} steps over the {what}, which strides {list(strides)} elements, is missing"
    raise MismatchError(f"{text}: {_found(nearest)}", MatchProgress.LANES)


def _found(extents: Sequence[int]) -> str:
    return f"there is one of {extents[0]} steps" if extents else "no loop strides so"


def in_units(stride: int, unit: int, what: str) -> int:
    """A stride in vectors, slices or transfers.

    Raises:
        MismatchError: if it is no multiple of the unit.
    """
    quotient, remainder = divmod(stride, unit)
    if remainder:
        raise MismatchError(f"{what} must be a multiple of {unit}, not {stride}", MatchProgress.LIMITS)
    return quotient


def all_in_units(bases: IntArray, unit: int, what: str) -> IntArray:
    """`in_units` of many."""
    quotients, remainders = np.divmod(bases, unit)
    if remainders.any():
        in_units(int(np.ravel(bases)[np.argmax(remainders != 0)]), unit, what)
    return quotients
