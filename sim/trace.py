"""What every instruction waited for, as values and as a file for trace viewers (Chrome, Perfetto)."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from tilewright.isa.memory import Engine
from tilewright.sim.counters import heads_of
from tilewright.sim.timeline import Timeline


class Reason(StrEnum):
    """What keeps an instruction from starting."""

    QUEUE = "queue"
    """It is not the head: others of its engine come first."""
    TOKEN = "token"
    """A token that it waits for, or room for one that it gives."""
    ENGINE = "engine"
    """Its engine cannot take it yet, or has too many in flight."""
    PORT = "port"
    """Another engine holds a port of a bank."""


class WaitTrace(NamedTuple):
    """Cycles begin … end - 1 of an instruction that was dispatched and had not started."""

    reason: Reason
    begin: int
    end: int


class InstructionTrace(NamedTuple):
    """The way of one instruction; cycles, -1 for never.

    Members:
        instruction: its place in the program.
        engine: that it runs on.
        dispatched, start, finish: cycles.
        waits: what it waited for, in order; together all cycles between its dispatch and its start.
    """

    instruction: int
    engine: Engine
    dispatched: int
    start: int
    finish: int
    waits: tuple[WaitTrace, ...]

    def waited(self, *reasons: Reason) -> int:
        """Cycles spent on these reasons."""
        return sum(wait.end - wait.begin for wait in self.waits if wait.reason in reasons)


def instruction_traces(timeline: Timeline) -> tuple[InstructionTrace, ...]:
    """Every instruction that reached the head of its engine's queue, in the order of the program."""
    traces = [trace for engine in Engine for trace in _engine_traces(timeline, engine)]
    return tuple(sorted(traces))


def _engine_traces(timeline: Timeline, engine: Engine) -> list[InstructionTrace]:
    heads = heads_of(timeline, engine)
    rows = zip(heads.instruction.tolist(), heads.head.tolist(), heads.tokens_ready.tolist(), strict=True)
    return [_one(timeline, engine, *row) for row in rows]


def _one(timeline: Timeline, engine: Engine, index: int, head: int, tokens_ready: int) -> InstructionTrace:
    dispatched, start, finish = (
        int(cycles[index]) for cycles in (timeline.dispatched, timeline.start, timeline.finish)
    )
    end = start if start >= 0 else timeline.cycles
    engine_ready = int(timeline.engine_ready[index])
    marks = [dispatched + 1, head, tokens_ready, engine_ready if engine_ready >= 0 else end, end]
    waits, begin = [], marks[0]
    for reason, mark in zip(Reason, marks[1:], strict=True):
        until = min(mark, end)
        if until > begin:
            waits.append(WaitTrace(reason, begin, until))
            begin = until
    return InstructionTrace(index, engine, dispatched, start, finish, tuple(waits))


def chrome_trace(timeline: Timeline, text: Callable[[int], str]) -> dict[str, Any]:
    """The trace in Chrome's format, a microsecond a cycle, one lane for each engine; to be written as JSON.

    Args:
        timeline: of the program.
        text: of the instruction at a place in the program.
    """
    names = [
        {"ph": "M", "name": "thread_name", "pid": 0, "tid": engine.value, "args": {"name": engine.label}}
        for engine in Engine
    ]
    flown = [trace for trace in instruction_traces(timeline) if trace.start >= 0]
    events = [_event(trace, timeline.cycles, text(trace.instruction)) for trace in flown]
    return {"displayTimeUnit": "ns", "traceEvents": [*names, *events]}


def _event(trace: InstructionTrace, cycles: int, text: str) -> dict[str, Any]:
    finish = trace.finish if trace.finish >= 0 else cycles - 1
    waiting = {str(wait.reason): wait.end - wait.begin for wait in trace.waits}
    return {
        "ph": "X",
        "name": text.partition(" ")[0],
        "pid": 0,
        "tid": trace.engine.value,
        "ts": trace.start,
        "dur": finish - trace.start + 1,
        "args": {
            "instruction": trace.instruction,
            "text": text,
            "dispatched": trace.dispatched,
            "waited": waiting,
        },
    }
