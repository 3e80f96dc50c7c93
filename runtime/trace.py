"""The timeline of a run as a file for trace viewers, from any device."""

import json
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from tilewright.isa.assembly import format_instruction
from tilewright.isa.encoding import IntArray, decode_table
from tilewright.isa.executable import Executable
from tilewright.runtime.device import DeviceResult, engines_of
from tilewright.sim.timeline import Timeline
from tilewright.sim.trace import chrome_trace

ProgramRun = tuple[Executable, DeviceResult]
"""A program, and what a device says of it."""


def timeline_json(executable: Executable, result: DeviceResult) -> bytes:
    """The timeline of one program, as `timelines_json` has it."""
    return timelines_json([(executable, result)])


def timelines_json(runs: Sequence[ProgramRun]) -> bytes:
    """The timeline in Chrome's trace format, a microsecond a cycle, one lane for each engine.

    What each instruction waited for is in it where the device knows.

    Args:
        runs: programs that ran one after the other, without time between.
    """
    instructions = [each for executable, _ in runs for each in executable.program()]
    trace = chrome_trace(joined_timeline(runs), lambda index: format_instruction(instructions[index]))
    if any(result.tokens_ready is None for _, result in runs):
        for event in trace["traceEvents"]:
            # It would all be blamed on tokens.
            event["args"].pop("waited", None)
    return json.dumps(trace).encode()


def first_cycles(runs: Sequence[ProgramRun]) -> tuple[int, ...]:
    """The cycle in which each program begins, one after the other, and that of the end."""
    return tuple(accumulate((result.cycles for _, result in runs), initial=0))


def joined_timeline(runs: Sequence[ProgramRun]) -> Timeline:
    """One timeline of programs that ran one after the other; instructions count on."""
    parts = [timeline_of(*run) for run in runs]
    if len(parts) == 1:
        return parts[0]
    first = first_cycles(runs)

    def column(name: str) -> IntArray:
        pairs = zip(parts, first, strict=False)
        return np.concatenate([_later(getattr(part, name), by) for part, by in pairs])

    fetched, loaded, stored = (sum(each) for each in zip(*(part.traffic for part in parts), strict=True))
    return Timeline(
        cycles=first[-1],
        fault=None,
        traffic=(fetched, loaded, stored),
        engine=np.concatenate([part.engine for part in parts]),
        dispatched=column("dispatched"),
        tokens_ready=column("tokens_ready"),
        engine_ready=column("engine_ready"),
        start=column("start"),
        finish=column("finish"),
    )


def _later(cycles: IntArray, by: int) -> IntArray:
    return np.where(cycles >= 0, cycles + by, cycles)


def timeline_of(executable: Executable, result: DeviceResult) -> Timeline:
    """The timeline as the simulator has it; where the device does not know why, all waits are for tokens."""
    return Timeline(
        cycles=result.cycles,
        fault=result.fault,
        traffic=(
            result.counters["fetch_bytes"],
            result.counters["load_bytes"],
            result.counters["store_bytes"],
        ),
        engine=engines_of(decode_table(executable.code)),
        dispatched=result.dispatch,
        tokens_ready=result.start if result.tokens_ready is None else result.tokens_ready,
        engine_ready=result.start if result.engine_ready is None else result.engine_ready,
        start=result.start,
        finish=result.finish,
    )
