"""Runs a case on simulator and gates and finds the first difference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tests.cosim.case import Case, Run, dump_program

from tilewright.isa.assembly import disassemble
from tilewright.isa.encoding import ProgramTable, decode_table
from tilewright.isa.fault import Cause, Fault
from tilewright.isa.memory import Engine
from tilewright.runtime.rtl_machine import RtlMachine
from tilewright.sim.machine import Simulator
from tilewright.sim.memory import MemoryModel
from tilewright.sim.result import SimResult

MAX_CYCLES = 2_000_000
_OTHER_CONFIG = b"otherone"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """All that must be equal after a program.

    Members:
        dispatches: cycles of all dispatches.
        starts, finishes: for each engine, the cycles of its instructions in order.
        cycles: of the program.
        fault: the record, or None.
        counters: by register name.
        dram: the memory outside.
        result: what else the simulator said of its run, to see what was reached; not compared.
    """

    dispatches: list[int]
    starts: list[list[int]]
    finishes: list[list[int]]
    cycles: int
    fault: Fault | None
    counters: Mapping[str, int]
    dram: NDArray[np.uint8]
    result: SimResult | None = None


class Pair:
    """The simulator and the gates of one configuration, each with its memories on the chip.

    Members:
        rtl: the gates.
        seen: what the simulator did in the runs of the last case, up to the first difference.
    """

    def __init__(self, rtl: RtlMachine) -> None:
        self.rtl = rtl
        self.seen: list[Observation] = []

    def first_difference(self, case: Case) -> str | None:
        """What differs first between the two, in words; None if nothing does."""
        self.rtl.power_cycle()
        self.seen = []
        simulator = Simulator(case.config)
        dram = case.dram()
        for index, run in enumerate(_with_dump(case)):
            size = case.memory_size_bytes(run)
            seen = dram[:size].copy()
            by_sim = observe_simulator(simulator, case, run, dram[:size])
            by_gates = observe_gates(self.rtl, case, run, seen)
            self.seen.append(by_sim)
            difference = next(_differences(run, by_sim, by_gates), None)
            if difference is not None:
                return f"run {index}: {difference}"
            timed_out = by_sim.fault is not None and by_sim.fault.cause == Cause.TIMEOUT
            if timed_out or run.silent_from is not None:
                self.rtl.power_cycle()
                simulator = Simulator(case.config)
        return None


def _with_dump(case: Case) -> Iterator[Run]:
    """The runs of a case, then one that shows what is left on the chip."""
    yield from case.runs
    dump = dump_program(case.config, case.memory_bytes)
    if dump is not None and len(dump) * 64 <= case.code_bytes():
        yield replace(Run(program=dump), latency=3)


def observe_simulator(simulator: Simulator, case: Case, run: Run, dram: NDArray[np.uint8]) -> Observation:
    """Run one program on the simulator; `dram` is changed."""
    code = run.code()
    memory = MemoryModel(
        size_bytes=len(dram),
        latency=run.latency,
        outstanding=run.outstanding,
        silent_from=run.silent_from,
    )
    result = simulator.run(
        code,
        bases=case.bases(),
        dram=dram,
        memory=memory,
        program_address=case.program_address(),
        config_digest=_OTHER_CONFIG if run.wrong_config else None,
        timeout=run.timeout,
        check=False,
    )
    engines = engine_of_each(decode_table(code))
    return Observation(
        dispatches=_happened(result.dispatched),
        starts=[_happened(result.start[engines == engine]) for engine in Engine],
        finishes=[_happened(result.finish[engines == engine]) for engine in Engine],
        cycles=result.cycles,
        fault=result.fault,
        counters=result.counters,
        dram=dram,
        result=result,
    )


def observe_gates(rtl: RtlMachine, case: Case, run: Run, dram: NDArray[np.uint8]) -> Observation:
    """Run one program in the gates; `dram` is changed."""
    result = rtl.run(
        run.code(),
        dram=dram,
        bases=case.bases(),
        program_address=case.program_address(),
        latency=run.latency,
        outstanding=run.outstanding,
        silent_from=run.silent_from,
        timeout=run.timeout,
        expected_digest=_OTHER_CONFIG if run.wrong_config else None,
        max_cycles=MAX_CYCLES,
    )
    return Observation(
        dispatches=result.trace.dispatches.tolist(),
        starts=[cycles.tolist() for cycles in result.trace.starts],
        finishes=[cycles.tolist() for cycles in result.trace.finishes],
        cycles=result.cycles,
        fault=result.fault,
        counters=result.counters,
        dram=dram,
    )


def engine_of_each(table: ProgramTable) -> NDArray[np.int64]:
    """The engine that runs each instruction, int64[n]; -1 if none does."""
    engines = np.full(len(table), -1, np.int64)
    for opcode, part in table.classes.items():
        if "runs_on" in part.fields:
            engines[part.rows] = part.fields["runs_on"]
        elif opcode.name in Engine.__members__:
            engines[part.rows] = Engine[opcode.name]
    return engines


def _happened(cycles: NDArray[np.int64]) -> list[int]:
    result: list[int] = cycles[cycles >= 0].tolist()
    return result


def _differences(run: Run, sim: Observation, gates: Observation) -> Iterator[str]:
    """Differences, those of the earliest cycle first."""
    yield from _event_differences(run, sim, gates)
    for name in ("fault", "cycles"):
        one, other = getattr(sim, name), getattr(gates, name)
        if one != other:
            yield f"{name}: simulator {one}, gates {other}"
    for name in gates.counters:
        if sim.counters[name] != gates.counters[name]:
            yield f"counter {name}: simulator {sim.counters[name]}, gates {gates.counters[name]}"
    different = np.flatnonzero(sim.dram != gates.dram)
    if len(different):
        place = int(different[0])
        values = f"simulator {sim.dram[place]}, gates {gates.dram[place]}"
        yield f"memory: {len(different)} bytes, the first at {place:#x}: {values}"


def _event_differences(run: Run, sim: Observation, gates: Observation) -> Iterator[str]:
    found: list[tuple[int, str]] = []
    pairs = [("dispatch", sim.dispatches, gates.dispatches, None)]
    for engine in Engine:
        pairs.append(("start", sim.starts[engine], gates.starts[engine], engine))
        pairs.append(("finish", sim.finishes[engine], gates.finishes[engine], engine))
    for event, one, other, engine in pairs:
        if one == other:
            continue
        place = next((at for at, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), -1)
        place = min(len(one), len(other)) if place < 0 else place
        cycles = [sequence[place] if place < len(sequence) else None for sequence in (one, other)]
        first = min(cycle for cycle in cycles if cycle is not None)
        what = f"{event} of {_instruction_text(run, engine, place)}"
        found.append((first, f"{what}: simulator {cycles[0]}, gates {cycles[1]}"))
    yield from (text for _, text in sorted(found))


def _instruction_text(run: Run, engine: Engine | None, place: int) -> str:
    """The place-th instruction of an engine (of the program, if None) as text."""
    mine = [at for at, item in enumerate(run.program) if engine is None or item.engine == engine]
    if place >= len(mine):
        return f"instruction {place} of {engine.label if engine is not None else 'the program'}"
    return f"instruction {mine[place]} ({disassemble([run.program[mine[place]]]).strip()})"
