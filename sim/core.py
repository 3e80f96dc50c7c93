"""The machine in time as events: starts, dispatches and granted reads, in the order of their cycles.

What happens in cycle t is felt from t + 1 on, but for two cases: a start takes its ports from those that
would start in the same cycle after it, and fetch and load compete for the read address channel. So the first
of all possible events is always final, and the machine jumps from event to event.
"""

from collections.abc import Callable
from typing import Any

from tilewright.sim.compiled import compiled, entry, source_stamp
from tilewright.sim.fetch import dispatch, dispatch_cycle, grant_fetch, request_cycle
from tilewright.sim.load import grant_load
from tilewright.sim.record import ENGINES, NEVER, MachineRecord
from tilewright.sim.scoreboard import START_ORDER, start_cycle, start_head

_DISPATCH, _READ = ENGINES, ENGINES + 1
_EVENTS = ENGINES + 2
"""Events 0 … 3 are starts, in the order in which engines take ports."""


@compiled
def _advance(m: MachineRecord) -> None:
    """Run to the end: until nothing more can happen."""
    state = m.state[0]
    _look_at_all(m)
    while True:
        event = _first_event(state)
        cycle = state.event[event]
        if not state.halted and cycle > state.fault_cycle:
            state.halted = 1
            _look_at_all(m)
        elif cycle == NEVER:
            return
        elif event == _READ:
            _grant(m, cycle)
        elif event == _DISPATCH:
            dispatch(m, cycle)
            _look_at_all(m)
        else:
            start_head(m, START_ORDER[event], cycle)
            _look_at_all(m)


@compiled
def _first_event(state: Any) -> int:
    first = 0
    for event in range(1, _EVENTS):
        if state.event[event] < state.event[first]:
            first = event
    return first


@compiled
def _look_at_all(m: MachineRecord) -> None:
    """When each event can come, for all that is known."""
    event = m.state[0].event
    for place in range(ENGINES):
        event[place] = start_cycle(m, START_ORDER[place])
    event[_DISPATCH] = dispatch_cycle(m)
    event[_READ] = _grant_cycle(m)


@compiled
def _grant_cycle(m: MachineRecord) -> int:
    """When the read address register takes a burst."""
    state = m.state[0]
    request = min(request_cycle(m), state.load_request)
    return min(NEVER, max(request, state.address_free))


@compiled
def _grant(m: MachineRecord, cycle: int) -> None:
    """The register takes the only request, or that of the one that was not granted last."""
    state = m.state[0]
    fetch_stands, load_stands = request_cycle(m) <= cycle, state.load_request <= cycle
    if load_stands and not (fetch_stands and state.load_granted_last):
        state.load_granted_last = 1
        grant_load(m, cycle)
        if state.load_request == NEVER:
            _look_at_all(m)
    else:
        state.load_granted_last = 0
        grant_fetch(m, cycle)
        m.state[0].event[_DISPATCH] = dispatch_cycle(m)
    state.event[_READ] = _grant_cycle(m)


def _entry(stamp: str) -> Callable[[MachineRecord], str]:
    @entry
    def run_machine(m: MachineRecord) -> str:
        _advance(m)
        # Part of what numba keeps the machine code by: code of older sources is not found.
        return stamp

    return run_machine


run_machine = _entry(source_stamp())
"""Run a machine from before cycle 0 to its end, in place."""
