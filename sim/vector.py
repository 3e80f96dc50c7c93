"""Vector in time: parameters, then items, one after the other down a pipeline."""

from typing import Any

from tilewright.isa.address import A_MEMORY, B_MEMORY, DESTINATION_MEMORY
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.timing import ADDRESS_FAULT
from tilewright.sim.compiled import (
    chunks_of_row,
    compiled,
    constant,
    fits_windows,
    item_interval,
    newest_tap,
    requantiser_rest,
    sliding_items,
    step_of,
    taps_apart,
    vector_depth,
    vector_last_issue,
    vector_occupancy,
)
from tilewright.sim.fault import report
from tilewright.sim.nest import ONE, ZERO, bank_span, first_outside
from tilewright.sim.record import ADDRESSES, NEVER, MachineRecord

_NOWHERE = constant(-1)
_VECTOR, _ENGINE = constant(FaultEngine.VECTOR), constant(Engine.VECTOR)
_ADDRESS = constant(Cause.ADDRESS)


def _codes(memories: tuple[Memory | None, ...]) -> tuple[int, ...]:
    return tuple(_NOWHERE if memory is None else constant(memory) for memory in memories)


_A_MEMORY, _B_MEMORY, _DESTINATION_MEMORY = _codes(A_MEMORY), _codes(B_MEMORY), _codes(DESTINATION_MEMORY)
_PARAMETER_MEMORY = constant(Memory.PARAMETER)


@compiled
def start_vector(m: MachineRecord, index: int, start: int) -> int:
    """Start a vector instruction: the cycle of its finish."""
    state, vector = m.state[0], m.instructions[index]
    chunks = _chunks(state, vector)
    reduced = vector.n_2 * (chunks if chunks else vector.n_3)
    items = sliding_items(vector.n_0, vector.n_1, vector.n_2, vector.n_3, chunks)
    parameters = vector.parameters
    interval = item_interval(vector.requantise, reduced, state.requant_interval)
    _report_parameters(state, vector, index, start, parameters)
    item = _first_sliding(state, vector, chunks) if chunks else _first_item(state, vector)
    if item < NEVER:
        first = start + 1 + parameters
        report(state, first + item * interval + ADDRESS_FAULT, _VECTOR, index, _ADDRESS)
    rest = requantiser_rest(vector.requantise, reduced, state.requant_interval)
    state.free[_ENGINE] = start + vector_occupancy(parameters, items, interval, rest)
    depth = vector_depth(state.requant_interval, state.vector_taps)
    return vector_last_issue(start, parameters, items, interval) + depth


@compiled
def _chunks(state: Any, vector: Any) -> int:
    """Chunks of a row of the kernel over which a window slides; 0: none does."""
    if state.vector_taps == 1:
        return 0
    chunks = chunks_of_row(vector.n_3, step_of(vector))
    return chunks * fits_windows(vector.n_2, chunks, state.requant_interval)


@compiled
def _report_parameters(state: Any, vector: Any, index: int, start: int, parameters: int) -> None:
    _, high = bank_span(state, _PARAMETER_MEMORY, vector.parameter, ONE, ADDRESSES)
    place = high - vector.parameter
    if place < parameters:
        report(state, start + 1 + place + ADDRESS_FAULT, _VECTOR, index, _ADDRESS)


@compiled
def _first_item(state: Any, vector: Any) -> int:
    """First item of which a, b or the destination lies outside, or NEVER: a result comes with its last."""
    counts = (ONE, vector.n_0, vector.n_1, vector.n_2, vector.n_3)
    strides = (ZERO, vector.a_stride_0, vector.a_stride_1, vector.a_stride_2, vector.a_stride_3)
    item = _outside(state, _A_MEMORY[vector.a_from], vector.a, counts, strides)
    strides = (ZERO, vector.b_stride_0, vector.b_stride_1, vector.b_stride_2, vector.b_stride_3)
    item = min(item, _outside(state, _B_MEMORY[vector.b_from], vector.b, counts, strides))
    result = _first_result(state, vector)
    return item if result == NEVER else min(item, (result + 1) * vector.n_2 * vector.n_3 - 1)


@compiled
def _first_result(state: Any, vector: Any) -> int:
    """The first result whose place lies outside, or NEVER."""
    counts = (ONE, ONE, ONE, vector.n_0, vector.n_1)
    strides = (ZERO, ZERO, ZERO, vector.destination_stride_0, vector.destination_stride_1)
    return _outside(state, _DESTINATION_MEMORY[vector.to], vector.destination, counts, strides)


@compiled
def _first_sliding(state: Any, vector: Any, chunks: int) -> int:
    """The same where the window slides: b is read with the first result of a line alone."""
    whole, further = vector.n_2 * vector.n_3, vector.n_2 * chunks
    line = whole + (vector.n_1 - 1) * further
    counts = (ONE, ONE, vector.n_0, vector.n_2, vector.n_3)
    strides = (ZERO, ZERO, vector.a_stride_0, vector.a_stride_2, vector.a_stride_3)
    a_memory = _A_MEMORY[vector.a_from]
    place = _outside(state, a_memory, vector.a, counts, strides)
    item = _in_lines(place, whole, line)
    item = min(item, _in_lines(_first_further(state, vector, chunks), line - whole, line) + whole)
    strides = (ZERO, ZERO, ZERO, vector.b_stride_2, vector.b_stride_3)
    place = _outside(state, _B_MEMORY[vector.b_from], vector.b, counts, strides)
    item = min(item, _in_lines(place, whole, line))
    result = _first_result(state, vector)
    if result < NEVER:
        last = whole - 1 + result % vector.n_1 * further
        item = min(item, result // vector.n_1 * line + last)
    return item


@compiled
def _in_lines(place: int, of_line: int, items: int) -> int:
    """The item of a place among some of those that each line of `items` begins with; NEVER stays."""
    return NEVER if place == NEVER else place // of_line * items + place % of_line


@compiled
def _first_further(state: Any, vector: Any, chunks: int) -> int:
    """The first read of a with a further result of its line that lies outside, among those; or NEVER."""
    if vector.n_1 == 1:
        return NEVER
    step = step_of(vector)
    first = vector.a + vector.a_stride_1 + newest_tap(vector.n_3, step) * vector.a_stride_3
    counts = (ONE, vector.n_0, vector.n_1 - 1, vector.n_2, chunks)
    last = taps_apart(step) * vector.a_stride_3
    strides = (ZERO, vector.a_stride_0, vector.a_stride_1, vector.a_stride_2, last)
    return _outside_from(state, _A_MEMORY[vector.a_from], vector.a, first, counts, strides)


@compiled
def _outside(state: Any, memory: int, address: int, counts: Any, strides: Any) -> int:
    return _outside_from(state, memory, address, address, counts, strides)


@compiled
def _outside_from(state: Any, memory: int, home: int, first: int, counts: Any, strides: Any) -> int:
    """The first place outside of the bank of `home`, or NEVER."""
    if memory == _NOWHERE:
        return NEVER
    low, high = bank_span(state, memory, home, ONE, ADDRESSES)
    return first_outside(first, counts, strides, low, high)
