"""Tilings that fit, for any convolution and machine, or a refusal that says why."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from tilewright.compiler.targets.accel.cost.bound import _first_slot, _Loads
from tilewright.compiler.targets.accel.cost.candidate import Candidates, parts, uneven
from tilewright.compiler.targets.accel.cost.event_model import modelled_cycles
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES, BlockedConvolution
from tilewright.compiler.targets.accel.tiling import TilingError, _Contest, choose
from tilewright.isa.config import PRESETS

RESNET = {
    "C2": BlockedConvolution(out_blocks=4, out_height=56, out_width=56, in_blocks=4, kernel=(3, 3)),
    "C5": BlockedConvolution(
        out_blocks=8, out_height=28, out_width=28, in_blocks=4, kernel=(1, 1), strides=(2, 2)
    ),
    "C12": BlockedConvolution(out_blocks=32, out_height=7, out_width=7, in_blocks=32, kernel=(3, 3)),
}


@pytest.mark.parametrize("layer", RESNET)
@pytest.mark.parametrize("preset", ["tiny", "reference", "reference-wide", "ecp5-85f"])
def test_every_buffer_of_a_tiling_fits_a_bank(layer: str, preset: str) -> None:
    convolution, config = RESNET[layer], PRESETS[preset]
    tiling = choose(convolution, config)
    tile_sizes = tiling.tile_sizes
    height = max(tile_sizes.height, tile_sizes.first_height or 0)
    blocks = max(tile_sizes.reduction_blocks, tile_sizes.first_reduction_blocks or 0)
    rows, columns = (
        convolution.inputs(height, tile_sizes.taps[0], 0),
        convolution.inputs(tile_sizes.width, tile_sizes.taps[1], 1),
    )
    assert blocks * rows * columns <= config.activation_vectors
    assert tile_sizes.taps[0] * tile_sizes.taps[1] * blocks * config.rows <= config.weight_vectors
    accumulators = convolution.accumulators(height, 0) * convolution.accumulators(tile_sizes.width, 1)
    assert accumulators <= config.accumulator_vectors
    assert tiling.depths.accumulators * accumulators <= config.accumulator_banks * config.accumulator_vectors


@pytest.mark.parametrize("layer", RESNET)
@pytest.mark.parametrize("preset", ["tiny", "reference"])
def test_every_thread_has_sums_and_results_of_its_own(layer: str, preset: str) -> None:
    for tiling in Candidates(RESNET[layer], PRESETS[preset], ASSUMED_LATENCY_CYCLES).best():
        assert min(tiling.depths.accumulators, tiling.depths.results) >= tiling.threads
        assert tiling.tile_sizes.fits


def test_uneven_sizes_are_taken_where_they_save_cycles() -> None:
    config = PRESETS["reference"]
    small_reduction_tiles_first = choose(
        BlockedConvolution(out_blocks=4, out_height=14, out_width=14, in_blocks=12, kernel=(1, 1)), config
    )
    tile_sizes = small_reduction_tiles_first.tile_sizes
    assert tile_sizes.first_reduction_blocks is not None
    assert tile_sizes.first_reduction_blocks < tile_sizes.reduction_blocks
    high_tiles_first = choose(
        BlockedConvolution(out_blocks=2, out_height=28, out_width=28, in_blocks=9, kernel=(1, 1)), config
    )
    tile_sizes = high_tiles_first.tile_sizes
    assert tile_sizes.first_height is not None
    assert tile_sizes.first_height > tile_sizes.height
    for tiling in (small_reduction_tiles_first, high_tiles_first):
        tile_sizes = replace(tiling.tile_sizes, first_reduction_blocks=None, first_height=None)
        assert modelled_cycles(replace(tiling, tile_sizes=tile_sizes)) > tiling.cycles


def test_parts_are_the_sizes_of_even_cuts() -> None:
    assert parts(7) == [7, 4, 3, 2, 1]


def test_an_estimate_is_never_below_the_products() -> None:
    config = PRESETS["reference"]
    for convolution in RESNET.values():
        products = convolution.out_blocks * convolution.out_height * convolution.out_width
        products *= convolution.in_blocks * convolution.kernel[0] * convolution.kernel[1]
        assert choose(convolution, config).cycles >= products


def test_a_refusal_names_the_memory_that_is_too_small() -> None:
    config = replace(PRESETS["tiny"], activation_vectors=16)
    huge = BlockedConvolution(
        out_blocks=1,
        out_height=1,
        out_width=1,
        in_blocks=1,
        kernel=(1, 1),
        pool_kernel=(9, 9),
        pool_strides=(9, 9),
    )
    with pytest.raises(TilingError, match="a bank of accumulator memory must hold 81 vectors, not 64"):
        choose(huge, config)


def test_rows_of_tiles_before_a_pooling_are_even() -> None:
    lenet = BlockedConvolution(
        out_blocks=2,
        out_height=14,
        out_width=14,
        in_blocks=1,
        kernel=(3, 3),
        pool_kernel=(2, 2),
        pool_strides=(2, 2),
    )
    unpooled = replace(lenet, pool_kernel=(1, 1), pool_strides=(1, 1))
    assert all(
        tiling.tile_sizes.first_height is None for tiling in uneven(choose(lenet, PRESETS["reference"]))
    )
    assert any(tiling.tile_sizes.first_height for tiling in uneven(choose(unpooled, PRESETS["reference"])))


def slots_one_by_one(block: int, reduction_tiles: int, threads: int, inputs: int, weights: int) -> int:
    """What the closed form of the first interleave slot stands for."""
    part, inputs, weights = block // reduction_tiles, inputs // reduction_tiles, weights // reduction_tiles
    bus = array = 0
    for _ in range(reduction_tiles):
        bus += inputs
        array = max(array, bus + weights) + threads * part
        bus += threads * weights
        array = max(array, bus + part)
    return array


def test_the_first_slot_in_closed_form_is_that_of_its_reduction_tiles() -> None:
    rng = np.random.default_rng(3)
    block, inputs, weights = (rng.integers(0, 900, 500) for _ in range(3))
    reduction_tiles, threads = (rng.integers(1, 9, 500) for _ in range(2))
    load = _Loads(
        inputs=inputs,
        weights=weights,
        inputs_again=False,
        weights_again=False,
        further=0,
        tiles=1,
        outer_tiles=1,
        blocks=threads,
        reduction_tiles=reduction_tiles,
        threads=threads,
    )
    expected = list(map(slots_one_by_one, block, reduction_tiles, threads, inputs, weights))
    assert _first_slot(block, load).tolist() == expected


@pytest.mark.parametrize(
    ("blocks", "size", "kernel"),
    # In the first, two widths are equally good.
    [((30, 5), 14, 1), ((4, 8), 14, 3), ((9, 2), 28, 1), ((10, 60), 7, 1)],
)
def test_what_the_event_model_leaves_out_changes_no_choice(
    monkeypatch: pytest.MonkeyPatch, blocks: tuple[int, int], size: int, kernel: int
) -> None:
    convolution = BlockedConvolution(
        out_blocks=blocks[1], out_height=size, out_width=size, in_blocks=blocks[0], kernel=(kernel, kernel)
    )
    found = choose.__wrapped__(convolution, PRESETS["reference"])
    monkeypatch.setattr(_Contest, "_limit", lambda *_: inf)
    assert choose.__wrapped__(convolution, PRESETS["reference"]) == found
