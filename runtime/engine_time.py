"""What each engine does in each stretch of a run, and for whom it waits, on any device."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.encoding import decode_table
from tilewright.isa.executable import Executable
from tilewright.isa.memory import Engine
from tilewright.runtime.token_flow import token_waits
from tilewright.sim.counters import Heads, heads_of
from tilewright.sim.timeline import Timeline

Cycles = NDArray[np.int64]


class Spans(NamedTuple):
    """Cycles from each begin to before its end, rising, with no cycle in common; int64[k]."""

    begin: Cycles
    end: Cycles

    def within(self, edges: Cycles) -> Cycles:
        """How many of these cycles lie between each edge and the next.

        Args:
            edges: cycles, int64[n + 1], none below the one before it.
        """
        if not len(self.begin):
            return np.zeros(len(edges) - 1, np.int64)
        before = np.concatenate([[0], np.cumsum(self.end - self.begin)])
        opened = np.searchsorted(self.begin, edges)
        # Of the latest span that has begun, what lies beyond the edge does not count.
        beyond = np.where(opened > 0, np.maximum(self.end[opened - 1] - edges, 0), 0)
        return np.diff(before[opened] - beyond)

    def joined(self) -> "Spans":
        """The same cycles, with spans that touch as one."""
        if not len(self.begin):
            return self
        apart = self.begin[1:] > self.end[:-1]
        return Spans(self.begin[np.r_[True, apart]], self.end[np.r_[apart, True]])


class EngineSpans(NamedTuple):
    """What an engine does when; in all other cycles nothing is in its queue.

    Members:
        busy: an instruction is in flight.
        waiting: else the head of its queue waits for a token, or for room for one: by the engine that gave
            it, or made room, last.
        stalled: else it is kept by its engine, or by a port of a memory.
    """

    busy: Spans
    waiting: Mapping[Engine, Spans]
    stalled: Spans


class EngineCycles(NamedTuple):
    """Cycles of an engine, of all `cycles` in a stretch, by what it does; see `EngineSpans`."""

    cycles: int
    busy: int
    waiting: Mapping[Engine, int]
    stalled: int

    @property
    def idle(self) -> int:
        """Nothing was in its queue."""
        return self.cycles - self.busy - sum(self.waiting.values()) - self.stalled


def spans_of(timeline: Timeline, engine: Engine) -> tuple[Spans, Spans, Spans]:
    """The busy, the waiting and the stalled cycles of an engine; they add up to its counters."""
    heads = heads_of(timeline, engine)
    flown = heads.start < timeline.cycles
    busy = _some(np.maximum(heads.start, heads.idle)[flown], heads.finish[flown] + 1)
    waiting = _some(*_waiting(heads))
    return busy, waiting, _some(np.maximum(heads.idle, heads.tokens_ready), heads.start)


def engine_spans(executable: Executable, timeline: Timeline) -> Mapping[Engine, EngineSpans]:
    """What each engine does when.

    Args:
        executable: a program.
        timeline: of a run of it; of its cycles only dispatches, starts and finishes are looked at, which
            every device knows: when tokens were there follows from them.
    """
    waits = token_waits(decode_table(executable.code), timeline, executable.config.token_capacity)
    timeline = replace(timeline, tokens_ready=waits.ready)
    found = {}
    for engine in Engine:
        busy, _, stalled = spans_of(timeline, engine)
        heads = heads_of(timeline, engine)
        begin, end = _waiting(heads)
        blamed = waits.blamed[heads.instruction]
        waiting = {other: _some(begin[blamed == other], end[blamed == other]) for other in Engine}
        found[engine] = EngineSpans(busy, waiting, stalled)
    return found


def engine_cycles(spans: EngineSpans, edges: Cycles) -> list[EngineCycles]:
    """What an engine does between each edge and the next."""
    busy, stalled = spans.busy.within(edges).tolist(), spans.stalled.within(edges).tolist()
    waiting = {engine: each.within(edges).tolist() for engine, each in spans.waiting.items()}
    return [
        EngineCycles(cycles, busy[k], {engine: counts[k] for engine, counts in waiting.items()}, stalled[k])
        for k, cycles in enumerate(np.diff(edges).tolist())
    ]


def _waiting(heads: Heads) -> tuple[Cycles, Cycles]:
    """Of each instruction that reached the head of a queue; empty where the end is not behind the begin."""
    return heads.idle, np.minimum(heads.tokens_ready, heads.start)


def _some(begin: Cycles, end: Cycles) -> Spans:
    """Those that are not empty."""
    some = end > begin
    return Spans(begin[some], end[some])
