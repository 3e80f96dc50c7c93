"""Matrix instructions in compiled code: products of pairs of int16; see `executor`."""

from typing import Any

from tilewright.isa.memory import Memory
from tilewright.sim.chip import Bytes, ChipRecord, load_lanes, stays_inside, store_lanes
from tilewright.sim.compiled import compiled, constant
from tilewright.sim.lane import (
    LANES,
    add,
    add_products,
    copy_bytes,
    load_pairs,
    load_words,
    spread,
    spread_pair,
    store_words,
)
from tilewright.sim.nest import ONE, ZERO

_RESULTS = 6
"""Results whose sums are in registers together: with two registers each, and weights, all that AVX2 has."""
_ACTIVATION, _WEIGHT, _ACCUMULATOR = (
    constant(memory) for memory in (Memory.ACTIVATION, Memory.WEIGHT, Memory.ACCUMULATOR)
)


@compiled
def matrix(m: ChipRecord, r: Any) -> bool:
    """Do what a matrix instruction does; False: it is not begun."""
    results, vectors = r.n_y * r.n_x, r.n_ky * r.n_kx * r.n_ci * m.sizes[0].rows
    if not (
        _slices_stay_inside(m, r)
        and _stays_inside(m, _WEIGHT, r.weight, vectors)
        and _stays_inside(m, _ACCUMULATOR, r.accumulator, results)
    ):
        return False
    _widen_activations(m, r, results)
    if m.sizes[0].cols < LANES:
        _multiply_narrow(m, r, results, vectors)
    else:
        _multiply_wide(m, r, results)
    return True


@compiled
def _stays_inside(m: ChipRecord, memory: int, first: int, vectors: int) -> bool:
    return stays_inside(m, memory, first, (vectors, ONE, ONE, ONE, ONE), (ONE, ZERO, ZERO, ZERO, ZERO), ONE)


@compiled
def _slices_stay_inside(m: ChipRecord, r: Any) -> bool:
    counts = (r.n_y, r.n_x, r.n_ky, r.n_kx, r.n_ci)
    strides = (r.stride_y, r.stride_x, r.stride_ky, r.stride_kx, r.stride_ci)
    return stays_inside(m, _ACTIVATION, r.activation, counts, strides, m.sizes[0].slices)


# --- activations --------------------------------------------------------------------------------------------


@compiled
def _widen_activations(m: ChipRecord, r: Any, results: int) -> None:
    """Activations as int16, and where the slices of each result and of each tile lie among them."""
    rows = m.sizes[0].rows
    low, high = _bounds(r)
    _place_results(m, r, rows, r.activation - low)
    tiles = _place_tiles(m, r, rows)
    if high - low < results * tiles:
        first = low * rows
        for place in range((high - low + 1) * rows):
            m.shorts[place] = m.activations[first + place]
    else:
        _gather(m, results, tiles, low * rows, rows)


@compiled
def _bounds(r: Any) -> tuple[int, int]:
    low = high = r.activation
    for extent in (
        (r.n_y - 1) * r.stride_y,
        (r.n_x - 1) * r.stride_x,
        (r.n_ky - 1) * r.stride_ky,
        (r.n_kx - 1) * r.stride_kx,
        (r.n_ci - 1) * r.stride_ci,
    ):
        low += min(extent, 0)
        high += max(extent, 0)
    return low, high


@compiled
def _place_results(m: ChipRecord, r: Any, rows: int, first: int) -> None:
    for y in range(r.n_y):
        for x in range(r.n_x):
            m.starts[y * r.n_x + x] = (first + y * r.stride_y + x * r.stride_x) * rows


@compiled
def _place_tiles(m: ChipRecord, r: Any, rows: int) -> int:
    tile = 0
    for ky in range(r.n_ky):
        for kx in range(r.n_kx):
            for ci in range(r.n_ci):
                m.steps[tile] = (ky * r.stride_ky + kx * r.stride_kx + ci * r.stride_ci) * rows
                tile += 1
    return tile


@compiled
def _gather(m: ChipRecord, results: int, tiles: int, origin: int, rows: int) -> None:
    """Slices one after the other, where they are fewer than what lies between the first and the last."""
    place = 0
    for result in range(results):
        start = origin + m.starts[result]
        m.starts[result] = place
        for tile in range(tiles):
            for row in range(rows):
                m.shorts[place + row] = m.activations[start + m.steps[tile] + row]
            place += rows
    for tile in range(tiles):
        m.steps[tile] = tile * rows


# --- products -----------------------------------------------------------------------------------------------


@compiled
def _multiply_wide(m: ChipRecord, r: Any, results: int) -> None:
    cols = m.sizes[0].cols
    tiles = r.n_ky * r.n_kx * r.n_ci
    weights, sums = m.memories[_WEIGHT], m.memories[_ACCUMULATOR]
    for lane in range(0, cols, LANES):
        for result in range(0, results, _RESULTS):
            place = ((r.accumulator + result) * cols + lane) * 4
            count = min(_RESULTS, results - result)
            first = r.weight * cols + lane
            _multiply_rows(m, tiles, result, count, weights, first, cols, sums, place, r.accumulate)


@compiled
def _multiply_narrow(m: ChipRecord, r: Any, results: int, vectors: int) -> None:
    """The same by way of weights and results that are sixteen lanes wide."""
    cols, tiles = m.sizes[0].cols, r.n_ky * r.n_kx * r.n_ci
    weights, sums = m.memories[_WEIGHT], m.memories[_ACCUMULATOR]
    for vector in range(vectors):
        copy_bytes(m.weights, vector * LANES, weights, (r.weight + vector) * cols, cols)
    for result in range(0, results, _RESULTS):
        count = min(_RESULTS, results - result)
        _multiply_rows(m, tiles, result, count, m.weights, 0, LANES, m.sums, result * LANES * 4, 0)
    for result in range(results):
        place = (r.accumulator + result) * cols * 4
        total = load_lanes(m, m.sums, result * LANES * 4, True, LANES)
        if r.accumulate:
            total = add(total, load_lanes(m, sums, place, True, cols))
        store_lanes(m, sums, place, total, True, cols)


@compiled
def _multiply_rows(
    m: ChipRecord,
    tiles: int,
    result: int,
    count: int,
    weights: Bytes,
    weight: int,
    step: int,
    sums: Bytes,
    target: int,
    accumulate: int,
) -> None:
    """Sixteen lanes of up to six results; beyond `count` the last one is computed again."""
    last, rows = result + count - 1, m.sizes[0].rows
    starts, steps, shorts = m.starts, m.steps, m.shorts
    place_0, place_1, place_2 = starts[result], starts[min(result + 1, last)], starts[min(result + 2, last)]
    place_3, place_4 = starts[min(result + 3, last)], starts[min(result + 4, last)]
    place_5 = starts[min(result + 5, last)]
    sum_0 = sum_1 = sum_2 = sum_3 = sum_4 = sum_5 = spread(0)
    for tile in range(tiles):
        for place in range(steps[tile], steps[tile] + rows, 2):
            pairs = load_pairs(weights, weight, step)
            sum_0 = add_products(sum_0, spread_pair(shorts, place_0 + place), pairs)
            sum_1 = add_products(sum_1, spread_pair(shorts, place_1 + place), pairs)
            sum_2 = add_products(sum_2, spread_pair(shorts, place_2 + place), pairs)
            sum_3 = add_products(sum_3, spread_pair(shorts, place_3 + place), pairs)
            sum_4 = add_products(sum_4, spread_pair(shorts, place_4 + place), pairs)
            sum_5 = add_products(sum_5, spread_pair(shorts, place_5 + place), pairs)
            weight += 2 * step
    _put(sums, target, sum_0, accumulate, count > 0)
    _put(sums, target + 4 * step, sum_1, accumulate, count > 1)
    _put(sums, target + 8 * step, sum_2, accumulate, count > 2)
    _put(sums, target + 12 * step, sum_3, accumulate, count > 3)
    _put(sums, target + 16 * step, sum_4, accumulate, count > 4)
    _put(sums, target + 20 * step, sum_5, accumulate, count > 5)


@compiled
def _put(sums: Bytes, target: int, total: Any, accumulate: int, wanted: bool) -> None:
    if wanted:
        store_words(sums, target, add(total, load_words(sums, target)) if accumulate else total)
