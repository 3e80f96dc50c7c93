"""Matrix in time: everything about an instruction follows from its start and the last stream before it."""

from typing import Any

from tilewright.isa.address import SLICE_ADDRESS_BITS
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.timing import ADDRESS_FAULT
from tilewright.sim.compiled import (
    compiled,
    constant,
    first_stream,
    matrix_depth,
    matrix_fault_depth,
    tile_period,
)
from tilewright.sim.fault import report
from tilewright.sim.nest import ONE, bank_span, first_outside
from tilewright.sim.record import ADDRESSES, NEVER, MachineRecord

_MATRIX, _ENGINE = constant(FaultEngine.MATRIX), constant(Engine.MATRIX)
_ADDRESS = constant(Cause.ADDRESS)
_ACTIVATION, _WEIGHT, _ACCUMULATOR = (
    constant(Memory.ACTIVATION),
    constant(Memory.WEIGHT),
    constant(Memory.ACCUMULATOR),
)
_SLICE_ADDRESSES = constant(1 << SLICE_ADDRESS_BITS)


@compiled
def start_matrix(m: MachineRecord, index: int, start: int) -> int:
    """Start a matrix instruction: the cycle of its finish."""
    state, matrix = m.state[0], m.instructions[index]
    vectors, tiles = matrix.n_y * matrix.n_x, matrix.n_ky * matrix.n_kx * matrix.n_ci
    moved = matrix.accumulate == 1 and matrix.accumulator != state.stream_base
    stream = first_stream(start, state.rows, state.stream, state.stream_vectors, moved)
    period = tile_period(vectors, state.rows)
    _report_activations(state, matrix, index, stream, period)
    _report_weights(state, matrix, index, start, stream, period)
    _report_accumulators(state, matrix, index, stream)
    state.stream = stream + (tiles - 1) * period
    state.stream_vectors, state.stream_base = vectors, matrix.accumulator
    state.free[_ENGINE] = state.stream + 1
    return state.stream + vectors - 1 + matrix_depth(state.rows, state.cols)


@compiled
def _report_activations(state: Any, matrix: Any, index: int, stream: int, period: int) -> None:
    low, high = bank_span(state, _ACTIVATION, matrix.activation, state.slices, _SLICE_ADDRESSES)
    counts = (matrix.n_ky, matrix.n_kx, matrix.n_ci, matrix.n_y, matrix.n_x)
    strides = (matrix.stride_ky, matrix.stride_kx, matrix.stride_ci, matrix.stride_y, matrix.stride_x)
    place = first_outside(matrix.activation, counts, strides, low, high)
    if place < NEVER:
        vectors = matrix.n_y * matrix.n_x
        issue = stream + place // vectors * period + place % vectors + 1
        report(state, issue + ADDRESS_FAULT, _MATRIX, index, _ADDRESS)


@compiled
def _report_weights(state: Any, matrix: Any, index: int, start: int, stream: int, period: int) -> None:
    """Rows of the first tile issue after the start, those of each other during the stream before it."""
    _, high = bank_span(state, _WEIGHT, matrix.weight, ONE, ADDRESSES)
    place = high - matrix.weight
    if place >= matrix.n_ky * matrix.n_kx * matrix.n_ci * state.rows:
        return
    tile, row = place // state.rows, place % state.rows
    preload = start if tile == 0 else stream + (tile - 1) * period
    report(state, preload + 1 + row + ADDRESS_FAULT, _MATRIX, index, _ADDRESS)


@compiled
def _report_accumulators(state: Any, matrix: Any, index: int, stream: int) -> None:
    _, high = bank_span(state, _ACCUMULATOR, matrix.accumulator, ONE, ADDRESSES)
    place = high - matrix.accumulator
    if place < matrix.n_y * matrix.n_x:
        cycle = stream + place + matrix_fault_depth(state.rows, state.cols)
        report(state, cycle, _MATRIX, index, _ADDRESS)
