"""Random trials of time: machines, memories and programs, most of them with something wrong."""

import random
from dataclasses import dataclass, replace

import numpy as np
from tests.stepped.machine import NeverEndsError as StillRunning
from tests.stepped.machine import Outcome, SteppedMachine

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.encoding import decode_table, encode_program
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Finish, Instruction, specs
from tilewright.isa.legality import dispatch_faults
from tilewright.isa.memory import Engine
from tilewright.isa.random_program import random_config, random_program
from tilewright.isa.register import BASE_REGISTERS
from tilewright.sim.counters import count_engines
from tilewright.sim.memory import MemoryModel
from tilewright.sim.record import ProgramMemory
from tilewright.sim.timeline import HostSettings, NeverEndsError, run_timeline

CYCLES_LIMIT = 60_000
"""Of the stepped machine."""
LARGE_SHARE = 0.3
"""Of the machines."""
_STEPS = (1, -1, 4, -4, 8, 64, -64, 16, 256, 1024, -1024, 4096)
_KEPT = ("op", "to", "a_from", "b_from", "reduce", "memory", "runs_on")
_DATA_FIRST = 8192


@dataclass(frozen=True)
class Trial:
    """A program and all that its time depends on."""

    config: Config
    program: list[Instruction]
    memory: MemoryModel
    bases: list[int]
    program_address: int
    timeout: int
    mismatch: bool


def draw_trial(seed: int) -> Trial:
    """A trial; races, leftover tokens, deadlocks, addresses outside of banks and memory are welcome."""
    r, rng = random.Random(seed), np.random.default_rng(seed)
    config, region_bytes = random_config(rng, large_share=LARGE_SHARE), r.choice([1 << 10, 1 << 12, 1 << 14])
    program = random_program(
        rng,
        config,
        instructions=r.choice([3, 10, 30, 60, 60 + 2 * config.burst_bytes // INSTRUCTION_BYTES]),
        memory_bytes=region_bytes,
    )
    if r.random() < 0.6:
        rate = r.choice([0.02, 0.1, 0.5])
        program = [_spoilt(r, item) if r.random() < rate else item for item in program]
    if r.random() < 0.15:
        place = r.randrange(len(program))
        program[place] = replace(program[place], signal=0)
    if r.random() < 0.1:
        program = program[:-1]
    memory = _memory(r)
    size = memory.size_bytes
    near = INSTRUCTION_BYTES * r.randrange(64)
    bases = [_DATA_FIRST + base * region_bytes for base in range(BASE_REGISTERS)]
    return Trial(
        config=config,
        program=program,
        memory=memory,
        bases=[64 * r.randrange(size // 64) if r.random() < 0.2 else base for base in bases],
        program_address=near if r.random() < 0.9 else max(0, size - near),
        timeout=_timeout(r, memory),
        mismatch=r.random() < 0.02,
    )


def _spoilt(r: random.Random, instruction: Instruction) -> Instruction:
    """The instruction with a field or a token mask changed."""
    if isinstance(instruction, Finish):
        return instruction
    table = specs(type(instruction))
    for name in r.choices(list(table), k=2):
        value = getattr(instruction, name) + r.choice(_STEPS)
        counted = name.startswith("n_") or name in _KEPT
        if not counted and table[name].minimum <= value <= table[name].maximum:
            instruction = replace(instruction, **{name: value})
    if r.random() < 0.2:
        mask = r.randrange(1 << len(Engine)) & ~(1 << instruction.engine)
        instruction = replace(instruction, **{r.choice(["wait", "signal"]): mask})
    return instruction


def _memory(r: random.Random) -> MemoryModel:
    return MemoryModel(
        size_bytes=r.choice([1 << 20, 1 << 20, 1 << 15, 4096 + 64 * r.randrange(64)]),
        latency=r.choice([1, 2, 5, 16, 40, 100]),
        outstanding=r.choice([1, 2, 3, 8, 32]),
        silent_from=r.choice([None, None, None, r.randrange(3000), r.randrange(300)]),
    )


def _timeout(r: random.Random, memory: MemoryModel) -> int:
    if memory.silent_from is not None and r.random() < 0.9:
        return r.choice([1, 8, 20, 100])
    return r.choice([0, 0, 0, 1, 3, 8, 20, 100, 1000])


def stepped(trial: Trial) -> Outcome | None:
    """What the stepped machine says; None if it does not end."""
    causes = dispatch_faults(decode_table(encode_program(trial.program)), trial.config)
    machine = SteppedMachine(
        trial.config,
        trial.program,
        causes,
        memory=trial.memory,
        bases=trial.bases,
        program_address=trial.program_address,
        timeout=trial.timeout,
        mismatch=trial.mismatch,
    )
    try:
        return machine.run(CYCLES_LIMIT)
    except StillRunning:
        return None


def simulated(trial: Trial) -> Outcome | None:
    """What the event core says, in the same form; None if it does not end, or too late for the other."""
    table = decode_table(encode_program(trial.program))
    placed = ProgramMemory(trial.memory, trial.program_address, trial.bases)
    try:
        timeline = run_timeline(trial.config, table, placed, HostSettings(trial.timeout, trial.mismatch))
    except NeverEndsError:
        return None
    if timeline.cycles > CYCLES_LIMIT:
        return None
    fault = timeline.fault
    return Outcome(
        end=timeline.cycles - 1,
        fault=fault and (fault.cycle, int(fault.engine), fault.instruction, int(fault.cause)),
        dispatched=_happened(timeline.dispatched),
        start=_happened(timeline.start),
        finish=_happened(timeline.finish),
        counters={engine.name: count._asdict() for engine, count in count_engines(timeline).items()},
        moved=dict(zip(("fetch", "load", "store"), timeline.traffic, strict=True)),
    )


def ending(outcome: Outcome | None) -> str:
    """How a program ended, in a word."""
    if outcome is None:
        return "never"
    return Cause(outcome.fault[3]).name if outcome.fault else "finish"


def _happened(cycles: np.ndarray) -> dict:
    return {int(place): int(cycles[place]) for place in np.flatnonzero(cycles >= 0)}
