"""Devices: whatever runs an assembled program and says what it took, behind one protocol."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.encoding import ProgramTable
from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable
from tilewright.isa.fault import Fault
from tilewright.isa.instruction import ENGINE_OF, Nop, Opcode
from tilewright.isa.memory import Engine
from tilewright.isa.register import REGISTERS
from tilewright.sim.memory import MemoryModel

NOT_YET = -1
"""Stands for the cycle of what did not happen."""
NO_ENGINE = -1
ENGINE_COUNTERS = ("busy", "waiting", "stalled")
TRAFFIC_COUNTERS = ("fetch_bytes", "load_bytes", "store_bytes")
COUNTERS = (*(f"{engine.label}_{name}" for engine in Engine for name in ENGINE_COUNTERS), *TRAFFIC_COUNTERS)
"""What a device counts besides cycles: cycles of each engine, bytes on the bus; names of host registers."""

Progress = Callable[[int], None]
"""Called now and then with the cycles run so far."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a program meets outside of the machine.

    Members:
        latency: cycles from a request that the memory accepted to its first beat or answer.
        outstanding: read bursts accepted and not answered, at most.
        silent_from: first cycle in which the memory accepts and answers nothing; None: never.
        timeout: cycles of silence on the bus that are a fault; 0: none.
        progress: called now and then with the cycles run so far.

    Raises:
        TilewrightError: if a parameter does not fit.
    """

    latency: int = 16
    outstanding: int = 8
    silent_from: int | None = None
    timeout: int = 0
    progress: Progress | None = None

    def __post_init__(self) -> None:
        self.memory(INSTRUCTION_BYTES)
        most = (1 << REGISTERS["timeout"].bits) - 1
        if not 0 <= self.timeout <= most:
            raise TilewrightError(f"timeout must be from 0 to {most} cycles, not {self.timeout!r}")

    def memory(self, size_bytes: int) -> MemoryModel:
        """The model of a memory of that size.

        Raises:
            MemoryModelError: if a parameter does not fit.
        """
        return MemoryModel(
            size_bytes=size_bytes,
            latency=self.latency,
            outstanding=self.outstanding,
            silent_from=self.silent_from,
        )


DEFAULT_ENVIRONMENT = Environment()


@dataclass(frozen=True, kw_only=True)
class DeviceResult:
    """What a device says of one program of n instructions.

    Members:
        regions: the bytes behind each base register afterwards.
        cycles: it took.
        fault: what ended it, or None.
        counters: each of `COUNTERS`.
        dispatch, start, finish: int64[n], the cycle of each, `NOT_YET` for what did not happen.
        tokens_ready: int64[n], the first cycle at the head of its queue in which each had its tokens and room
            for those that it gives; None if the device cannot see it.
        engine_ready: the same of its engine being ready to take it.
        seconds: wall time.
    """

    regions: Mapping[int, bytes]
    cycles: int
    fault: Fault | None
    counters: Mapping[str, int]
    dispatch: NDArray[np.int64]
    start: NDArray[np.int64]
    finish: NDArray[np.int64]
    seconds: float
    tokens_ready: NDArray[np.int64] | None = None
    engine_ready: NDArray[np.int64] | None = None


class Prepared(Protocol):
    """A program in a device's memory with the bytes behind its base registers, to be run again and again."""

    def run(self, regions: Mapping[int, bytes]) -> DeviceResult:
        """Run it on new bytes for some regions; the others are as the run before left them.

        Args:
            regions: bytes by base register, as many as the region has.

        Raises:
            LoadError: if a region is not there, or has another size.
        """


class Device(Protocol):
    """A machine that runs assembled programs; its memories keep their contents from one to the next.

    A device that inherits it explicitly runs what it has prepared.
    """

    @property
    def name(self) -> str:
        """As in `tilewright run --device`, or more precise."""

    @property
    def config(self) -> Config:
        """Of the machine."""

    def run(
        self,
        executable: Executable,
        regions: Mapping[int, bytes],
        environment: Environment = DEFAULT_ENVIRONMENT,
        *,
        check: bool = True,
    ) -> DeviceResult:
        """Run a program on the bytes behind its base registers.

        Args:
            executable: made for this device's configuration.
            regions: initial bytes by base register; what a program only writes may be left out.
            environment: the memory outside, and the host's time-out.
            check: refuse what is undefined, racy or stuck (`isa.checker`), and what leaves its regions.
                Without it such a program faults, or its result depends on time.

        Raises:
            LoadError: if program, regions and device do not fit each other.
            CheckError, InstructionError: if `check` and the program is unsound.
        """
        return self.prepare(executable, regions, environment, check=check).run({})

    def prepare(
        self,
        executable: Executable,
        regions: Mapping[int, bytes],
        environment: Environment = DEFAULT_ENVIRONMENT,
        *,
        check: bool = True,
    ) -> Prepared:
        """Load a program and check it, to run it on many inputs; arguments and errors are those of `run`."""


def engines_of(table: ProgramTable) -> NDArray[np.int64]:
    """The engine of each instruction, int64[n]; `NO_ENGINE` for finish and undefined opcodes."""
    result = np.full(len(table), NO_ENGINE, np.int64)
    for opcode, engine in ENGINE_OF.items():
        result[table.classes[opcode].rows] = engine
    nops = table.classes[Nop.opcode]
    result[nops.rows] = nops.fields["runs_on"]
    return result


def macs_of(table: ProgramTable, config: Config) -> int:
    """Products that a program's matrix instructions ask for."""
    fields = table.classes[Opcode.MATRIX].fields
    loops = np.ones(len(table.classes[Opcode.MATRIX].rows), np.int64)
    for name in ("n_y", "n_x", "n_ci", "n_ky", "n_kx"):
        loops = loops * fields[name]
    return int(loops.sum()) * config.peak_macs
