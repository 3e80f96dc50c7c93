"""What each engine did in each cycle, from the times of its instructions (docs/machine.md, "Counters")."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.memory import Engine
from tilewright.sim.timeline import Timeline

_Cycles = NDArray[np.int64]


class EngineCounters(NamedTuple):
    """Cycles of one engine; what is missing from a program's cycles it was idle.

    Members:
        busy: an instruction was in flight.
        waiting: else the head of the queue lacked a token, or room for a token.
        stalled: else it was kept by its engine, or by a port.
    """

    busy: int
    waiting: int
    stalled: int


class Heads(NamedTuple):
    """The instructions of one engine that reached the head of its queue, in order.

    A span from cycle a to cycle b leaves b out; it is empty if b <= a.

    Members:
        instruction: their places in the program.
        head: first cycle at the head.
        idle: first cycle of these in which nothing was in flight.
        tokens_ready: first cycle at the head with tokens, or the end.
        start: or the end.
        finish: or the end - 1.
    """

    instruction: _Cycles
    head: _Cycles
    idle: _Cycles
    tokens_ready: _Cycles
    start: _Cycles
    finish: _Cycles


def count_engines(timeline: Timeline) -> Mapping[Engine, EngineCounters]:
    """The counters of all engines at the end of a program."""
    return {engine: _count(heads_of(timeline, engine), timeline.cycles) for engine in Engine}


def heads_of(timeline: Timeline, engine: Engine) -> Heads:
    """What reached the head of an engine's queue, and until when it was what."""
    end = timeline.cycles
    dispatched = np.flatnonzero((timeline.engine == engine) & (timeline.dispatched >= 0))
    started = int(np.count_nonzero(timeline.start[dispatched] >= 0))
    # One more than have started is at the head.
    own = dispatched[: started + 1]
    start, finish = _until(timeline.start[own], end), _until(timeline.finish[own], end - 1)
    head = np.maximum(timeline.dispatched[own], np.concatenate([[-1], start[:-1]])) + 1
    idle = np.maximum(head, np.concatenate([[-1], finish[:-1]]) + 1)
    return Heads(own, head, idle, _until(timeline.tokens_ready[own], end), start, finish)


def _until(cycles: _Cycles, otherwise: int) -> _Cycles:
    return np.where(cycles >= 0, cycles, otherwise)


def _count(heads: Heads, end: int) -> EngineCounters:
    flown = heads.start < end
    busy = _total(np.maximum(heads.start, heads.idle)[flown], heads.finish[flown] + 1)
    # In its head's time an engine is busy with instructions before it; those are counted above.
    waiting = _total(heads.idle, np.minimum(heads.tokens_ready, heads.start))
    stalled = _total(np.maximum(heads.idle, heads.tokens_ready), heads.start)
    return EngineCounters(busy, waiting, stalled)


def _total(begin: _Cycles, end: _Cycles) -> int:
    return int(np.maximum(end - begin, 0).sum())
