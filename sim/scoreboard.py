"""Who may start, and from when on: docs/machine.md, "Start".

Every condition but the order within one cycle is "from cycle t on", so the first cycle in which all hold is
a maximum; what is not known yet is NEVER.
"""

from tilewright.isa.config import IN_FLIGHT
from tilewright.isa.memory import START_PRIORITY, Engine
from tilewright.sim.compiled import compiled, constant
from tilewright.sim.load import start_load
from tilewright.sim.matrix import start_matrix
from tilewright.sim.record import ENGINES, NEVER, NO_PORT, TOKEN_RING, MachineRecord
from tilewright.sim.store import start_store
from tilewright.sim.vector import start_vector

_LOAD, _MATRIX, _VECTOR = constant(Engine.LOAD), constant(Engine.MATRIX), constant(Engine.VECTOR)
START_ORDER = tuple(constant(engine) for engine in START_PRIORITY)


# --- ports --------------------------------------------------------------------------------------------------


@compiled
def _ports_free(m: MachineRecord, engine: int, index: int) -> int:
    """Conditions 4 and 5, as far as is known of instructions that have started."""
    held, instruction, free = m.state[0].held, m.instructions[index], 0
    for port in instruction.ports:
        if port != NO_PORT:
            for other in range(ENGINES):
                if other != engine:
                    free = max(free, held[other, port] + 1)
    for port in instruction.blocked_by_own:
        if port != NO_PORT:
            free = max(free, held[engine, port] + 1)
    return free


# --- tokens -------------------------------------------------------------------------------------------------


@compiled
def _tokens_ready(m: MachineRecord, engine: int, index: int) -> int:
    """Conditions 2 and 3."""
    state, entry, ready = m.state[0], m.instructions[index], 0
    for other in range(ENGINES):
        if entry.wait >> other & 1:
            pair = other * ENGINES + engine
            ready = max(ready, _given(m, pair, state.taken[pair]) + 1)
        if entry.signal >> other & 1:
            pair = engine * ENGINES + other
            ready = max(ready, _taken(m, pair, state.promised[pair] - state.token_capacity) + 1)
    return min(NEVER, ready)


@compiled
def _given(m: MachineRecord, pair: int, token: int) -> int:
    """When a token of a pair is given."""
    if token >= m.state[0].promised[pair]:
        return NEVER
    return m.instructions[m.state[0].givers[pair, token % TOKEN_RING]].finish


@compiled
def _taken(m: MachineRecord, pair: int, token: int) -> int:
    """When a token of a pair was taken; those before the first were never in the way."""
    if token < 0:
        return -1
    if token >= m.state[0].taken[pair]:
        return NEVER
    return m.instructions[m.state[0].takers[pair, token % TOKEN_RING]].start


@compiled
def _move_tokens(m: MachineRecord, engine: int, index: int) -> None:
    """Take those that an instruction waits for, promise those that it signals."""
    state, entry = m.state[0], m.instructions[index]
    for other in range(ENGINES):
        if entry.wait >> other & 1:
            pair = other * ENGINES + engine
            state.takers[pair, state.taken[pair] % TOKEN_RING] = index
            state.taken[pair] += 1
        if entry.signal >> other & 1:
            pair = engine * ENGINES + other
            state.givers[pair, state.promised[pair] % TOKEN_RING] = index
            state.promised[pair] += 1


# --- starts -------------------------------------------------------------------------------------------------


@compiled
def _engine_ready(m: MachineRecord, engine: int, index: int) -> int:
    """Condition 1; of a nop, that nothing of its engine is in flight."""
    started = m.state[0].started[engine]
    if m.instructions[index].nop:
        return 0 if started == 0 else m.instructions[m.instructions[started - 1].order[engine]].finish + 1
    free = m.state[0].free[engine]
    if started >= IN_FLIGHT:
        free = max(free, m.instructions[m.instructions[started - IN_FLIGHT].order[engine]].finish + 1)
    return free


@compiled
def start_cycle(m: MachineRecord, engine: int) -> int:
    """The first cycle in which an engine's head can start, for all that is known; NEVER without a head."""
    state = m.state[0]
    started = state.started[engine]
    if started == state.queued[engine]:
        return NEVER
    index = m.instructions[started].order[engine]
    times = m.instructions[index]
    head = times.dispatched + 1
    if started:
        head = max(head, m.instructions[m.instructions[started - 1].order[engine]].start + 1)
    times.tokens_ready = max(head, _tokens_ready(m, engine, index))
    times.engine_ready = min(NEVER, max(head, _engine_ready(m, engine, index)))
    if state.halted:
        return NEVER
    return min(NEVER, max(times.tokens_ready, times.engine_ready, _ports_free(m, engine, index)))


@compiled
def start_head(m: MachineRecord, engine: int, cycle: int) -> None:
    """Start an engine's head."""
    state = m.state[0]
    index = m.instructions[state.started[engine]].order[engine]
    _move_tokens(m, engine, index)
    state.started[engine] += 1
    m.instructions[index].start = cycle
    if m.instructions[index].nop:
        m.instructions[index].finish = cycle
    elif engine == _LOAD:
        _hold(m, engine, index, NEVER)
        start_load(m, index, cycle)
    elif engine == _MATRIX:
        _hold(m, engine, index, start_matrix(m, index, cycle))
    elif engine == _VECTOR:
        _hold(m, engine, index, start_vector(m, index, cycle))
    else:
        start_store(m, index, cycle)


@compiled
def _hold(m: MachineRecord, engine: int, index: int, finish: int) -> None:
    """Note the finish of an instruction, until which its ports are held."""
    m.instructions[index].finish = finish
    for port in m.instructions[index].ports:
        if port != NO_PORT:
            m.state[0].held[engine, port] = finish
