"""The layout of activations in memory: [ceil(channels / cols)][height][width][cols] int8."""

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import Config
from tilewright.isa.model import Binding

Int8Array = NDArray[np.int8]


def to_memory(values: Int8Array, binding: Binding, config: Config) -> Int8Array:
    """One sample of `binding.shape` as it lies in memory, of `binding.layout`; lanes of no channel are 0."""
    blocks, height, width, lanes = binding.layout(config)
    channels = binding.picture[0]
    padded = np.zeros((blocks * lanes, height, width), np.int8)
    padded[:channels] = _viewed(values, binding)
    return np.ascontiguousarray(padded.reshape(blocks, lanes, height, width).transpose(0, 2, 3, 1))


def from_memory(region: bytes, binding: Binding, config: Config) -> Int8Array:
    """One sample of `binding.shape` out of the bytes of its region."""
    size = binding.size_bytes(config)
    blocks, height, width, lanes = layout = binding.layout(config)
    stored = np.frombuffer(region, np.int8, size, binding.offset).reshape(layout)
    channels = stored.transpose(0, 3, 1, 2).reshape(blocks * lanes, height, width)
    return _seen(channels[: binding.picture[0]], binding)


def _viewed(values: Int8Array, binding: Binding) -> Int8Array:
    """The elements of a tensor as its picture: through all its views."""
    for view in binding.views:
        padded = np.full(view.padded, binding.zero_point, np.int8)
        padded[tuple(map(slice, view.sizes))] = values.reshape(view.sizes)
        values = padded.transpose(view.order)
    return values.reshape(binding.picture)


def _seen(picture: Int8Array, binding: Binding) -> Int8Array:
    """The elements of a picture as the tensor: the inverse of `_viewed`."""
    values = picture
    for view in reversed(binding.views):
        padded = values.reshape(view.shape).transpose(np.argsort(view.order))
        values = padded[tuple(map(slice, view.sizes))]
    return values.reshape(binding.shape)
