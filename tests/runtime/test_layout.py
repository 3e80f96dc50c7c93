"""Activations lie in memory as blocks of channels, and come back from there."""

from dataclasses import replace

import numpy as np
import pytest

import network
from tilewright.isa.config import PRESETS
from tilewright.isa.model import HostView
from tilewright.runtime.layout import from_memory, to_memory


def values(shape):
    return np.random.default_rng(2).integers(-128, 128, shape, dtype=np.int8)


def test_every_element_has_its_place():
    x = values((5, 2, 3))
    stored = to_memory(x, network.INPUT, network.CONFIG)
    assert stored.shape == network.INPUT.layout(network.CONFIG) == (2, 2, 3, 4)
    for (channel, y, column), value in np.ndenumerate(x):
        assert stored[channel // 4, y, column, channel % 4] == value
    assert not stored[1, :, :, 1:].any()


@pytest.mark.parametrize("config", ["tiny", "reference", "large-128"])
@pytest.mark.parametrize("shape", [(5, 2, 3), (30,), (1, 5, 6, 1)])
def test_what_was_laid_out_is_read_back(config, shape):
    binding = replace(network.INPUT, shape=shape, offset=7)
    x = values(shape)
    region = bytes(7) + to_memory(x, binding, PRESETS[config]).tobytes() + b"more"
    assert np.array_equal(from_memory(region, binding, PRESETS[config]), x)


@pytest.mark.parametrize("config", ["tiny", "reference"])
def test_views_put_elements_in_another_order(config):
    """Of [rows, columns, channels], two by two pixels as channels; below the last row are zero points."""
    first = HostView((3, 6, 5), (3, 6, 5), (2, 0, 1))
    views = (
        first,
        HostView((5, 3, 6), (5, 4, 6), (0, 1, 2)),
        HostView((5, 2, 2, 3, 2), (5, 2, 2, 3, 2), (0, 2, 4, 1, 3)),
    )
    binding = replace(network.INPUT, shape=(3, 6, 5), picture=(20, 2, 3), views=views)
    x = values((3, 6, 5))
    stored = to_memory(x, binding, PRESETS[config])
    lanes = PRESETS[config].cols
    for channel, y, column in np.ndindex(20, 2, 3):
        row, across = 2 * y + channel // 2 % 2, 2 * column + channel % 2
        found = x[row, across, channel // 4] if row < 3 else binding.zero_point
        assert stored[channel // lanes, y, column, channel % lanes] == found
    assert np.array_equal(from_memory(bytes(64) + stored.tobytes(), binding, PRESETS[config]), x)
