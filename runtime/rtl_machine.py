"""One machine of gates: programs one after another, as a host runs them through the registers."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.error import TilewrightError
from tilewright.isa.fault import Cause, Fault, FaultEngine
from tilewright.isa.register import (
    BASE_ALIGNMENT_BYTES,
    BASE_REGISTERS,
    MAGIC,
    REGISTERS,
    WORD_BYTES,
    Control,
    Register,
    Status,
)
from tilewright.runtime.device import COUNTERS, Environment, Progress
from tilewright.runtime.rtl_build import Optimise, build
from tilewright.runtime.rtl_gates import Bytes, Gates, GatesError, Trace
from tilewright.runtime.rtl_toolchain import require_toolchain
from tilewright.runtime.rtl_verilator import VerilatorGates
from tilewright.sim.memory import MemoryModel

BLOCK_CYCLES = 50_000
"""Cycles between two reports of progress."""
_RESULTS = ("status", "fault", "fault_instruction", "fault_cycle", "cycles", *COUNTERS)
# Fields of the fault register.
_FAULT_FIELD_BITS = 8
_WORD_BITS = 8 * WORD_BYTES


@dataclass(frozen=True, kw_only=True)
class RtlResult:
    """What the gates say of one program.

    Members:
        cycles: it took, from the `cycles` register, which equals the cycles with `trace_running` up.
        status: the status register after its end.
        fault: the fault that ended it, or None.
        trace: cycles of dispatches, starts and finishes.
        counters: each of `device.COUNTERS`.
        seconds: wall time of the run.
    """

    cycles: int
    status: Status
    fault: Fault | None
    trace: Trace
    counters: Mapping[str, int]
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
        self._require_own_gates()

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
        settings = {
            "program_address": _aligned("program_address", program_address),
            "program_length": len(code) // INSTRUCTION_BYTES,
            "timeout": timeout,
            "expected_digest": int.from_bytes(expected_digest or self.config.digest(), "little"),
            **{f"base_{index}": base for index, base in enumerate(_base_registers(bases))},
        }
        _place(code, dram, program_address)
        self._start(settings, dram, environment.memory(len(dram)))
        self._await_end(max_cycles, progress)
        return self._result(time.perf_counter() - begun)

    def _require_own_gates(self) -> None:
        """The library must be what its name says, before anything else is believed of it."""
        found = self._read("magic", "config_digest")
        if found != {"magic": MAGIC, "config_digest": int.from_bytes(self.config.digest(), "little")}:
            raise GatesError(f"the gates must be of configuration {self.config.digest().hex()}, not {found}")

    def _start(self, settings: Mapping[str, int], dram: Bytes, memory: MemoryModel) -> None:
        if self._needs_reset:
            self._gates.reset()
        self._needs_reset = True
        self._gates.attach(dram, memory)
        self._gates.begin_trace(settings["program_length"])
        writes = [write for name, value in settings.items() for write in _words(REGISTERS[name], value)]
        self._gates.write([*writes, *_words(REGISTERS["control"], Control.START)])

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
        found = self._read(*_RESULTS)
        if found["cycles"] != self._gates.cycles:
            raise GatesError(f"the gates ran for {self._gates.cycles} cycles, but counted {found['cycles']}")
        fault = _fault(found) if Status.FAULTED & found["status"] else None
        status = Status(found["status"])
        timed_out = fault is not None and fault.cause is Cause.TIMEOUT
        self._needs_reset = timed_out or not status & Status.BUS_IDLE
        return RtlResult(
            cycles=found["cycles"],
            status=status,
            fault=fault,
            trace=self._gates.trace(),
            counters={name: found[name] for name in COUNTERS},
            seconds=seconds,
        )

    def _read(self, *names: str) -> dict[str, int]:
        """Registers by name, all words of each."""
        rows = [REGISTERS[name] for name in names]
        addresses = [row.offset + WORD_BYTES * word for row in rows for word in range(row.words)]
        words = iter(self._gates.read(addresses))
        return {row.name: sum(next(words) << _WORD_BITS * word for word in range(row.words)) for row in rows}


def _fault(registers: Mapping[str, int]) -> Fault:
    mask = (1 << _FAULT_FIELD_BITS) - 1
    return Fault(
        cycle=registers["fault_cycle"],
        engine=FaultEngine(registers["fault"] >> _FAULT_FIELD_BITS & mask),
        instruction=registers["fault_instruction"],
        cause=Cause(registers["fault"] & mask),
    )


def _words(row: Register, value: int) -> Iterator[tuple[int, int]]:
    """The writes that set a register."""
    for word in range(row.words):
        yield row.offset + WORD_BYTES * word, value >> _WORD_BITS * word & (1 << _WORD_BITS) - 1


def _aligned(name: str, address: int) -> int:
    if not 0 <= address < 1 << 2 * _WORD_BITS or address % BASE_ALIGNMENT_BYTES:
        raise TilewrightError(
            f"{name} must be a multiple of {BASE_ALIGNMENT_BYTES} of at most 64 bits, not {address!r}"
        )
    return address


def _base_registers(bases: Sequence[int]) -> list[int]:
    if len(bases) > BASE_REGISTERS:
        raise TilewrightError(f"bases must be at most {BASE_REGISTERS} addresses, not {len(bases)}")
    given = [_aligned(f"base {index}", base) for index, base in enumerate(bases)]
    return given + [0] * (BASE_REGISTERS - len(given))


def _require_array(dram: Bytes) -> None:
    if dram.dtype != np.uint8 or dram.ndim != 1 or not dram.flags.c_contiguous or not dram.flags.writeable:
        raise TilewrightError(
            f"dram must be a writeable contiguous uint8 array with one axis, not {dram.dtype} {dram.shape}"
        )


def _place(code: bytes, dram: Bytes, address: int) -> None:
    """Copy the program into the memory, as far as it reaches."""
    room = dram[address : address + len(code)]
    room[:] = np.frombuffer(code, np.uint8)[: len(room)]
