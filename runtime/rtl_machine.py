"""One machine of gates: programs one after another, as a host runs them through the registers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.error import TilewrightError
from tilewright.runtime.device import Environment, Progress
from tilewright.runtime.driver import Call, Driver, DriverError, Ended
from tilewright.runtime.rtl_build import Optimise, build
from tilewright.runtime.rtl_gates import Bytes, Gates, GatesError, Trace
from tilewright.runtime.rtl_toolchain import require_toolchain
from tilewright.runtime.rtl_verilator import VerilatorGates
from tilewright.sim.memory import MemoryModel

BLOCK_CYCLES = 50_000
"""Cycles between two reports of progress."""


@dataclass(frozen=True, kw_only=True)
class RtlResult(Ended):
    """What the gates say of one program.

    Members:
        trace: cycles of dispatches, starts and finishes.
        seconds: wall time of the run.
    """

    trace: Trace
    seconds: float


class RtlMachine:
    """The gates of `config`, powered up once; memories on the chip keep their contents between programs.

    Args:
        config: its sizes.
        optimise: for the compiler: build soon or run fast.
        gates: run these instead of compiling with Verilator.

    Raises:
        RtlBuildError: if Verilator or a compiler is missing, or fails.
    """

    def __init__(
        self, config: Config, *, optimise: Optimise = Optimise.BUILD, gates: Gates | None = None
    ) -> None:
        self.config = config
        self._gates = gates or VerilatorGates(build(config, require_toolchain(), optimise))
        self._needs_reset = False
        try:
            self._driver = Driver(self._gates, config)
        except DriverError as error:
            raise GatesError(str(error)) from error

    def power_cycle(self) -> None:
        """Start again with all memories on the chip 0."""
        self._gates.power_cycle()
        self._needs_reset = False

    def run(
        self,
        code: bytes,
        *,
        dram: Bytes,
        bases: Sequence[int] = (),
        program_address: int = 0,
        latency: int = 16,
        outstanding: int = 8,
        silent_from: int | None = None,
        timeout: int = 0,
        expected_digest: bytes | None = None,
        max_cycles: int | None = None,
        progress: Progress | None = None,
    ) -> RtlResult:
        """Run a program to its end.

        Args:
            code: whole instructions; copied to `program_address`, as far as the memory reaches.
            dram: uint8, the memory outside from address 0, a multiple of 64 long; changed in place.
            bases: base registers, multiples of 64; those not given are 0.
            program_address: first byte of the program, a multiple of 64.
            latency, outstanding, silent_from: of the memory model.
            timeout: cycles of silence on the bus that are a fault; 0: none.
            expected_digest: of the configuration the program was made for; None: of this one.
            max_cycles: give up after so many.
            progress: called with the cycles run so far, every `BLOCK_CYCLES`.

        Raises:
            TilewrightError: if an argument does not fit.
            GatesError: if the program does not end within `max_cycles`, or the gates do not answer.
        """
        begun = time.perf_counter()
        environment = Environment(
            latency=latency, outstanding=outstanding, silent_from=silent_from, timeout=timeout
        )
        _require_array(dram)
        if silent_from is not None and not timeout and max_cycles is None:
            raise TilewrightError(
                "timeout must be set where the memory falls silent, or the gates wait for ever"
            )
        call = Call(
            program_address=program_address,
            program_length=len(code) // INSTRUCTION_BYTES,
            bases=bases,
            timeout=timeout,
            expected_digest=expected_digest,
        )
        _place(code, dram, program_address)
        self._start(call, dram, environment.memory(len(dram)))
        self._await_end(max_cycles, progress)
        return self._result(time.perf_counter() - begun)

    def _start(self, call: Call, dram: Bytes, memory: MemoryModel) -> None:
        if self._needs_reset:
            self._gates.reset()
        self._needs_reset = True
        self._gates.attach(dram, memory)
        self._gates.begin_trace(call.program_length)
        self._driver.start(call)

    def _await_end(self, max_cycles: int | None, progress: Progress | None) -> None:
        cycles, limit = 0, BLOCK_CYCLES
        while True:
            if max_cycles is not None:
                limit = min(limit, max_cycles - cycles)
            if self._gates.advance(limit):
                return
            cycles += limit
            if cycles == max_cycles:
                raise GatesError(f"the program must end within {max_cycles} cycles, but runs on")
            if progress is not None:
                progress(cycles)

    def _result(self, seconds: float) -> RtlResult:
        ended = self._driver.ended()
        if ended.cycles != self._gates.cycles:
            raise GatesError(f"the gates ran for {self._gates.cycles} cycles, but counted {ended.cycles}")
        self._needs_reset = ended.needs_reset
        return RtlResult(**vars(ended), trace=self._gates.trace(), seconds=seconds)


def _require_array(dram: Bytes) -> None:
    if dram.dtype != np.uint8 or dram.ndim != 1 or not dram.flags.c_contiguous or not dram.flags.writeable:
        raise TilewrightError(
            f"dram must be a writeable contiguous uint8 array with one axis, not {dram.dtype} {dram.shape}"
        )


def _place(code: bytes, dram: Bytes, address: int) -> None:
    """Copy the program into the memory, as far as it reaches."""
    room = dram[address : address + len(code)]
    room[:] = np.frombuffer(code, np.uint8)[: len(room)]
