"""Windows that move over feature maps: sizes, and views of what they see."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.operator import expect
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import expect_sizes, sample_of

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
"""Rows above, columns left, rows below, columns right."""


class _Sizes(NamedTuple):
    kernel: Pair
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)


class Window(_Sizes):
    """A window of height × width, its steps, and the padding around the feature map.

    A tuple, so that it is an attribute of operators; what is read back of text is made one by `of`.

    Members:
        kernel: height, width.
        strides: down, right.
        pads: rows above, columns left, rows below, columns right.

    Raises:
        OperatorError: for sizes below 1, or padding that hides a whole window.
    """

    __slots__ = ()

    def __new__(cls, kernel: Pair, strides: Pair = (1, 1), pads: Pads = (0, 0, 0, 0)) -> "Window":
        """A window that makes sense."""
        expect_sizes("kernel", kernel, 2, 1)
        expect_sizes("strides", strides, 2, 1)
        expect_sizes("pads", pads, 4, 0)
        for pad, size in zip(pads, kernel * 2, strict=True):
            expect(pad < size, f"pads must be smaller than the kernel {kernel}, not {pads}")
        return super().__new__(cls, kernel, strides, pads)

    @staticmethod
    def of(sizes: tuple[Pair, Pair, Pads]) -> "Window":
        """The window of three tuples."""
        expect(isinstance(sizes, tuple) and len(sizes) == 3, f"a window must be three tuples, not {sizes!r}")
        return sizes if isinstance(sizes, Window) else Window(*sizes)

    def extent(self, height: int, width: int) -> Pair:
        """Positions down and right in a feature map of that size."""
        return swept(height, width, self.kernel, self.strides, self.pads)

    def seen(self, height: int, width: int) -> Pair:
        """Rows and columns of such a map that some window sees: steps and edges may leave others out."""
        extent = self.extent(height, width)
        down, right = (
            _seen(size, extent[axis], self.kernel[axis], self.strides[axis], self.pads[axis])
            for axis, size in enumerate((height, width))
        )
        return down, right

    def patches(self, x: Array, fill: int | float) -> Array:
        """View (N, C, OH, OW, KH, KW) of x (N, C, H, W), padded with `fill`."""
        return patches(pad(x, self.pads, fill), self.kernel, self.strides)

    def counts(self, height: int, width: int) -> Array:
        """Pixels of the feature map in each window: int64 (OH, OW)."""
        inside = np.ones((1, 1, height, width), np.int64)
        total: Array = self.patches(inside, 0).sum(axis=(4, 5))[0, 0]
        return total

    def maximum(self, x: Array, lowest: int | float) -> Array:
        """The maximum in each window of x (N, C, H, W), padded with `lowest`; tap by tap."""
        if self == POINT:
            return x
        views = self.patches(x, lowest)
        result: Array = views[..., 0, 0].copy()
        for row, column in np.ndindex(self.kernel):
            np.maximum(result, views[..., row, column], out=result)
        return result

    def total(self, x: Array, fill: int | float) -> Array:
        """The sum in each window of x (N, C, H, W), padded with `fill`, as float64; tap by tap."""
        views = self.patches(x, fill)
        total = np.zeros(views.shape[:4])
        for row, column in np.ndindex(self.kernel):
            total += views[..., row, column]
        return total


POINT = Window((1, 1))
"""One pixel at a time."""


def pooled(x: TensorType, window: Window) -> TensorType:
    """The type of x behind a pooling."""
    channels, height, width = sample_of("x", x, "NCHW")
    return x.with_shape((x.shape[0], channels, *window.extent(height, width)))


def swept(height: int, width: int, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair = (1, 1)) -> Pair:
    """Positions down and right of a window in a padded feature map.

    Raises:
        OperatorError: if there is none.
    """
    down = _positions(height + pads[0] + pads[2], kernel[0], strides[0], dilations[0])
    right = _positions(width + pads[1] + pads[3], kernel[1], strides[1], dilations[1])
    if min(down, right) < 1:
        raise OperatorError(
            f"a window of {kernel} must fit the padded feature map, not exceed {height}×{width}"
        )
    return down, right


def pad(x: Array, pads: Pads, fill: int | float) -> Array:
    """x (N, C, H, W) with a frame of that value."""
    if not any(pads):
        return x
    top, left, bottom, right = pads
    n, c, h, w = x.shape
    framed: Array = np.full((n, c, top + h + bottom, left + w + right), fill, x.dtype)
    framed[:, :, top : top + h, left : left + w] = x
    return framed


def patches(x: Array, kernel: Pair, strides: Pair, dilations: Pair = (1, 1)) -> Array:
    """Read-only view (N, C, OH, OW, KH, KW) of x (N, C, H, W)."""
    down, right = swept(x.shape[2], x.shape[3], kernel, strides, (0, 0, 0, 0), dilations)
    n, c, row, column = x.strides
    steps = (n, c, row * strides[0], column * strides[1], row * dilations[0], column * dilations[1])
    return as_strided(x, (*x.shape[:2], down, right, *kernel), steps, writeable=False)


def _positions(size: int, kernel: int, stride: int, dilation: int) -> int:
    return (size - (kernel - 1) * dilation - 1) // stride + 1


def _seen(size: int, positions: int, kernel: int, stride: int, before: int) -> int:
    places = np.arange(positions)[:, None] * stride + np.arange(kernel) - before
    return np.unique(places[(places >= 0) & (places < size)]).size
