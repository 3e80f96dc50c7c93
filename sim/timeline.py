"""A program in time: when everything happens, and how the program ends. No data."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import Config
from tilewright.isa.encoding import IntArray, ProgramTable
from tilewright.isa.error import TilewrightError
from tilewright.isa.fault import Cause, Fault, FaultEngine
from tilewright.isa.legality import dispatch_faults
from tilewright.isa.memory import Engine
from tilewright.isa.timing import STORE_BEAT
from tilewright.sim.bus import STORE_TRAFFIC
from tilewright.sim.core import run_machine
from tilewright.sim.record import NEVER, MachineRecord, ProgramMemory, build
from tilewright.sim.timeout import first_timeout

_CYCLES = ("dispatched", "tokens_ready", "engine_ready", "start", "finish")


class NeverEndsError(TilewrightError):
    """A program that waits for a silent memory, on a host that set no time-out."""


@dataclass(frozen=True)
class Timeline:
    """When everything happens; cycles of n instructions are int64[n], -1 for never.

    Members:
        cycles: number of cycles from cycle 0 to the end, both included.
        fault: what stopped the program, or None.
        traffic: bytes on the bus of fetch, load and store.
        engine: of each instruction, -1 for finish and undefined ones.
        dispatched: into the queue of its engine.
        tokens_ready: first cycle at the head of its queue in which its tokens and room for its own were
            there.
        engine_ready: first cycle at the head of its queue in which its engine could take it.
        start, finish: both belong to the time in flight.
        store_beats: after a time-out, the beats of all stores together that reached the memory; None: all.
    """

    cycles: int
    fault: Fault | None
    traffic: tuple[int, int, int]
    engine: IntArray
    dispatched: IntArray
    tokens_ready: IntArray
    engine_ready: IntArray
    start: IntArray
    finish: IntArray
    store_beats: int | None = None


class HostSettings(NamedTuple):
    """Silent cycles after which the host gives up (0: never), and if the program is for another machine."""

    timeout: int = 0
    mismatch: bool = False


def run_timeline(config: Config, table: ProgramTable, placed: ProgramMemory, host: HostSettings) -> Timeline:
    """Run a program in time.

    Raises:
        NeverEndsError: if the program waits for ever.
    """
    if len(table) == 0 or host.mismatch:
        return _stillborn(table)
    causes = dispatch_faults(table, config)
    m = build(config, table, causes, placed)
    run_machine(m)
    end = _end(m)
    if host.timeout and not _answers_in_time(placed, host.timeout):
        bursts = int(m.state["bursts"][0])
        logged = build(config, table, causes, placed, log=bursts)
        run_machine(logged)
        cycle = first_timeout(logged.log, host.timeout)
        if cycle < end.cycle:
            return _timed_out(build(config, table, causes, placed, log=bursts), cycle)
    if end.cycle >= NEVER:
        raise NeverEndsError(
            f"timeout must be set where the memory falls silent (from cycle {placed.memory.silent_from}): "
            "the program waits for it for ever"
        )
    return _timeline(m, end)


class _End(NamedTuple):
    cycle: int
    fault: Fault | None


def _stillborn(table: ProgramTable) -> Timeline:
    """Nothing is fetched: the program is empty, or another machine's."""
    cause = Cause.CONFIG if len(table) else Cause.ILLEGAL
    never = np.full(len(table), -1, np.int64)
    fault = Fault(0, FaultEngine.FETCH, 0, cause)
    return Timeline(2, fault, (0, 0, 0), never, never, never, never, never, never)


def _answers_in_time(placed: ProgramMemory, timeout: int) -> bool:
    """Whether the pending bus is surely never silent for so long: the usual case, decided quickly.

    Between two handshakes lies at most the latency, or the way of a beat through the store engine.
    """
    return placed.memory.silent_from is None and timeout > 2 * (placed.memory.latency + STORE_BEAT)


def _timed_out(m: MachineRecord, cycle: int) -> Timeline:
    """The same run with the time-out known beforehand."""
    state = m.state[0]
    state["abandoned_from"] = state["fault_cycle"] = cycle
    state["fault_engine"], state["fault_cause"] = FaultEngine.SYSTEM, Cause.TIMEOUT
    state["fault_instruction"] = NEVER
    run_machine(m)
    fault = _fault(m)
    assert fault is not None
    instructions = m.instructions
    left = np.isin(instructions["engine"], (Engine.MATRIX, Engine.VECTOR)) & (instructions["start"] < NEVER)
    last = max(instructions["finish"][left], default=-1)
    end = _End(max(cycle, int(last)) + 1, fault)
    return replace(_timeline(m, end), store_beats=_store_beats(m, end.cycle))


def _fault(m: MachineRecord) -> Fault | None:
    state = m.state[0]
    if state["fault_cycle"] >= NEVER:
        return None
    cycle, engine = int(state["fault_cycle"]), FaultEngine(state["fault_engine"])
    instruction = int(state["fault_instruction"])
    if engine == FaultEngine.SYSTEM:
        instruction = int(np.count_nonzero(m.instructions["dispatched"] < cycle))
    return Fault(cycle, engine, instruction, Cause(state["fault_cause"]))


def _end(m: MachineRecord) -> _End:
    """The last cycle and why, if the bus does not time out; NEVER if something is waited for in vain."""
    state, instructions = m.state[0], m.instructions
    started = instructions["start"] < NEVER
    last_finish = int(max(instructions["finish"][started], default=-1))
    idle = int(state["fetch_idle"])
    fault = _fault(m)
    if fault is not None:
        return _End(max(fault.cycle + 1, last_finish + 1, idle), fault)
    finish_dispatched = int(state["finish_dispatched"])
    if max(last_finish, idle) >= NEVER:
        return _End(int(NEVER), None)
    if finish_dispatched < NEVER and np.array_equal(state["queued"], state["started"]):
        return _End(max(finish_dispatched, last_finish) + 1, None)
    stuck = finish_dispatched + 1 if finish_dispatched < NEVER else int(state["checked"])
    cycle = max(last_finish + 1, stuck, idle)
    return _End(cycle + 1, Fault(cycle, FaultEngine.SYSTEM, int(state["dispatched"]), Cause.DEADLOCK))


def _timeline(m: MachineRecord, end: _End) -> Timeline:
    instructions = m.instructions
    dispatched, tokens_ready, engine_ready, start, finish = (
        _known(instructions[name], end.cycle) for name in _CYCLES
    )
    engine = instructions["engine"].copy()
    traffic = _traffic(m, end.cycle)
    cycles = (dispatched, tokens_ready, engine_ready, start, finish)
    return Timeline(end.cycle + 1, end.fault, traffic, engine, *cycles)


def _store_beats(m: MachineRecord, end: int) -> int:
    log = m.log[: int(m.state["bursts"][0])]
    stores = log[log["traffic"] == STORE_TRAFFIC]
    return int(np.maximum(np.minimum(stores["last"], end) - stores["first"] + 1, 0).sum())


def _known(cycles: IntArray, end: int) -> IntArray:
    return np.where(cycles <= end, cycles, -1)


def _traffic(m: MachineRecord, end: int) -> tuple[int, int, int]:
    """Bytes of bursts accepted until the end; without a log all were."""
    if not len(m.log):
        fetch, load, store = m.state["bytes_moved"][0]
        return int(fetch), int(load), int(store)
    log = m.log[: int(m.state["bursts"][0])]
    seen: NDArray[np.bool_] = log["accepted"] <= end
    fetch, load, store = (int(log["bytes"][seen & (log["traffic"] == traffic)].sum()) for traffic in range(3))
    return fetch, load, store
