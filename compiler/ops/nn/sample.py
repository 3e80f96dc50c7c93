"""Feature maps read between their elements, at places that data tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product as combinations

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.size import product
from tilewright.compiler.ops import emit as e

Tap = tuple[Value, Value]
"""An index (int64) along an axis and its weight, of each place."""
_CUBIC = -0.75
"""The slope of the cubic kernel (Keys, 1981)."""


@dataclass(frozen=True)
class SampleSettings:
    """How places between elements are read: ONNX' attributes of GridSample."""

    mode: str
    padding: str
    align_corners: bool


def grid_sample(b: Builder, x: Value, grid: Value, sizes: Sequence[int], settings: SampleSettings) -> Value:
    """x (N, C, sizes…) at places (N, result…, axes), from −1 to 1, the last axis first."""
    batch, *result, rank = grid.type.shape
    flat = e.reshape(b, grid, (batch, product(result), rank))
    taps = []
    for axis, size in enumerate(sizes):
        column = len(sizes) - 1 - axis
        unit = e.reshape(b, e.slice_axis(b, flat, 2, column, column + 1), (batch, product(result)))
        taps.append(_taps(b, _place(b, unit, size, settings), size, settings))
    y = weighted(b, x, taps, sizes)
    total = y[0]
    for each in y[1:]:
        total = e.add(b, total, each)
    return e.reshape(b, total, (*x.type.shape[:2], *result))


def weighted(b: Builder, x: Value, taps: Sequence[Sequence[Tap]], sizes: Sequence[int]) -> list[Value]:
    """Elements of x (N, C, sizes…) times their weights, for each combination of taps: (N, C, places)."""
    flat = e.reshape(b, x, (*x.type.shape[:2], product(sizes)))
    found = []
    for chosen in combinations(*taps):
        index, weight = chosen[0]
        for (other, factor), size in zip(chosen[1:], sizes[1:], strict=True):
            index, weight = e.add(b, e.mul(b, index, size), other), e.mul(b, weight, factor)
        wide = e.expand_dims(b, index, 1)
        wide = e.broadcast_to(b, wide, (*x.type.shape[:2], wide.type.shape[2]))
        elements = e.gather_elements(b, flat, wide, 2)
        found.append(e.mul(b, elements, e.expand_dims(b, e.cast(b, weight, x.type.dtype), 1)))
    return found


def _place(b: Builder, unit: Value, size: int, settings: SampleSettings) -> Value:
    """Places along an axis in elements; those outside moved as the padding says."""
    moved = e.add(b, unit, 1.0)
    if settings.align_corners:
        place = e.mul(b, e.div(b, moved, 2.0), float(size - 1))
    else:
        place = e.div(b, e.sub(b, e.mul(b, moved, float(size)), 1.0), 2.0)
    if settings.mode == "nearest":
        place = e.round(b, place)
    low, high = _border(size, settings)
    is_outside = e.logical_or(b, e.less(b, place, low), e.greater(b, place, high))
    return e.select(b, is_outside, _padded(b, place, size, settings), place)


def _border(size: int, settings: SampleSettings) -> tuple[float, float]:
    return (0.0, size - 1.0) if settings.align_corners else (-0.5, size - 0.5)


def _padded(b: Builder, place: Value, size: int, settings: SampleSettings) -> Value:
    """Places outside brought to the border or reflected at it; zeros leave them."""
    if settings.padding == "border":
        return e.minimum(b, e.maximum(b, place, 0.0), size - 1.0)
    if settings.padding == "zeros":
        return place
    low, high = _border(size, settings)
    if low == high:
        return e.zeros_like(b, place)
    span = high - low
    around = e.mod(b, e.sub(b, place, low), 2 * span)
    back = e.sub(b, e.full(b, 2 * span, place.type.dtype, ()), around)
    return e.add(b, e.minimum(b, around, back), low)


def _taps(b: Builder, place: Value, size: int, settings: SampleSettings) -> list[Tap]:
    """Indices and weights around each place."""
    if settings.mode == "nearest":
        return [_tap(b, place, e.full(b, 1.0, place.type.dtype, place.type.shape), size, settings)]
    first = e.floor(b, place)
    share = e.sub(b, place, first)
    rest = e.add(b, e.neg(b, share), 1.0)
    if settings.mode == "linear":
        weights = [(0.0, rest), (1.0, share)]
    else:
        weights = [
            (-1.0, _far(b, e.add(b, share, 1.0))), (0.0, _near(b, share)),
            (1.0, _near(b, rest)), (2.0, _far(b, e.add(b, rest, 1.0))),
        ]  # fmt: skip
    return [_tap(b, e.add(b, first, step), weight, size, settings) for step, weight in weights]


def _tap(b: Builder, place: Value, weight: Value, size: int, settings: SampleSettings) -> Tap:
    inside = e.minimum(b, e.maximum(b, _padded(b, place, size, settings), 0.0), size - 1.0)
    if settings.padding == "zeros":
        weight = e.select(b, e.equal(b, inside, place), weight, 0.0)
    return e.cast(b, inside, DType.INT64), weight


def _near(b: Builder, t: Value) -> Value:
    """((a + 2)·t − (a + 3))·t² + 1, for t up to 1."""
    line = e.sub(b, e.mul(b, t, _CUBIC + 2), _CUBIC + 3)
    return e.add(b, e.mul(b, e.mul(b, line, t), t), 1.0)


def _far(b: Builder, t: Value) -> Value:
    """((a·t − 5a)·t + 8a)·t − 4a, for t from 1 to 2."""
    line = e.sub(b, e.mul(b, t, _CUBIC), 5 * _CUBIC)
    square = e.add(b, e.mul(b, line, t), 8 * _CUBIC)
    return e.sub(b, e.mul(b, square, t), 4 * _CUBIC)


@dataclass(frozen=True)
class Pooling:
    """How regions are pooled: ONNX' attributes of RoiAlign.

    Members:
        height, width: of the result.
        samples: along each axis of a cell.
        scale: from a region's coordinates to elements.
        is_half_pixel: whether the centre of the first element is ½.
        by_maximum: of the weighted elements, else the mean of the samples.
    """

    height: int
    width: int
    samples: int
    scale: float
    is_half_pixel: bool
    by_maximum: bool


def roi_align(
    b: Builder, x: Value, regions: Value, images: Value, sizes: Sequence[int], how: Pooling
) -> Value:
    """Regions (R, 4; x, y of two corners) of images (R) of x (N, C, H, W): (R, C, height, width)."""
    of_regions = e.gather(b, x, images, 0)
    rows = _region_taps(b, regions, 1, how.height, sizes[0], how)
    columns = _region_taps(b, regions, 0, how.width, sizes[1], how)
    count, channels = of_regions.type.shape[:2]
    lines, places = how.height * how.samples, how.width * how.samples

    def spread(value: Value, axis: int) -> Value:
        wide = e.repeat(b, value, (count, lines, places), (0, axis))
        return e.reshape(b, wide, (count, lines * places))

    taps = [
        [(spread(index, axis), spread(weight, axis)) for index, weight in each]
        for axis, each in ((1, rows), (2, columns))
    ]
    total, *others = weighted(b, of_regions, taps, sizes)
    for each in others:
        total = e.maximum(b, total, each) if how.by_maximum else e.add(b, total, each)
    cells = e.reshape(b, total, (count, channels, how.height, how.samples, how.width, how.samples))
    return e.reduce_max(b, cells, (3, 5)) if how.by_maximum else e.mean(b, cells, (3, 5))


def _region_taps(b: Builder, regions: Value, column: int, cells: int, size: int, how: Pooling) -> list[Tap]:
    """The two neighbours of each sample along an axis: (R, cells · samples)."""
    count, dtype = regions.type.shape[0], regions.type.dtype
    offset = 0.5 if how.is_half_pixel else 0.0
    ends = [
        e.sub(b, e.mul(b, e.slice_axis(b, regions, 1, place, place + 1), how.scale), offset)
        for place in (column, column + 2)
    ]
    length = e.sub(b, ends[1], ends[0])
    length = length if how.is_half_pixel else e.maximum(b, length, 1.0)
    steps = b.constant(_steps(cells, how.samples).astype(dtype.numpy))
    place = e.add(b, ends[0], e.mul(b, e.div(b, length, float(cells)), steps))
    is_inside = e.logical_not(b, e.logical_or(b, e.less(b, place, -1.0), e.greater(b, place, float(size))))
    place = e.minimum(b, e.maximum(b, place, 0.0), size - 1.0)
    first = e.floor(b, place)
    share = e.sub(b, place, first)
    second = e.minimum(b, e.add(b, first, 1.0), size - 1.0)
    pairs = ((first, e.add(b, e.neg(b, share), 1.0)), (second, share))
    shape = (count, cells * how.samples)
    return [
        (e.reshape(b, e.cast(b, index, DType.INT64), shape), e.select(b, is_inside, weight, 0.0))
        for index, weight in pairs
    ]


def _steps(cells: int, samples: int) -> Array:
    """Where samples are, in cells: (1, cells · samples)."""
    inner = (np.arange(samples) + 0.5) / samples
    return (np.arange(cells)[:, None] + inner).reshape(1, -1)
