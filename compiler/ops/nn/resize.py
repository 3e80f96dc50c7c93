"""Resizing along one axis: a gather for the nearest element, a product with a matrix of weights else."""

import math
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e

COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_crop_and_resize",
)  # fmt: skip
"""How a place of the result becomes one of the operand."""


@dataclass(frozen=True)
class ResizeSettings:
    """How elements between others are made: ONNX' attributes of Resize."""

    mode: str
    coordinates: str
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation: float = 0.0


@dataclass(frozen=True)
class ResizeAxis:
    """What happens along an axis: its size, the scale, the wanted size if given, the region of a crop."""

    size: int
    scale: float
    wanted: int | None
    region: tuple[float, float] = (0.0, 1.0)

    @property
    def length(self) -> int:
        """Of the result."""
        return math.floor(self.size * self.scale) if self.wanted is None else self.wanted


def resize_axis(b: Builder, x: Value, axis: int, what: ResizeAxis, settings: ResizeSettings) -> Value:
    """x resized along one axis; floats of its type, other elements in float32."""
    places = coordinates(what, settings.coordinates)
    outside = (places < 0) | (places > what.size - 1)
    if settings.mode == "nearest":
        index = np.clip(_nearest(places, settings.nearest), 0, what.size - 1).astype(np.int64)
        y = e.gather(b, x, b.constant(index), axis)
    else:
        x = x if x.type.dtype.is_float else e.cast(b, x, DType.FLOAT32)
        weights = b.constant(weights_of(places, what, settings).astype(x.type.dtype.numpy))
        order = [each for each in range(x.type.rank) if each != axis]
        product = e.dot(b, x, weights, (axis,), (1,))
        y = e.transpose(b, product, tuple([*order, axis].index(each) for each in range(x.type.rank)))
    if settings.coordinates != "tf_crop_and_resize" or not outside.any():
        return y
    shape = [1] * x.type.rank
    shape[axis] = len(places)
    fill = e.full(b, settings.extrapolation, y.type.dtype, ())
    return e.select(b, b.constant(outside.reshape(shape)), fill, y)


def coordinates(what: ResizeAxis, mode: str) -> Array:
    """The place in the operand of each place of the result (float64)."""
    places = np.arange(what.length, dtype=np.float64)
    length, size, scale = what.length, what.size, what.scale
    if mode == "asymmetric":
        return places / scale
    if mode == "align_corners":
        # Of the length before rounding down, as the scale says.
        exact = size * scale if what.wanted is None else length
        return np.zeros(length) if exact == 1 else places * (size - 1) / (exact - 1)
    if mode == "tf_crop_and_resize":
        start, stop = what.region
        if length <= 1:
            return np.full(length, 0.5 * (start + stop) * (size - 1))
        return start * (size - 1) + places * (stop - start) * (size - 1) / (length - 1)
    if mode == "pytorch_half_pixel" and length == 1:
        return np.full(1, -0.5)
    if mode == "half_pixel_symmetric":
        centre = size / 2 * (1 - length / (size * scale))
        return centre + (places + 0.5) / scale - 0.5
    return (places + 0.5) / scale - 0.5


def _nearest(places: Array, mode: str) -> Array:
    if mode == "floor":
        return np.floor(places)
    if mode == "ceil":
        return np.ceil(places)
    return np.floor(places + 0.5) if mode == "round_prefer_ceil" else np.ceil(places - 0.5)


def weights_of(places: Array, what: ResizeAxis, settings: ResizeSettings) -> Array:
    """The matrix [result, operand] of linear or cubic interpolation."""
    wide = min(1.0, what.scale) if settings.antialias else 1.0
    reach = (1 if settings.mode == "linear" else 2) / wide
    matrix = np.zeros((len(places), what.size))
    for row, place in enumerate(places):
        taps = np.arange(math.floor(place - reach), math.ceil(place + reach) + 1)
        weights = _kernel((taps - place) * wide, settings)
        inside = (taps >= 0) & (taps < what.size)
        if settings.exclude_outside:
            weights = np.where(inside, weights, 0)
        if settings.exclude_outside or settings.antialias:
            weights = weights / weights.sum()
        np.add.at(matrix[row], np.clip(taps, 0, what.size - 1), weights)
    return matrix


def _kernel(distance: Array, settings: ResizeSettings) -> Array:
    far = np.abs(distance)
    if settings.mode == "linear":
        return np.asarray(np.maximum(0, 1 - far))
    a = settings.cubic
    near = ((a + 2) * far - (a + 3)) * far * far + 1
    away = ((far - 5) * far + 8) * far * a - 4 * a
    return np.asarray(np.where(far <= 1, near, np.where(far < 2, away, 0)))
