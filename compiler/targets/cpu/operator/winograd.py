"""Convolutions of floats by the minimal filtering of Winograd: F(4 x 4, 3 x 3), a quarter of the products.

A tile of 6 x 6 inputs is transformed, multiplied with transformed weights, 36 products of matrices with tiles
for rows, and transformed back to 4 x 4 results (Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", 2015). The transformations cancel large numbers: results differ from those of the direct form by up
to some 1e-5 of the largest one.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    ComputeAt,
    Fuse,
    Parallel,
    Primitive,
    Reorder,
    Split,
    StorageAlign,
    Unroll,
    Vectorise,
    apply,
)
from tilewright.compiler.targets.cpu.contraction import FMA
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.convolution import Finish
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.layout import aligned
from tilewright.compiler.targets.cpu.operator.padded_feature_map import with_padded_copy
from tilewright.compiler.targets.cpu.operator.register_tile import (
    RegisterTile,
    TiledMap,
    choose,
    vector_lanes,
)
from tilewright.compiler.targets.cpu.tensorise import Tensorise
from tilewright.compiler.te import Tensor, compute, constant, lower, placeholder, reduce_axis, select, sum_of
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.stmt import PrimFunc

STEP, SIDE = 4, 6
"""Results and inputs of a tile, each way."""
PAGE_ELEMENTS, LINE_ELEMENTS = 1024, 16
"""Of float32: addresses a page apart share a set of the first cache, those of neighbouring lines do not."""
INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
WEIGHT = np.array(
    [
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ]
)
OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
"""The transformations of a line: of inputs, weights and results."""


LEAST_PRODUCTS = 1 << 22
"""Of the direct form; it takes smaller ones as fast."""
MOST_WEIGHT_BYTES = 40 << 20
"""Transformed, four times as large as before, and perhaps read from memory each time."""
PASS_CYCLES, SHARE = 24, 0.8
"""To transform a vector of a plane, in products of vectors; the part of the direct form that must be left."""


def gains(sizes: ConvolutionSizes, features: Features) -> bool:
    """Whether a convolution takes less time so than in its direct form, by count."""
    plain = sizes.is_float and (sizes.kernel, sizes.strides, sizes.dilations) == ((3, 3), (1, 1), (1, 1))
    vector = vector_lanes(True, features)
    if not plain or sizes.channels % vector:
        return False
    (rows, columns), (down, across) = sizes.result, tiles_of(sizes)
    pairs, points = sizes.channels * sizes.outputs, SIDE * SIDE * down * across
    direct = 9 * rows * columns * pairs
    own = points * (pairs + PASS_CYCLES * (sizes.channels + sizes.outputs))
    weight_bytes = SIDE * SIDE * pairs * sizes.dtype.size_bytes
    return direct >= LEAST_PRODUCTS and weight_bytes <= MOST_WEIGHT_BYTES and own <= SHARE * direct


def tiles_of(sizes: ConvolutionSizes) -> tuple[int, int]:
    """Tiles down and across a feature map."""
    return -(-sizes.result[0] // STEP), -(-sizes.result[1] // STEP)


def register_tile(sizes: ConvolutionSizes, features: Features) -> RegisterTile:
    """The tile of the products of matrices: of so many `columns` tiles of the feature map."""
    down, across = tiles_of(sizes)
    return choose(
        TiledMap(
            result=(1, down * across),
            outputs=sizes.outputs,
            steps=sizes.channels,
            pixel_bytes=sizes.channels * sizes.dtype.size_bytes,
            is_float=True,
        ),
        features,
    )


def transformed_weights(weight: NDArray[Any], lanes: int) -> NDArray[np.float32]:
    """Weights [outputs, channels, 3, 3] as [6, 6, panels, channels, lanes]."""
    outputs, channels = weight.shape[:2]
    whole = np.zeros((9, channels, -(-outputs // lanes) * lanes))
    whole[:, :, :outputs] = weight.transpose(2, 3, 1, 0).reshape(9, channels, outputs)
    points = np.kron(WEIGHT, WEIGHT) @ whole.reshape(9, -1)
    panels = points.astype(np.float32).reshape(SIDE, SIDE, channels, -1, lanes).transpose(0, 1, 3, 2, 4)
    return aligned(panels)


def winograd(
    name: str, sizes: ConvolutionSizes, inputs: Sequence[Tensor], finish: Finish, features: Features
) -> PrimFunc:
    """The scheduled loops: x [height, width · channels], weight and what `finish` reads -> result.

    The weight is that of `transformed_weights` with the lanes of `register_tile`; the rest is as in
    `convolution.convolution`.
    """
    down, across = tiles_of(sizes)
    tile, channels = register_tile(sizes, features), sizes.channels
    map_ = sizes.padded_map
    padded_map = replace(
        map_,
        rows=max(map_.rows, down * STEP + 2),
        columns=max(map_.columns, (across * STEP + 2) * channels),
    )
    padded = placeholder((padded_map.rows, padded_map.columns), DType.FLOAT32, "padded")
    panels = -(-sizes.outputs // tile.lanes)
    weight = placeholder((SIDE, SIDE, panels, channels, tile.lanes), DType.FLOAT32, "weight")
    points = _points(padded, channels, (down, across))
    sums = _results(_products(points, weight))

    def element(y: Expr, x: Expr, c: Expr) -> Expr:
        at = (y // STEP * across + x // STEP, y % STEP, x % STEP, c // tile.lanes, c % tile.lanes)
        return finish(sums[at], y, x, c)

    result = compute((*sizes.result, sizes.outputs), element, "result")
    function = apply(
        lower(name, [padded, weight, *inputs], [result]), _steps(tile, across, vector_lanes(True, features))
    )
    return with_padded_copy(function, "padded", sizes.source, padded_map)


def _combined(rows: Sequence[Sequence[int]], row: Expr, elements: Sequence[Expr]) -> Expr:
    """The sum of elements by a row of numbers; the row is known where its loop is unrolled."""
    *others, last = (_sum(numbers, elements) for numbers in rows)
    found = last
    for place, value in reversed(list(enumerate(others))):
        found = select(row.equal(place), value, found)
    return found


def _sum(numbers: Sequence[int], elements: Sequence[Expr]) -> Expr:
    terms = [
        element if number == 1 else element * constant(float(number), DType.FLOAT32)
        for number, element in zip(numbers, elements, strict=True)
        if number
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _points(padded: Tensor, channels: int, tiles: tuple[int, int]) -> Tensor:
    """Tiles of the input, transformed down and then across: [6, 6, tiles, channels]."""
    down, across = tiles

    def line(t: Expr, i: Expr, b: Expr, c: Expr) -> Expr:
        row, column = t // across * STEP, (t % across * STEP + b) * channels + c
        return _combined(INPUT, i, [padded[row + a, column] for a in range(SIDE)])

    lines = compute((down * across, SIDE, SIDE, channels), line, "lines")

    def point(i: Expr, j: Expr, t: Expr, c: Expr) -> Expr:
        return _combined(INPUT, j, [lines[t, i, b, c] for b in range(SIDE)])

    return compute((SIDE, SIDE, down * across, channels), point, "points")


def _products(points: Tensor, weight: Tensor) -> Tensor:
    """A product of matrices for each point: [6, 6, panels, tiles, lanes]."""
    _, _, panels, channels, lanes = weight.shape
    k = reduce_axis(channels, "k")

    def product(i: Expr, j: Expr, p: Expr, t: Expr, n: Expr) -> Expr:
        return sum_of(points[i, j, t, k] * weight[i, j, p, k, n], k)

    return compute((SIDE, SIDE, panels, points.shape[2], lanes), product, "products")


def _results(products: Tensor) -> Tensor:
    """Tiles of results: [tiles, 4, 4, panels, lanes]."""
    _, _, panels, tiles, lanes = products.shape

    def line(t: Expr, p: Expr, y: Expr, j: Expr, n: Expr) -> Expr:
        return _combined(OUTPUT, y, [products[i, j, p, t, n] for i in range(SIDE)])

    backs = compute((tiles, panels, STEP, SIDE, lanes), line, "backs")

    def result(t: Expr, y: Expr, x: Expr, p: Expr, n: Expr) -> Expr:
        return _combined(OUTPUT, x, [backs[t, p, y, j, n] for j in range(SIDE)])

    return compute((tiles, STEP, STEP, panels, lanes), result, "sums")


def _steps(tile: RegisterTile, across: int, vector: int) -> list[Primitive]:
    return [
        # A tile has an element in each plane: in different sets of the first cache.
        StorageAlign("points", 1, PAGE_ELEMENTS, LINE_ELEMENTS),
        StorageAlign("products", 1, PAGE_ELEMENTS, LINE_ELEMENTS),
        # Results: a row of tiles at a time.
        Split("result_y", STEP, "down", "y"),
        Split("result_c", tile.lanes, "panel", "lane"),
        Reorder(("down", "y", "result_x", "panel", "lane")),
        Vectorise("lane"),
        Parallel("down"),
        ComputeAt("sums", "down"),
        Split("sums_n", vector, "sums_vector", "sums_lane"),
        Reorder(("sums_t", "sums_p", "sums_vector", "sums_y", "sums_x", "sums_lane")),
        Unroll("sums_x"),
        Vectorise("sums_lane"),
        ComputeAt("backs", "sums_vector"),
        Reorder(("backs_j", "backs_y", "backs_n")),
        Unroll("backs_y"),
        Vectorise("backs_n"),
        # Products: all tiles pass a panel.
        Split("products_t", tile.columns, "products_tile", "products_row"),
        Fuse("products_i", "products_j", "products_point"),
        Reorder(("products_point", *(f"products_{loop}" for loop in ("p", "tile", "row", "k", "n")))),
        Tensorise("products_row", FMA),
        Parallel("products_point"),
        # Points: a tile at a time.
        Split("points_t", across, "points_down", "points_across"),
        Split("points_c", vector, "points_vector", "points_lane"),
        Reorder(("points_down", "points_across", "points_vector", "points_i", "points_j", "points_lane")),
        Unroll("points_j"),
        Vectorise("points_lane"),
        Parallel("points_down"),
        ComputeAt("lines", "points_vector"),
        Reorder(("lines_b", "lines_i", "lines_c")),
        Unroll("lines_i"),
        Vectorise("lines_c"),
    ]
