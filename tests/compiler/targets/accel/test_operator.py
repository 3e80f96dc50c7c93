"""The loops of each operator, in the layouts of the machine, compute what the operator means."""

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qadd import QAdd
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qconcat import QConcat
from tilewright.compiler.ops.quantised.qconv2d import QConv2d, QConv2dTable
from tilewright.compiler.ops.quantised.qgather import QGather
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.qmul import QMul
from tilewright.compiler.ops.quantised.qpad2d import QPad2d
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.schedule import apply
from tilewright.compiler.targets.accel.operator.lower import lower
from tilewright.compiler.targets.accel.operator.qconv2d import runs
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.compiler.tir.interpret import run
from tilewright.isa.config import PRESETS
from tilewright.numerics.requantise import pack_scale

TINY = PRESETS["tiny"]
NARROW = replace(TINY, rows=4, cols=8)
"""Fewer rows than columns: weights in two slices."""
SMALL = replace(NARROW, activation_vectors=16, accumulator_vectors=16)
"""Pictures of more than a few pixels go in tiles, with borders and tails."""
FORMS = pytest.mark.parametrize(
    ("config", "scheduled"),
    [(TINY, False), (NARROW, False), (SMALL, True)],
    ids=["square", "slices", "schedule"],
)


def int8(rng, *shape):
    return rng.integers(-128, 128, shape).astype(np.int8)


def words(rng, *shape):
    return pack_scale(rng.integers(1 << 16, 1 << 17, shape), rng.integers(2, 8, shape))


def in_blocks(x, config, rng):
    """[blocks][height][width][lanes] of a picture (C, H, W); lanes without a channel hold anything."""
    channels, height, width = x.shape
    blocks = -(-channels // config.cols)
    lanes = int8(rng, blocks * config.cols, height, width)
    lanes[:channels] = x
    return np.ascontiguousarray(lanes.reshape(blocks, config.cols, height, width).transpose(0, 2, 3, 1))


def in_channels(y, channels):
    blocks, height, width, lanes = y.shape
    return y.transpose(0, 3, 1, 2).reshape(blocks * lanes, height, width)[:channels]


def _from(picture, first, name, part):
    """The blocks that a part reads."""
    (buffer,) = (each for each in part.function.parameters if each.name == name)
    return picture[first : first + buffer.shape[0].value]


def check(operator, arrays, config, scheduled):
    """Whether the loops make of these pictures and constants what `run` makes of them.

    Args:
        operator: of integers.
        arrays: its inputs; those with four axes and one sample are pictures, all others constants.
        config: the machine.
        scheduled: whether the loops are scheduled before.
    """
    rng = np.random.default_rng(9)
    types = [TensorType(DType(array.dtype.name), array.shape) for array in arrays]
    pictures = [array.ndim == 4 and len(array) == 1 for array in arrays]
    constants = [None if picture else array for array, picture in zip(arrays, pictures, strict=True)]
    expected = operator.run(*arrays)[0][0]
    got = np.full(expected.shape, 99, np.int16)
    for part in lower(operator, types, constants, config):
        inputs = {
            name: _from(in_blocks(arrays[index][0], config, rng), part.first_blocks.get(name, 0), name, part)
            for name, index in part.tensors.items()
        }
        function = apply(part.function, part.schedule) if scheduled else part.function
        (result,) = run(function, {**inputs, **part.constants}).values()
        (y, x), first = part.origin, part.first_block * config.cols
        found = in_channels(result, len(expected) - first)
        rows, columns = slice(y, y + found.shape[1]), slice(x, x + found.shape[2])
        got[first : first + len(found), rows, columns] = found
    np.testing.assert_array_equal(got, expected)
    assert len(np.unique(expected)) > 8, "results must tell mistakes"


def convolution(operator, kernel, *, inputs=9, outputs=10, size=(7, 6)):
    """The operator's arrays."""
    rng = np.random.default_rng(1)
    weight = int8(rng, outputs, inputs // operator.groups, *kernel)
    bias = rng.integers(-3000, 3000, outputs).astype(np.int32)
    arrays = [int8(rng, 1, inputs, *size), weight, bias, words(rng, outputs)]
    if operator.residual:
        height, width = operator.geometry().infer(*_types(arrays[:2]))[1:]
        arrays += [int8(rng, 1, outputs, height, width), rng.integers(1, 400, outputs).astype(np.int16)]
    return arrays


def _types(arrays):
    return [TensorType(DType.INT8, array.shape) for array in arrays]


CONVOLUTIONS = {
    "pads": (QConv2d((1, 1), (2, 1, 0, 1), (1, 1), 1, 5, -3, -100, 90), (3, 3)),
    "strides": (QConv2d((2, 1), (0, 1, 1, 0), (1, 1), 1, -128, 3, -128, 127), (3, 2)),
    "dilations": (QConv2d((1, 2), (1, 2, 1, 2), (1, 2), 1, 7, 0, -128, 127), (2, 3)),
    "point": (QConv2d((1, 1), (0, 0, 0, 0), (1, 1), 1, 9, -7, -7, 127), (1, 1)),
    "rows between": (QConv2d((3, 2), (0, 1, 0, 1), (1, 1), 1, 9, -7, -7, 127), (1, 3)),
    "rows of padding between": (QConv2d((2, 2), (1, 0, 1, 0), (1, 1), 1, 9, -7, -7, 127), (1, 1)),
    "pooled rows between": (
        QConv2d((2, 1), (0, 0, 0, 0), (1, 1), 1, 5, 0, -128, 127, pool=Window((2, 2), (1, 2))),
        (1, 1),
    ),
    "pooling": (
        QConv2d((1, 1), (1, 1, 1, 1), (1, 1), 1, 5, 0, -128, 127, pool=Window((3, 2), (2, 1))),
        (3, 3),
    ),
    "residual": (QConv2d((2, 1), (1, 0, 1, 2), (1, 1), 1, -4, 1, -128, 127, residual=True), (3, 3)),
}


@FORMS
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_a_convolution_is_the_operator(case, config, scheduled):
    operator, kernel = CONVOLUTIONS[case]
    check(operator, convolution(operator, kernel), config, scheduled)


TABLES = pytest.mark.parametrize(
    ("config", "scheduled"), [(TINY, False), (NARROW, True)], ids=["plain", "schedule"]
)
"""A table needs a bank of 256 vectors."""


@TABLES
@pytest.mark.parametrize("case", ["pads", "pooling", "residual", "depthwise"])
def test_a_convolution_is_looked_up(case, config, scheduled):
    named = CONVOLUTIONS | {"depthwise": (DEPTHWISE["pads"], (3, 2))}
    operator, kernel = named[case]
    arrays = convolution(operator, kernel, inputs=10 if case == "depthwise" else 9)
    table = int8(np.random.default_rng(5), 256)
    check(QConv2dTable.of(operator), [*arrays, table], config, scheduled)


@TABLES
def test_a_table_is_the_operator(config, scheduled):
    rng = np.random.default_rng(6)
    check(QLookup(), [int8(rng, 1, 21, 9, 6), int8(rng, 256)], config, scheduled)


def test_a_table_needs_room_for_its_entries():
    types = [TensorType(DType.INT8, (1, 8, 2, 2)), TensorType(DType.INT8, (256,))]
    with pytest.raises(TilingError, match="must hold 256 vectors, the entries of a table, not 16"):
        lower(QLookup(), types, [None, np.zeros(256, np.int8)], SMALL)


def test_a_pooling_too_large_for_the_memories_says_so():
    kernel, types = QMaxPool2d(Window((40, 40))), [TensorType(DType.INT8, (1, 4, 40, 40))]
    (fitting,) = lower(kernel, types, [None], PRESETS["reference"])
    assert fitting.default["height"] == 1
    small = replace(PRESETS["tiny"], activation_banks=2, activation_vectors=16, accumulator_vectors=16)
    (too_large,) = lower(kernel, types, [None], small)
    with pytest.raises(TilingError, match="must hold 1600 vectors"):
        _ = too_large.default


DEPTHWISE = {
    "pads": QConv2d((1, 1), (2, 1, 0, 1), (1, 1), 10, 5, -3, -100, 90),
    "strides": QConv2d((1, 2), (1, 1, 1, 0), (1, 1), 10, -128, 3, -128, 127),
    "dilations": QConv2d((2, 1), (0, 2, 1, 1), (1, 2), 10, 7, 0, -128, 127),
    "residual": QConv2d((1, 1), (1, 0, 1, 1), (1, 1), 10, -4, 1, -128, 127, residual=True),
    "residual behind strides": QConv2d((2, 1), (1, 2, 1, 1), (1, 1), 10, 3, -9, -90, 127, residual=True),
}


@FORMS
@pytest.mark.parametrize("case", DEPTHWISE)
def test_a_depthwise_convolution_is_the_operator(case, config, scheduled):
    operator = DEPTHWISE[case]
    check(operator, convolution(operator, (3, 2), inputs=10), config, scheduled)


@FORMS
@pytest.mark.parametrize(
    "window",
    [
        Window((3, 2), (2, 1), (1, 0, 2, 1)),
        Window((2, 3), (1, 2), (0, 2, 1, 1)),
        Window((4, 4), (3, 2)),
    ],
    ids=str,
)
def test_an_average_has_the_scale_of_each_number_of_pixels(window, config, scheduled):
    """Each count's scale is another, so that a window that takes that of its neighbour is seen."""
    rng = np.random.default_rng(2)
    counts = sorted({int(count) for count in window.counts(7, 6).flat})
    scales = tuple((count, int(pack_scale(65536 + 20001 * count % 65536, -4))) for count in counts)
    bias = 12 * window.kernel[0] * window.kernel[1]
    operator = QAveragePool2d(window, -12, bias, scales, 4, -110, 120)
    check(operator, [int8(rng, 1, 23, 7, 6)], config, scheduled)


@FORMS
def test_a_maximum_is_the_operator(config, scheduled):
    rng = np.random.default_rng(3)
    # All below any padding but the least.
    x = rng.integers(-128, -40, (1, 10, 7, 6)).astype(np.int8)
    operator = QMaxPool2d(Window((3, 2), (2, 1), (2, 0, 1, 1)), -120, -50)
    check(operator, [x], config, scheduled)


@FORMS
def test_an_addition_is_the_operator(config, scheduled):
    rng = np.random.default_rng(4)
    operator = QAdd(77, 9000, -1500, int(pack_scale(84000, 5)), -9, -128, 100)
    check(operator, [int8(rng, 1, 10, 5, 6), int8(rng, 1, 10, 5, 6)], config, scheduled)


@FORMS
@pytest.mark.parametrize("size", [(5, 6), (1, 1)], ids=["elements", "factors of channels"])
@pytest.mark.parametrize("zeros", [(-90, -128), (127, 4), (0, 0)], ids=str)
def test_a_product_is_the_operator(zeros, size, config, scheduled):
    rng = np.random.default_rng(5)
    operator = QMul(*zeros, int(pack_scale(84000, 1)), -9, -128, 100)
    check(operator, [int8(rng, 1, 10, 5, 6), int8(rng, 1, 10, *size)], config, scheduled)


@FORMS
@pytest.mark.parametrize(
    ("groups", "inputs", "outputs"),
    [(2, 16, 16), (3, 15, 9), (4, 4, 12), (4, 20, 24)],
    ids=["whole blocks", "parts of blocks", "more results", "mixed"],
)
@pytest.mark.parametrize("residual", [False, True], ids=["alone", "residual"])
def test_a_grouped_convolution_is_the_operator(residual, groups, inputs, outputs, config, scheduled):
    rng = np.random.default_rng(6)
    operator = QConv2d((1, 1), (0, 1, 1, 0), (1, 1), groups, -70, 2, -128, 127, residual)
    arrays = [int8(rng, 1, inputs, 3, 4), int8(rng, outputs, inputs // groups, 2, 2)]
    arrays += [rng.integers(-9000, 9000, outputs).astype(np.int32), words(rng, outputs)]
    if residual:
        arrays += [int8(rng, 1, outputs, 3, 4), rng.integers(1, 400, outputs).astype(np.int16)]
    check(operator, arrays, config, scheduled)


def test_groups_are_parts_where_that_saves_more_than_it_costs():
    apart, together = [(0, 4), (4, 8)], [(0, 8), (0, 8)]
    assert runs(apart, products=1000, loads=100) == [(0, 1), (1, 2)]
    # Zeros between two groups cost the array less than a part of its own costs.
    assert runs(apart, products=20, loads=10) == [(0, 2)]
    assert runs(together, products=1000, loads=100) == [(0, 2)]


def _cost(parts, ranges, products, loads):
    """Of parting blocks so, as `runs` counts."""
    total = 0
    for first, last in parts:
        low = min(low for low, _ in ranges[first:last])
        high = max(high for _, high in ranges[first:last])
        total += (high - low) * max((last - first) * products, loads) + 400
    return total


@given(st.data())
def test_groups_are_parted_in_the_cheapest_way(data):
    count = data.draw(st.integers(1, 6))
    lows = data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    ranges = [(low, low + data.draw(st.integers(1, 9))) for low in lows]
    products, loads = data.draw(st.integers(1, 400)), data.draw(st.integers(1, 400))
    found = runs(ranges, products, loads)
    assert [index for part in found for index in range(*part)] == list(range(count))
    cuts = [[0, *cut, count] for size in range(count) for cut in combinations(range(1, count), size)]
    ways = [list(pairwise(cut)) for cut in cuts]
    least = min(_cost(way, ranges, products, loads) for way in ways)
    assert _cost(found, ranges, products, loads) == least


@FORMS
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_a_concatenation_is_the_operator(axis, config, scheduled):
    rng = np.random.default_rng(7)
    shapes = [[1, 2 * config.cols, 4, 5] for _ in range(3)]
    shapes[0][axis], shapes[2][axis] = (config.cols, 3) if axis == 1 else (2, 1)
    origins = QConcat(axis).starts(*(TensorType(DType.INT8, tuple(shape)) for shape in shapes))
    check(QConcat(axis), [int8(rng, *shape) for shape in shapes], config, scheduled)
    assert origins[1] == shapes[0][axis]


@FORMS
@pytest.mark.parametrize(
    "operator",
    [
        QGather(tuple(np.random.default_rng(1).permutation(19).tolist())),
        QGather((18, 3, 3, 10)),
        QGather((*[-1] * 9, *range(12)), -77),
        QGather(tuple(range(1, 19, 2))),
    ],
    ids=["permutation", "some", "filled", "steps"],
)
def test_a_change_of_channels_is_the_operator(operator, config, scheduled):
    check(operator, [int8(np.random.default_rng(8), 1, 19, 2, 3)], config, scheduled)


@FORMS
@pytest.mark.parametrize(
    "operator",
    [
        QPad2d((1, 2, 0, 3), fill=-100),
        QPad2d((-1, -2, -1, 0)),
        QPad2d((2, -1, -3, 2), (2, 1), 33),
        QPad2d((0, 0, 0, 0), (2, 3)),
        QPad2d((-3, -3, 8, 8), fill=5),
    ],
    ids=["border", "part", "both", "steps", "little of it"],
)
def test_a_border_or_part_is_the_operator(operator, config, scheduled):
    check(operator, [int8(np.random.default_rng(9), 1, 11, 6, 7)], config, scheduled)
