"""Layouts put each element where the machine looks for it."""

import numpy as np
import pytest

from tilewright.compiler.targets.accel.operator.layout import parameter_vectors, weight_tiles
from tilewright.isa.config import PRESETS


@pytest.mark.parametrize("preset", ["tiny", "ecp5-85f"])
def test_a_weight_lies_in_the_tile_of_its_channels(preset: str) -> None:
    config = PRESETS[preset]
    rng = np.random.default_rng(1)
    weight = rng.integers(-128, 128, (config.cols + 3, config.cols + 1, 2, 3), np.int8)
    tiles = weight_tiles(weight, config)
    for o, i, y, x in np.ndindex(*weight.shape):
        s, r = divmod(i % config.cols, config.rows)
        assert tiles[o // config.cols, s, y, x, i // config.cols, r, o % config.cols] == weight[o, i, y, x]
    assert np.count_nonzero(tiles) == np.count_nonzero(weight)


def test_parameter_vectors_of_a_block_lie_behind_each_other() -> None:
    config = PRESETS["tiny"]
    first, second = np.arange(6, dtype=np.int32), np.arange(10, 16, dtype=np.int32)
    vectors = parameter_vectors([first, second], config)
    assert vectors.tolist() == [[[0, 1, 2, 3], [10, 11, 12, 13]], [[4, 5, 0, 0], [14, 15, 0, 0]]]
