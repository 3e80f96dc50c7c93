"""The timeline of a run as a file for trace viewers, from any device."""

import json

from tilewright.isa.assembly import format_instruction
from tilewright.isa.encoding import decode_table
from tilewright.isa.executable import Executable
from tilewright.runtime.device import DeviceResult, engines_of
from tilewright.sim.timeline import Timeline
from tilewright.sim.trace import chrome_trace


def timeline_json(executable: Executable, result: DeviceResult) -> bytes:
    """The timeline in Chrome's trace format, a microsecond a cycle, one lane for each engine.

    What each instruction waited for is in it where the device knows.
    """
    program = executable.program()
    trace = chrome_trace(timeline_of(executable, result), lambda index: format_instruction(program[index]))
    if result.tokens_ready is None:
        for event in trace["traceEvents"]:
            # It would all be blamed on tokens.
            event["args"].pop("waited", None)
    return json.dumps(trace).encode()


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
