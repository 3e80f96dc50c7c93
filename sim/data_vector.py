"""Vector instructions in compiled code; see `executor`."""

from typing import Any, NamedTuple

import numpy as np

from tilewright.isa.address import A_MEMORY, B_MEMORY, DESTINATION_MEMORY
from tilewright.isa.instruction import Destination, ReduceMode, VectorOp
from tilewright.isa.memory import Memory
from tilewright.isa.operand import PARAMETER_VECTORS
from tilewright.numerics.requantise import (
    MULTIPLIER_MAXIMUM,
    PRODUCT_SHIFT,
    SHIFT_BITS,
    SHIFT_POSITION,
    unpack_scale,
)
from tilewright.numerics.table import ENTRIES
from tilewright.sim.chip import Bytes, ChipRecord, load_lanes, stays_inside, store_lanes
from tilewright.sim.compiled import compiled, constant, inlined
from tilewright.sim.lane import (
    LANES,
    add,
    load_bytes,
    load_words,
    maximum,
    minimum,
    multiply,
    requantised,
    saturating_add,
    spread,
    store_bytes,
    subtract,
)
from tilewright.sim.nest import ONE, ZERO

_FIRST_WORDS = int(Memory.ACCUMULATOR)
_NONE = -1
_PARAMETER = constant(Memory.PARAMETER)
_A, _B, _DESTINATION = (
    tuple(constant(_NONE if memory is None else memory) for memory in memories)
    for memories in (A_MEMORY, B_MEMORY, DESTINATION_MEMORY)
)
_PASS, _ADD, _SUBTRACT, _MAXIMUM, _MINIMUM, _MULTIPLY = (
    int(op)
    for op in (
        VectorOp.PASS,
        VectorOp.ADD,
        VectorOp.SUBTRACT,
        VectorOp.MAXIMUM,
        VectorOp.MINIMUM,
        VectorOp.MULTIPLY,
    )
)
_MULTIPLY_ADD = int(VectorOp.MULTIPLY_ADD)
_REDUCE_ADD, _REDUCE_MAXIMUM = int(ReduceMode.ADD), int(ReduceMode.MAXIMUM)
_TO_TABLE = int(Destination.TABLE)
_BIAS, _SCALE, _FACTOR = range(len(PARAMETER_VECTORS))
_SIGN = 128
_SHIFTS = unpack_scale(np.arange(1 << SHIFT_BITS, dtype=np.int32) << SHIFT_POSITION)[1]
_BEFORE = np.ldexp(1.0, -_SHIFTS)
"""2^−pre for each field of a shift."""
_AFTER = 2.0**-PRODUCT_SHIFT


class VectorSource(NamedTuple):
    """An operand: its memory, whether that has int32, bytes of a step of each loop; or a constant for all."""

    data: Bytes
    words: bool
    stride_0: int
    stride_1: int
    stride_2: int
    stride_3: int
    varies: bool
    constant: Any


@compiled
def vector(m: ChipRecord, r: Any) -> bool:
    """Do what a vector instruction does; False: it is not begun."""
    if not _is_usual(m, r):
        return False
    size = m.sizes[0].vector_bytes[_PARAMETER]
    bias = (r.parameter + r.parameter_places[_BIAS]) * size
    factor = (r.parameter + r.parameter_places[_FACTOR]) * size
    if r.requantise:
        _prepare_scale(m, r.parameter + r.parameter_places[_SCALE])
    a = _source(m, _A[r.a_from], r.a_stride_0, r.a_stride_1, r.a_stride_2, r.a_stride_3, 0)
    b = _source(m, _B[r.b_from], r.b_stride_0, r.b_stride_1, r.b_stride_2, r.b_stride_3, r.immediate)
    count = min(m.sizes[0].cols, LANES)
    for lane in range(0, m.sizes[0].cols, LANES):
        _run(m, r, a, b, bias + 4 * lane, factor + 4 * lane, lane, count)
    return True


@compiled
def _source(
    m: ChipRecord, memory: int, stride_0: int, stride_1: int, stride_2: int, stride_3: int, value: int
) -> VectorSource:
    size = m.sizes[0].vector_bytes[memory]
    return VectorSource(
        m.memories[memory],
        memory >= _FIRST_WORDS,
        stride_0 * size,
        stride_1 * size,
        stride_2 * size,
        stride_3 * size,
        memory != _NONE,
        spread(value),
    )


# --- what is unusual ----------------------------------------------------------------------------------------


@compiled
def _is_usual(m: ChipRecord, r: Any) -> bool:
    """Whether the operation is known, operands stay in their banks, and results spare what is to be read."""
    if r.op > _MULTIPLY_ADD:
        return False
    counts = (r.n_0, r.n_1, r.n_2, r.n_3, ONE)
    a, b, to = _A[r.a_from], _B[r.b_from], _DESTINATION[r.to]
    a_strides = (r.a_stride_0, r.a_stride_1, r.a_stride_2, r.a_stride_3, ZERO)
    if not stays_inside(m, a, r.a, counts, a_strides, ONE):
        return False
    b_strides = (r.b_stride_0, r.b_stride_1, r.b_stride_2, r.b_stride_3, ZERO)
    if b != _NONE and not stays_inside(m, b, r.b, counts, b_strides, ONE):
        return False
    rows = (r.parameters, ONE, ONE, ONE, ONE)
    if r.parameters and not stays_inside(
        m, _PARAMETER, r.parameter, rows, (ONE, ZERO, ZERO, ZERO, ZERO), ONE
    ):
        return False
    if to == _NONE:
        return True
    strides = (r.destination_stride_0, r.destination_stride_1, ZERO, ZERO, ZERO)
    if not stays_inside(m, to, r.destination, (r.n_0, r.n_1, ONE, ONE, ONE), strides, ONE):
        return False
    return _is_distinct(r) or not (_in_place(m, r, a, r.a, to) or _in_place(m, r, b, r.b, to))


@compiled
def _in_place(m: ChipRecord, r: Any, memory: int, first: int, to: int) -> bool:
    """Whether results go to the bank of an operand: they then take its places, each after it was read."""
    depth = m.sizes[0].depth[to]
    return memory == to and first // depth == r.destination // depth


@compiled
def _is_distinct(r: Any) -> bool:
    outer, inner = abs(r.destination_stride_0), abs(r.destination_stride_1)
    if r.n_0 == 1 or r.n_1 == 1:
        return (r.n_0 == 1 or outer > 0) and (r.n_1 == 1 or inner > 0)
    return outer > inner * (r.n_1 - 1) if outer > inner > 0 else inner > outer * (r.n_0 - 1) and outer > 0


@compiled
def _prepare_scale(m: ChipRecord, vector: int) -> None:
    """The factors of each lane, as `numerics.requantise` takes them from a scale."""
    cols = m.sizes[0].cols
    for lane in range(cols):
        scale = m.parameters[vector * cols + lane]
        m.before[lane] = _BEFORE[(scale >> SHIFT_POSITION) & ((1 << SHIFT_BITS) - 1)]
        m.after[lane] = (scale & MULTIPLIER_MAXIMUM) * _AFTER


# --- items --------------------------------------------------------------------------------------------------


@compiled
def _run(
    m: ChipRecord, r: Any, a: VectorSource, b: VectorSource, bias: int, factor: int, lane: int, count: int
) -> None:
    """All results of up to sixteen lanes."""
    a_size, b_size = 4 if a.words else 1, 4 if b.words else 1
    a_first, b_first = (
        r.a * m.sizes[0].cols * a_size + lane * a_size,
        r.b * m.sizes[0].cols * b_size + lane * b_size,
    )
    parameters = m.memories[_PARAMETER]
    bias_lanes = load_lanes(m, parameters, bias, True, count) if r.bias else spread(0)
    factor_lanes = spread(0)
    if r.op == _MULTIPLY_ADD:
        factor_lanes = _narrow(load_lanes(m, parameters, factor, True, count), 1 << 15)
    for i in range(r.n_0):
        for j in range(r.n_1):
            a_place = a_first + i * a.stride_0 + j * a.stride_1
            b_place = b_first + i * b.stride_0 + j * b.stride_1
            if r.op == _MULTIPLY and r.reduce == _REDUCE_ADD and count == LANES and b.varies:
                t = _sum_of_products(r, a, b, a_place, b_place)
            else:
                t = _reduced(m, r, a, b, a_place, b_place, factor_lanes, count)
            if r.bias:
                t = saturating_add(t, bias_lanes)
            if r.requantise:
                t = add(requantised(t, m.before, m.after, lane), spread(r.zero_point))
            _put(m, r, t, i, j, lane, count)


@compiled
def _reduced(
    m: ChipRecord,
    r: Any,
    a: VectorSource,
    b: VectorSource,
    a_place: int,
    b_place: int,
    factor: Any,
    count: int,
) -> Any:
    total = spread(0)
    for k in range(r.n_2):
        for n in range(r.n_3):
            left = load_lanes(m, a.data, a_place + k * a.stride_2 + n * a.stride_3, a.words, count)
            right = b.constant
            if b.varies:
                right = load_lanes(m, b.data, b_place + k * b.stride_2 + n * b.stride_3, b.words, count)
            item = _item(r.op, left, right, factor)
            if k + n == 0:
                total = item
            elif r.reduce == _REDUCE_ADD:
                total = add(total, item)
            elif r.reduce == _REDUCE_MAXIMUM:
                total = maximum(total, item)
            else:
                total = minimum(total, item)
    return total


@inlined
def _item(op: int, a: Any, b: Any, factor: Any) -> Any:
    if op == _PASS:
        return a
    if op == _ADD:
        return add(a, b)
    if op == _SUBTRACT:
        return subtract(a, b)
    if op == _MAXIMUM:
        return maximum(a, b)
    if op == _MINIMUM:
        return minimum(a, b)
    if op == _MULTIPLY:
        return multiply(_narrow(a, 1 << 15), _narrow(b, 1 << 7))
    return add(a, multiply(factor, _narrow(b, 1 << 7)))


@inlined
def _sum_of_products(r: Any, a: VectorSource, b: VectorSource, a_place: int, b_place: int) -> Any:
    """`_reduced` of the items of a depthwise convolution."""
    total = spread(0)
    for k in range(r.n_2):
        for n in range(r.n_3):
            a_index = a_place + k * a.stride_2 + n * a.stride_3
            b_index = b_place + k * b.stride_2 + n * b.stride_3
            left = _narrow(load_words(a.data, a_index), 1 << 15) if a.words else load_bytes(a.data, a_index)
            right = _narrow(load_words(b.data, b_index), 1 << 7) if b.words else load_bytes(b.data, b_index)
            total = add(total, multiply(left, right))
    return total


@inlined
def _narrow(lanes: Any, limit: int) -> Any:
    return minimum(maximum(lanes, spread(-limit)), spread(limit - 1))


# --- results ------------------------------------------------------------------------------------------------


@inlined
def _put(m: ChipRecord, r: Any, lanes: Any, i: int, j: int, lane: int, count: int) -> None:
    to = _DESTINATION[r.to]
    place = (r.destination + i * r.destination_stride_0 + j * r.destination_stride_1) * m.sizes[0].cols + lane
    if to >= _FIRST_WORDS:
        store_lanes(m, m.memories[to], 4 * place, lanes, True, count)
        return
    narrow = minimum(maximum(lanes, spread(r.lo)), spread(r.hi))
    if r.to == _TO_TABLE:
        store_bytes(m.stage, 0, narrow)
        entry = (i * r.n_1 + j) % ENTRIES
        for k in range(count):
            m.tables[(lane + k) * ENTRIES + entry] = m.stage[k]
        return
    if r.lookup:
        store_bytes(m.stage, 0, narrow)
        for k in range(count):
            m.stage[k] = m.tables[(lane + k) * ENTRIES + (m.stage[k] ^ _SIGN)]
        narrow = load_bytes(m.stage, 0)
    store_lanes(m, m.memories[to], place, narrow, False, count)
