"""Sizes of register tiles: what they may cost."""

from dataclasses import replace

import pytest

from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.operator.register_tile import (
    LINE_BYTES,
    SETS,
    WAYS,
    TiledMap,
    choose,
    rows_at_once,
)

WIDE, NARROW = Features(64, 32, DotInstruction.AVX512_VNNI), Features(32, 16, DotInstruction.AVX2)
MAP = TiledMap(result=(14, 14), outputs=256, steps=64, pixel_bytes=256, is_float=True)


def pixels(tiled, features):
    tile = choose(tiled, features)
    return tile.rows * tile.columns


@pytest.mark.parametrize("features", [WIDE, NARROW])
@pytest.mark.parametrize("outputs", [3, 16, 24, 64, 1000])
def test_registers_hold_the_sums(features, outputs):
    tile = choose(replace(MAP, outputs=outputs), features)
    assert tile.rows * tile.columns <= rows_at_once(tile.lanes, True, features)


def test_pixels_that_share_lines_of_the_first_cache_are_few():
    far = replace(MAP, outputs=32, steps=1024, pixel_bytes=SETS * LINE_BYTES)
    assert pixels(replace(far, pixel_bytes=4096 + LINE_BYTES), WIDE) > WAYS + 1
    assert pixels(far, WIDE) <= WAYS
    assert pixels(replace(far, result=(7, 7)), WIDE) <= WAYS + 1


def test_lanes_leave_none_idle_where_outputs_are_few():
    assert choose(replace(MAP, outputs=16), WIDE).lanes == 16
    assert choose(replace(MAP, outputs=48), WIDE).lanes == 48


def test_a_map_of_one_pixel_has_tiles_of_one():
    assert pixels(replace(MAP, result=(1, 1)), WIDE) == 1


def test_integers_keep_two_vectors():
    assert choose(replace(MAP, is_float=False), WIDE).lanes == 32
