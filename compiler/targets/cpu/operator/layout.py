"""Weights as micro-kernels read them, made once."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.padded_feature_map import SIGN

ALIGNMENT_BYTES = 64
"""Vectors that lie across lines of the cache take twice as long to read."""


def weight_panels(weight: NDArray[Any], sizes: ConvolutionSizes, lanes: int) -> NDArray[Any]:
    """Weights [outputs, channels, height, width] as [panels, rows, columns, steps, lanes(, 4)]."""
    rows, columns, steps = sizes.taps
    outputs = weight.shape[0]
    panels = -(-outputs // lanes)
    taps = weight.transpose(2, 3, 1, 0).reshape(rows, columns, -1, outputs)
    whole = np.zeros((rows, columns, steps * sizes.group, panels * lanes), weight.dtype)
    whole[:, :, : taps.shape[2], :outputs] = taps
    parts = whole.reshape(rows, columns, steps, sizes.group, panels, lanes).transpose(4, 0, 1, 2, 5, 3)
    return aligned(parts[..., 0] if sizes.is_float else parts)


def starts(weight: NDArray[np.int8], lanes: int) -> NDArray[np.int32]:
    """Initial values of the accumulators, [panels, lanes], which make up for the 128 added to the input."""
    sums = -SIGN * weight.sum(axis=(1, 2, 3), dtype=np.int32)
    return padded_lanes(sums, lanes).reshape(-1, lanes)


def padded_lanes(values: NDArray[Any], lanes: int) -> NDArray[Any]:
    """A number for each lane of all panels, zeros behind."""
    result = np.zeros(-(-len(values) // lanes) * lanes, values.dtype)
    result[: len(values)] = values
    return aligned(result)


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy, dense row by row, that starts at a line of the cache."""
    result = aligned_empty(array.shape, array.dtype)
    result[...] = array
    return result


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array that starts at a line of the cache."""
    of: np.dtype[Any] = np.dtype(dtype)
    memory = np.empty(prod(shape) * of.itemsize + ALIGNMENT_BYTES, np.uint8)
    return np.ndarray(shape, of, memory, -memory.ctypes.data % ALIGNMENT_BYTES)
