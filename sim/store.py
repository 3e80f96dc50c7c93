"""Store in time: all bursts of an instruction are known at its start."""

from typing import Any

from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.memory import Engine
from tilewright.isa.timing import (
    ADDRESS_FAULT,
    DMA_SETUP,
    GENERATOR_SETUP,
    STORE_BEAT,
    STORE_BEATS,
    STORE_FREE,
    STORE_RESPONSE,
)
from tilewright.sim.burst import END, SAME_ROW, advance, burst_length, good_beats, open_cursor
from tilewright.sim.bus import write_burst
from tilewright.sim.compiled import compiled, constant
from tilewright.sim.fault import report
from tilewright.sim.nest import ONE, ZERO, bank_span, first_outside
from tilewright.sim.record import ADDRESSES, NEVER, MachineRecord

_STORE, _ENGINE = constant(FaultEngine.STORE), constant(Engine.STORE)
_BUS, _ADDRESS = constant(Cause.BUS), constant(Cause.ADDRESS)


@compiled
def start_store(m: MachineRecord, index: int, start: int) -> None:
    """Start a store and follow it to its end."""
    state, store, cursor = m.state[0], m.instructions[index], m.cursors[1]
    open_cursor(cursor, store, state)
    bad_beat = _bad_beat(state, store, cursor.beat_bytes)
    state.store_action = min(NEVER, max(start, state.store_action - 1) + GENERATOR_SETUP)
    request, taken = start + DMA_SETUP, 0
    crossed, granted, answered = SAME_ROW, NEVER, NEVER
    while crossed != END:
        granted = _grant(state, request)
        length = burst_length(cursor, state.burst_bytes)
        beats = length // cursor.beat_bytes
        answered = _follow(m, index, granted, beats, bad_beat - taken)
        taken += beats
        crossed = advance(cursor, length)
        request = min(NEVER, granted + 1)
    state.free[_ENGINE] = min(NEVER, granted + 1)
    finish = min(NEVER, answered + STORE_RESPONSE)
    if finish > state.abandoned_from:
        finish = NEVER
    m.instructions[index].finish = finish
    state.held[_ENGINE, m.instructions[index].ports[0]] = finish


@compiled
def _grant(state: Any, request: int) -> int:
    """The cycle in which the write address register takes the next burst, wanted from `request` on."""
    granted = max(request, state.store_address_free)
    if state.store_bursts >= state.outstanding_writes:
        granted = max(granted, state.store_freed[state.store_bursts % state.outstanding_writes])
    return min(NEVER, granted)


@compiled
def _follow(m: MachineRecord, index: int, granted: int, beats: int, bad_beat: int) -> int:
    """The cycle of a burst's answer; `bad_beat`, if it has so many beats, is the first outside."""
    state, cursor = m.state[0], m.cursors[1]
    accepted = granted + 1 if granted + 1 < state.silent_from else NEVER
    action = min(NEVER, max(state.store_action, granted + 2))
    taken = _taken(state, action, beats)
    if 0 <= bad_beat < taken:
        report(state, action + bad_beat + ADDRESS_FAULT, _STORE, index, _ADDRESS)
    answered = write_burst(m, granted, accepted, action + STORE_BEAT, beats, cursor.beat_bytes)
    if good_beats(state, cursor.address, beats, cursor.beat_bytes) < beats:
        report(state, answered + STORE_RESPONSE, _STORE, index, _BUS)
    state.store_action = min(NEVER, action + beats) if taken == beats else NEVER
    state.store_address_free = accepted
    state.store_freed[state.store_bursts % state.outstanding_writes] = answered + STORE_FREE
    state.store_bursts += 1
    return answered


@compiled
def _taken(state: Any, action: int, beats: int) -> int:
    """The beats of a burst that are taken from cycle `action` on: all, unless a silent bus leaves no room.

    A bus that takes each beat at once always leaves room; of the beats that it does not take, there is room
    for STORE_BEATS.
    """
    taken_by_bus = max(0, min(beats, state.silent_from - STORE_BEAT - action))
    left = min(beats - taken_by_bus, STORE_BEATS - state.store_beats_left)
    state.store_beats_left += left
    return taken_by_bus + left


@compiled
def _bad_beat(state: Any, store: Any, beat_bytes: int) -> int:
    """The first beat of the first vector outside of the bank, or NEVER."""
    low, high = bank_span(state, store.memory, store.address, ONE, ADDRESSES)
    counts = (ONE, ONE, store.n_z, store.n_y, store.n_x)
    strides = (ZERO, ZERO, store.chip_stride_z, store.chip_stride_y, store.chip_stride_x)
    vector = first_outside(store.address, counts, strides, low, high)
    if vector == NEVER:
        return NEVER
    return vector * (state.vector_bytes[store.memory] // beat_bytes)
