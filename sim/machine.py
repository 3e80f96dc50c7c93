"""The simulator: programs one after another on one machine, exact to the bit and to the cycle."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.checker import check as check_program
from tilewright.isa.config import Config
from tilewright.isa.encoding import decode_program, decode_table
from tilewright.isa.error import TilewrightError
from tilewright.isa.instruction import InstructionError
from tilewright.isa.legality import dispatch_faults, explain_row
from tilewright.isa.register import BASE_ALIGNMENT_BYTES
from tilewright.isa.state import Dram, State
from tilewright.sim.counters import count_engines
from tilewright.sim.data import apply_abandoned
from tilewright.sim.executor import Executor, operations
from tilewright.sim.memory import MemoryModel
from tilewright.sim.record import ProgramMemory
from tilewright.sim.result import SimResult
from tilewright.sim.timeline import HostSettings, run_timeline

_CHECKED_PROGRAMS = 64
"""Programs that are remembered to be sound."""


class Simulator:
    """The machine of `config`; its memories keep their contents from program to program.

    Members:
        config: its sizes.
        state: the memories on the chip.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.state = State(config)
        self._executor = Executor(self.state)

    def run(
        self,
        code: bytes,
        *,
        dram: NDArray[np.uint8],
        memory: MemoryModel,
        bases: Sequence[int] = (),
        program_address: int = 0,
        config_digest: bytes | None = None,
        timeout: int = 0,
        check: bool = True,
    ) -> SimResult:
        """Run a program to its end.

        After a time-out the memories on the chip are undefined, as they are in the gates.

        Args:
            code: whole instructions; copied to `program_address`, as far as the memory reaches.
            dram: uint8, the memory outside from address 0, as long as `memory` says; changed in place.
            memory: how the memory outside answers.
            bases: base registers, multiples of 64; those not given are 0.
            program_address: first byte of the program, a multiple of 64.
            config_digest: of the configuration that the program was made for; None: of this one.
            timeout: silent cycles of a pending bus that are a fault; 0: none.
            check: refuse programs that `isa.checker` finds unsound; without it their time is that of the
                gates, their data that of their instructions in order.

        Raises:
            CheckError, InstructionError: if `check` and the program is unsound.
            TilewrightError: if an argument does not fit.
            NeverEndsError: if the program waits for a silent memory for ever.
        """
        outside = Dram(dram, bases)
        result = self.time(
            code,
            dram=dram,
            memory=memory,
            bases=bases,
            program_address=program_address,
            config_digest=config_digest,
            timeout=timeout,
            check=check,
        )
        _place(code, dram, program_address)
        self.apply(result, outside)
        return result

    def time(
        self,
        code: bytes,
        *,
        dram: NDArray[np.uint8],
        memory: MemoryModel,
        bases: Sequence[int] = (),
        program_address: int = 0,
        config_digest: bytes | None = None,
        timeout: int = 0,
        check: bool = True,
    ) -> SimResult:
        """What a run of a program takes, which no data changes, without running it; see `run`."""
        _require_fit(Dram(dram, bases), memory, program_address, timeout)
        host = HostSettings(timeout, config_digest is not None and config_digest != self.config.digest())
        table = decode_table(code)
        if check and len(table) and not host.mismatch:
            _require_sound(code, self.config)
        timeline = run_timeline(self.config, table, ProgramMemory(memory, program_address, bases), host)
        engines = count_engines(timeline)
        return SimResult(config=self.config, code=code, table=table, timeline=timeline, engines=engines)

    def apply(self, result: SimResult, outside: Dram) -> None:
        """Do to the memories what a run does, given what `time` says of it."""
        store_beats = result.timeline.store_beats
        if store_beats is None:
            self._executor.apply(result.operations, outside)
        else:
            apply_abandoned(result.operations, self.state, outside, store_beats)

    def run_functional(
        self,
        code: bytes,
        *,
        dram: NDArray[np.uint8],
        bases: Sequence[int] = (),
        check: bool = True,
    ) -> None:
        """Do what a program means, without its time.

        Args:
            code: whole instructions, all of them defined.
            dram: uint8, the memory outside from address 0; changed in place.
            bases: base registers, multiples of 64; those not given are 0.
            check: refuse programs that `isa.checker` finds unsound.

        Raises:
            CheckError, InstructionError: if the program is undefined, or `check` and it is unsound.
            TilewrightError: if an argument does not fit.
        """
        outside = Dram(dram, bases)
        table = decode_table(code)
        if check:
            _require_sound(code, self.config)
        undefined = np.flatnonzero(dispatch_faults(table, self.config))
        if len(undefined):
            first = int(undefined[0])
            reasons = "; ".join(explain_row(table, first, self.config))
            raise InstructionError(f"instruction {first} must be defined: {reasons}")
        self._executor.apply(operations(table, np.ones(len(table), np.bool_)), outside)


def _require_fit(outside: Dram, memory: MemoryModel, program_address: int, timeout: int) -> None:
    problems = []
    if outside.size != memory.size_bytes:
        problems.append(f"dram must have the memory's {memory.size_bytes} bytes, not {outside.size}")
    for name, address in {"program_address": program_address, **_named(outside.bases)}.items():
        if address < 0 or address % BASE_ALIGNMENT_BYTES:
            problems.append(f"{name} must be a multiple of {BASE_ALIGNMENT_BYTES}, not {address!r}")
    if timeout < 0:
        problems.append(f"timeout must be at least 0 cycles, not {timeout!r}")
    if problems:
        raise TilewrightError("; ".join(problems))


def _named(bases: Sequence[int]) -> dict[str, int]:
    return {f"base register {number}": base for number, base in enumerate(bases)}


@lru_cache(maxsize=_CHECKED_PROGRAMS)
def _require_sound(code: bytes, config: Config) -> None:
    """Refuse a program that is undefined, racy or stuck; each one is looked at once."""
    check_program(decode_program(code), config, table=decode_table(code)).raise_for_problems()


def _place(code: bytes, dram: NDArray[np.uint8], address: int) -> None:
    """Put a program into the memory, as far as that reaches."""
    room = dram[address : address + len(code)]
    room[:] = np.frombuffer(code, np.uint8)[: len(room)]
