"""Sizes of windows that slide."""

from collections.abc import Sequence

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ir.size import AnySize


def window_sizes(
    sizes: Sequence[AnySize],
    kernel: Sequence[AnySize],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> list[AnySize]:
    """Places along each axis: (size + pads - (kernel - 1) · dilation - 1) // stride + 1.

    Args:
        sizes: of the input along the spatial axes.
        kernel: of the window.
        strides, dilations: one an axis.
        pads: of all axes before, then of all behind.

    Raises:
        OperatorError: for attributes that are not so many, or a window without place.
    """
    rank = len(sizes)
    for what, given, least, count in (
        ("kernel", kernel, 1, rank),
        ("strides", strides, 1, rank),
        ("pads", pads, 0, 2 * rank),
        ("dilations", dilations, 1, rank),
    ):
        expect(len(given) == count, f"{what} must be {count} numbers for {rank} spatial axes, not {given}")
        expect(
            all(not isinstance(each, int) or each >= least for each in given),
            f"{what} must be from {least}, not {given}",
        )
    places: list[AnySize] = []
    for axis, size in enumerate(sizes):
        inside = size + pads[axis] + pads[rank + axis]
        free = inside - (kernel[axis] - 1) * dilations[axis] - 1
        expect(
            not isinstance(free, int) or free >= 0,
            f"a window of {kernel[axis]} (dilation {dilations[axis]}) must fit into {inside}",
        )
        places.append(free // strides[axis] + 1)
    return places


def padded(x: Array, pads: Sequence[int], value: object) -> Array:
    """x with a border along its trailing axes."""
    rank = len(pads) // 2
    if not any(pads):
        return x
    border = [(0, 0)] * (x.ndim - rank) + [(pads[axis], pads[rank + axis]) for axis in range(rank)]
    return np.pad(x, border, constant_values=value)  # type: ignore[call-overload, no-any-return]


def windows(x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Array:
    """A view of shape (leading.., places.., kernel..) of the windows over the trailing axes."""
    rank = len(kernel)
    lead = x.ndim - rank
    places = [
        (size - (k - 1) * d - 1) // s + 1
        for size, k, s, d in zip(x.shape[lead:], kernel, strides, dilations, strict=True)
    ]
    if min((*places, 1)) < 1:
        raise EvaluationError(f"a window of {tuple(kernel)} must fit into {x.shape[lead:]}")
    steps = [stride * s for stride, s in zip(x.strides[lead:], strides, strict=True)]
    inner = [stride * d for stride, d in zip(x.strides[lead:], dilations, strict=True)]
    return np.lib.stride_tricks.as_strided(
        x, (*x.shape[:lead], *places, *kernel), (*x.strides[:lead], *steps, *inner), writeable=False
    )


def spread(
    b: Builder,
    cotangent: Value,
    sizes: Sequence[AnySize],
    kernel: Sequence[AnySize],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> Value:
    """The cotangent of a window's result, dilated and padded so that the window turned gives the input's.

    Args:
        b: where equations go.
        cotangent: of shape (.., places..).
        sizes: of the input along its spatial axes.
        kernel, strides, pads, dilations: of the window.
    """
    from tilewright.compiler.ops import emit as e

    rank = len(sizes)
    lead = cotangent.type.rank - rank
    for axis, stride in enumerate(strides):
        cotangent = e.dilate(b, cotangent, lead + axis, stride)
    low: list[AnySize] = [0] * lead
    high: list[AnySize] = [0] * lead
    for axis, size in enumerate(sizes):
        low.append((kernel[axis] - 1) * dilations[axis] - pads[axis])
        high.append(size - cotangent.type.shape[lead + axis] + pads[axis])
    return e.pad_or_cut(b, cotangent, low, high)
