"""Vector in time: parameters, then items, one after the other down a pipeline."""

from typing import Any

from tilewright.isa.address import A_MEMORY, B_MEMORY, DESTINATION_MEMORY
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.timing import ADDRESS_FAULT
from tilewright.sim.compiled import (
    compiled,
    constant,
    item_interval,
    requantiser_rest,
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
    reduced = vector.n_2 * vector.n_3
    items = vector.n_0 * vector.n_1 * reduced
    parameters = vector.parameters
    interval = item_interval(vector.requantise, reduced, state.requant_interval)
    _report_parameters(state, vector, index, start, parameters)
    _report_items(state, vector, index, start + 1 + parameters, interval)
    rest = requantiser_rest(vector.requantise, reduced, state.requant_interval)
    state.free[_ENGINE] = start + vector_occupancy(parameters, items, interval, rest)
    return vector_last_issue(start, parameters, items, interval) + vector_depth(state.requant_interval)


@compiled
def _report_parameters(state: Any, vector: Any, index: int, start: int, parameters: int) -> None:
    _, high = bank_span(state, _PARAMETER_MEMORY, vector.parameter, ONE, ADDRESSES)
    place = high - vector.parameter
    if place < parameters:
        report(state, start + 1 + place + ADDRESS_FAULT, _VECTOR, index, _ADDRESS)


@compiled
def _report_items(state: Any, vector: Any, index: int, first_issue: int, interval: int) -> None:
    """The first address of a, b or the destination that lies outside; a result comes with its last item."""
    counts = (ONE, vector.n_0, vector.n_1, vector.n_2, vector.n_3)
    strides = (ZERO, vector.a_stride_0, vector.a_stride_1, vector.a_stride_2, vector.a_stride_3)
    item = _outside(state, _A_MEMORY[vector.a_from], vector.a, counts, strides)
    strides = (ZERO, vector.b_stride_0, vector.b_stride_1, vector.b_stride_2, vector.b_stride_3)
    item = min(item, _outside(state, _B_MEMORY[vector.b_from], vector.b, counts, strides))
    counts = (ONE, ONE, ONE, vector.n_0, vector.n_1)
    strides = (ZERO, ZERO, ZERO, vector.destination_stride_0, vector.destination_stride_1)
    result = _outside(state, _DESTINATION_MEMORY[vector.to], vector.destination, counts, strides)
    if result < NEVER:
        item = min(item, (result + 1) * vector.n_2 * vector.n_3 - 1)
    if item < NEVER:
        report(state, first_issue + item * interval + ADDRESS_FAULT, _VECTOR, index, _ADDRESS)


@compiled
def _outside(state: Any, memory: int, address: int, counts: Any, strides: Any) -> int:
    if memory == _NOWHERE:
        return NEVER
    low, high = bank_span(state, memory, address, ONE, ADDRESSES)
    return first_outside(address, counts, strides, low, high)
