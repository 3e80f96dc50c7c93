"""The bus in time: bursts of reads and writes against the memory outside (docs/machine.md)."""

from typing import Any

from tilewright.sim.compiled import compiled, constant
from tilewright.sim.record import NEVER, MachineRecord

FETCH_TRAFFIC, LOAD_TRAFFIC, STORE_TRAFFIC = constant(0), constant(1), constant(2)


@compiled
def read_burst(m: MachineRecord, traffic: int, granted: int, beats: int, beat_bytes: int) -> tuple[int, int]:
    """A read granted in cycle `granted`: the cycle of its first beat, and the beats that come at all."""
    state = m.state[0]
    place = state.reads % state.outstanding
    accepted = max(granted, state.read_end[place]) + 1
    if accepted >= state.silent_from:
        accepted = NEVER
    first = min(NEVER, max(accepted + state.latency, state.last_beat + 1))
    coming = max(0, min(beats, state.silent_from - first))
    state.last_beat = min(NEVER, first + beats - 1)
    ended = state.last_beat if coming == beats and accepted < NEVER else NEVER
    state.read_end[place] = ended
    state.reads += 1
    state.address_free = accepted
    _log(m, traffic, beats * beat_bytes, granted + 1, accepted, first, first + coming - 1, ended)
    return first, coming


@compiled
def write_burst(
    m: MachineRecord, granted: int, accepted: int, first_beat: int, beats: int, beat_bytes: int
) -> int:
    """A write whose beats are ready from `first_beat` on: the cycle of its answer."""
    state = m.state[0]
    if granted >= NEVER:
        return NEVER
    coming = max(0, min(beats, state.silent_from - first_beat))
    answered = first_beat + beats - 1 + state.latency
    if answered >= state.silent_from or answered >= NEVER:
        answered = NEVER
    last = first_beat + coming - 1
    _log(m, STORE_TRAFFIC, beats * beat_bytes, granted + 1, accepted, first_beat, last, answered)
    return answered


@compiled
def _log(
    m: MachineRecord,
    traffic: int,
    size: int,
    pending: int,
    accepted: int,
    first: int,
    last: int,
    answered: int,
) -> None:
    state: Any = m.state[0]
    if accepted < NEVER:
        state.bytes_moved[traffic] += size
    if state.bursts < len(m.log):
        burst = m.log[state.bursts]
        burst.traffic, burst.bytes, burst.pending, burst.accepted = traffic, size, pending, accepted
        burst.first, burst.last, burst.answered = first, last, answered
    state.bursts += 1
