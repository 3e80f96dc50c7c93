"""Load in time: its bursts, and the landing that writes their beats and the padding."""

from typing import Any

from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.memory import Engine
from tilewright.isa.timing import (
    ADDRESS_FAULT,
    DMA_SETUP,
    GENERATOR_SETUP,
    LANDING_BUS_FAULT,
    LANDING_FREE,
    LANDING_VISIBLE,
    LANDING_WRITE,
)
from tilewright.sim.burst import END, NEXT_PLANE, SAME_ROW, advance, burst_length, good_beats, open_cursor
from tilewright.sim.bus import LOAD_TRAFFIC, read_burst
from tilewright.sim.compiled import compiled, constant
from tilewright.sim.fault import report
from tilewright.sim.nest import ONE, ZERO, bank_span, first_outside
from tilewright.sim.record import ADDRESSES, NEVER, MachineRecord

_LOAD, _ENGINE = constant(FaultEngine.LOAD), constant(Engine.LOAD)
_BUS, _ADDRESS = constant(Cause.BUS), constant(Cause.ADDRESS)


@compiled
def start_load(m: MachineRecord, index: int, start: int) -> None:
    """Start a load: its padding before the first burst lands, or all of it if it has no bursts."""
    state, load, cursor = m.state[0], m.instructions[index], m.cursors[0]
    state.load = index
    state.next_action = min(NEVER, max(start + GENERATOR_SETUP, state.next_action - 1 + GENERATOR_SETUP))
    state.actions = 0
    row = load.pad_left + load.n_x + load.pad_right
    state.bad_action = _bad_action(state, load, row)
    if load.n_y == 0 or load.n_x == 0:
        state.free[_ENGINE] = start + 1
        _act(state, load.n_z * (load.pad_top + load.n_y + load.pad_bottom) * row)
        _finish(m)
        return
    open_cursor(cursor, load, state)
    state.free[_ENGINE] = NEVER
    state.load_request = start + DMA_SETUP
    _await_room(state)
    _act(state, load.pad_top * row + load.pad_left)


@compiled
def grant_load(m: MachineRecord, granted: int) -> None:
    """Grant the burst at the cursor: its beats land, then the padding after it."""
    state, cursor = m.state[0], m.cursors[0]
    load = m.instructions[state.load]
    length = burst_length(cursor, state.burst_bytes)
    beats = length // cursor.beat_bytes
    first, coming = read_burst(m, LOAD_TRAFFIC, granted, beats, cursor.beat_bytes)
    _land(state, cursor, first, beats, coming)
    state.load_freed[state.load_bursts % state.outstanding_reads] = state.next_action - 1 + LANDING_FREE
    state.load_bursts += 1
    crossed = advance(cursor, length)
    if crossed != SAME_ROW:
        _act(state, _padding(load, crossed))
    if crossed == END:
        state.load_request, state.free[_ENGINE] = NEVER, granted + 1
        _finish(m)
    else:
        state.load_request = granted + 1
        _await_room(state)


@compiled
def _await_room(state: Any) -> None:
    if state.load_bursts >= state.outstanding_reads:
        freed = state.load_freed[state.load_bursts % state.outstanding_reads]
        state.load_request = min(NEVER, max(state.load_request, freed))


@compiled
def _padding(load: Any, crossed: int) -> int:
    """Pad vectors after the last one of a row in memory."""
    row = load.pad_left + load.n_x + load.pad_right
    vectors = load.pad_right
    if crossed != END:
        vectors += load.pad_left
    if crossed == NEXT_PLANE:
        vectors += load.pad_top * row
    if crossed in (NEXT_PLANE, END):
        vectors += load.pad_bottom * row
    return vectors


@compiled
def _land(state: Any, cursor: Any, first: int, beats: int, coming: int) -> None:
    """Land the beats of a burst; if not all come, nothing lands ever after."""
    state.next_action = min(NEVER, max(state.next_action, first + LANDING_VISIBLE))
    good = good_beats(state, cursor.address, beats, cursor.beat_bytes)
    if good < coming:
        report(state, state.next_action + good + LANDING_BUS_FAULT, _LOAD, state.load, _BUS)
    _act(state, coming)
    if coming < beats:
        state.next_action = NEVER


@compiled
def _act(state: Any, actions: int) -> None:
    """Take actions one a cycle."""
    ahead = state.bad_action - state.actions
    if 0 <= ahead < actions:
        report(state, state.next_action + ahead + ADDRESS_FAULT, _LOAD, state.load, _ADDRESS)
    state.actions += actions
    state.next_action = min(NEVER, state.next_action + actions)


@compiled
def _finish(m: MachineRecord) -> None:
    """After the last action."""
    state, index = m.state[0], m.state[0].load
    finish = min(NEVER, state.next_action - 1 + LANDING_WRITE)
    if finish > state.abandoned_from:
        finish = NEVER
    m.instructions[index].finish = finish
    state.held[_ENGINE, m.instructions[index].ports[0]] = finish


@compiled
def _bad_action(state: Any, load: Any, row: int) -> int:
    """The action that completes the first vector outside of the bank, or NEVER."""
    low, high = bank_span(state, load.memory, load.address, ONE, ADDRESSES)
    column = load.pad_top + load.n_y + load.pad_bottom
    counts = (ONE, ONE, load.n_z, column, row)
    strides = (ZERO, ZERO, load.chip_stride_z, load.chip_stride_y, ONE)
    vector = first_outside(load.address, counts, strides, low, high)
    if vector == NEVER:
        return NEVER
    beats_each = state.vector_bytes[load.memory] // min(state.vector_bytes[load.memory], state.bus_bytes)
    real_before, is_real = _real_before(load, vector, row, column)
    return vector + real_before * (beats_each - 1) + is_real * (beats_each - 1)


@compiled
def _real_before(load: Any, vector: int, row: int, column: int) -> tuple[int, int]:
    """Vectors of the padded block that come from memory before `vector`, and whether it does too (0 or 1)."""
    z, in_plane = vector // (row * column), vector % (row * column)
    y, x = in_plane // row - load.pad_top, in_plane % row - load.pad_left
    whole_rows = max(0, min(y, load.n_y))
    real = (z * load.n_y + whole_rows) * load.n_x
    if 0 <= y < load.n_y:
        real += max(0, min(x, load.n_x))
        if 0 <= x < load.n_x:
            return real, 1
    return real, 0
