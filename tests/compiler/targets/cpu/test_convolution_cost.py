"""Estimates and features of schedules: numbers above 0 for all points, and the order that counting gives."""

from dataclasses import replace

import numpy as np
import pytest
from tests.compiler.targets.cpu.test_convolution_schedule import MACHINES, machine_of

from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.operator.convolution_cost import ConvolutionCost
from tilewright.compiler.targets.cpu.operator.convolution_feature import FEATURE_NAMES, described
from tilewright.compiler.targets.cpu.operator.convolution_rule import columns_of
from tilewright.compiler.targets.cpu.operator.convolution_schedule import (
    ConvolutionSchedule,
    Copy,
    Order,
    Threads,
)
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.convolution_space import convolution_space

SIZES = ConvolutionSizes(height=28, width=28, channels=64, outputs=96, kernel=(3, 3), pads=(1, 1, 1, 1))
AVX2 = Features.of(machine_of(DotInstruction.AVX2))


@pytest.mark.parametrize("is_float", [True, False], ids=["float32", "int8"])
@pytest.mark.parametrize("dot", MACHINES)
@pytest.mark.parametrize("threads", [1, 4])
def test_every_point_has_an_estimate_and_features(dot, is_float, threads):
    features, sizes = Features.of(machine_of(dot)), replace(SIZES, is_float=is_float)
    space = convolution_space(sizes, features, is_shared=threads > 1)
    cost = ConvolutionCost(sizes, features, threads, space.columns(space.all_that_fit()))
    assert (cost.seconds > 0).all()
    assert np.isfinite(cost.seconds).all()
    table = described(cost)
    assert (table.dtype, table.shape) == (np.float32, (len(cost.seconds), len(FEATURE_NAMES)))
    assert np.isfinite(table).all()


def test_of_no_point_there_is_nothing():
    space = convolution_space(SIZES, AVX2, is_shared=True)
    cost = ConvolutionCost(SIZES, AVX2, 2, space.columns(space.all_that_fit()[:0]))
    assert len(cost.seconds) == 0
    assert described(cost).shape == (0, len(FEATURE_NAMES))


def cost_of(sizes=SIZES, threads=1, **changes):
    schedule = replace(
        ConvolutionSchedule.default(sizes, AVX2), copy=Copy.WHOLE, threads=Threads.NONE, **changes
    )
    return ConvolutionCost(sizes, AVX2, threads, columns_of(schedule))


def seconds(*arguments, **changes):
    return float(cost_of(*arguments, **changes).seconds[0])


def test_what_counting_tells():
    floats = replace(SIZES, is_float=True)
    # A tile of one pixel reads two operands for each product, and waits for the last one.
    assert seconds(floats, rows=1, columns=1, lanes=8) > 2 * seconds(floats, rows=1, columns=6, lanes=16)
    # Twice the products take twice as long, about.
    assert 1.8 < seconds(replace(floats, outputs=192)) / seconds(floats) < 2.2
    # Lanes beyond the outputs are for nothing.
    assert seconds(replace(floats, outputs=72), lanes=24) < seconds(replace(floats, outputs=72), lanes=32)


def test_tiles_at_the_edge_count_with_their_size():
    """A tile of 6 columns and one of 1 are not two of 6."""
    odd, even = (
        float(cost_of(replace(SIZES, width=width, is_float=True), rows=1, columns=6).tile_cycles[0])
        for width in (7, 12)
    )
    assert odd < 0.9 * even


def test_threads_that_share_nothing_are_not_faster():
    changes = {"order": Order.ROWS}
    alone = seconds(SIZES, 4, **changes)
    columns = dict(cost_of(SIZES, 4, **changes).columns)
    columns["threads"] = np.array([list(Threads).index(Threads.OUTER)], np.int64)
    shared = float(ConvolutionCost(SIZES, AVX2, 4, columns).seconds[0])
    assert alone == seconds(SIZES, 1, **changes)
    assert 2 < alone / shared <= 4


def test_words_are_features():
    names = dict(zip(FEATURE_NAMES, described(cost_of(order=Order.PANELS))[0], strict=True))
    assert [names[f"order {word}"] for word in Order] == [0, 1, 0]
    assert [names[f"copy {word}"] for word in Copy] == [0, 0, 1]
