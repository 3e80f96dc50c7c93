"""Fetch in time: the program's bursts, and the dispatch of instruction after instruction."""

from tilewright.isa.config import INSTRUCTION_BYTES
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.timing import DISPATCH_CHECK, FETCH_VISIBLE
from tilewright.sim.bus import FETCH_TRAFFIC, read_burst
from tilewright.sim.compiled import compiled, constant, fetch_bus_idle
from tilewright.sim.fault import report
from tilewright.sim.record import NEVER, NO_ENGINE, MachineRecord

_FETCH = constant(FaultEngine.FETCH)
_BUS = constant(Cause.BUS)


@compiled
def request_count(m: MachineRecord) -> int:
    """Instructions of the next burst: up to the boundary or the program's end."""
    state = m.state[0]
    address = state.program_address + state.requested * INSTRUCTION_BYTES
    to_boundary = state.burst_bytes - (address & (state.burst_bytes - 1))
    return min(to_boundary // INSTRUCTION_BYTES, state.instructions - state.requested)


@compiled
def request_cycle(m: MachineRecord) -> int:
    """From when on fetch's next request stands."""
    state = m.state[0]
    if state.halted or state.requested == state.instructions:
        return NEVER
    # The last instruction whose dispatch makes the room.
    last = state.requested + request_count(m) - state.fetch_buffer_instructions - 1
    if last < 0:
        return state.fetch_request
    if last >= state.dispatched:
        return NEVER
    return max(state.fetch_request, m.instructions[last].dispatched + 1)


@compiled
def grant_fetch(m: MachineRecord, granted: int) -> None:
    """Grant fetch's next burst."""
    state, count = m.state[0], request_count(m)
    beats_each = INSTRUCTION_BYTES // state.bus_bytes
    first, coming = read_burst(m, FETCH_TRAFFIC, granted, count * beats_each, state.bus_bytes)
    for place in range(count):
        beats = (place + 1) * beats_each
        arrived = first + beats - 1 if beats <= coming else NEVER
        m.instructions[state.requested + place].arrived = arrived
        state.fetch_idle = NEVER if arrived == NEVER else fetch_bus_idle(arrived)
    state.requested += count
    state.fetch_request = granted + 1


@compiled
def dispatch_cycle(m: MachineRecord) -> int:
    """When the next instruction is dispatched, or found to be undefined."""
    state = m.state[0]
    state.checked = NEVER
    if state.halted or state.fetch_faulted or state.dispatched == state.instructions:
        return NEVER
    index = state.dispatched
    if m.instructions[index].arrived == NEVER:
        return NEVER
    head = m.instructions[index].arrived + FETCH_VISIBLE
    if index:
        head = max(head, m.instructions[index - 1].dispatched + 1)
    if _cause(m, index) or m.instructions[index].engine == NO_ENGINE:
        return head + DISPATCH_CHECK
    state.checked = head + DISPATCH_CHECK
    return max(state.checked, _queue_room(m, m.instructions[index].engine))


@compiled
def _queue_room(m: MachineRecord, engine: int) -> int:
    """From when on a queue has room."""
    state = m.state[0]
    last = state.queued[engine] - state.queue_depth
    if last < 0:
        return 0
    if last >= state.started[engine]:
        return NEVER
    return m.instructions[m.instructions[last].order[engine]].start + 1


@compiled
def _cause(m: MachineRecord, index: int) -> int:
    """Why an instruction cannot be dispatched, 0 if it can."""
    state = m.state[0]
    address = state.program_address + index * INSTRUCTION_BYTES
    if address < 0 or address >= state.memory_bytes:
        return _BUS
    return m.instructions[index].cause


@compiled
def dispatch(m: MachineRecord, cycle: int) -> None:
    """Dispatch the next instruction into its queue, or report why not."""
    state, index = m.state[0], m.state[0].dispatched
    cause = _cause(m, index)
    if cause:
        report(state, cycle, _FETCH, index, cause)
        state.fetch_faulted = 1
        return
    state.dispatched += 1
    m.instructions[index].dispatched = cycle
    engine = m.instructions[index].engine
    if engine == NO_ENGINE:
        state.finish_dispatched = cycle
        return
    m.instructions[state.queued[engine]].order[engine] = index
    state.queued[engine] += 1
