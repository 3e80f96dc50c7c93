"""What a host does with the machine: identify it, start programs, wait, and read how they ended.

All of it goes through two small protocols, the registers and the memory that host and machine share, so that
gates in a simulator and a board are driven by the same lines.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tilewright.isa.config import Config
from tilewright.isa.error import TilewrightError
from tilewright.isa.fault import Cause, Fault, FaultEngine
from tilewright.isa.instruction import ISA_VERSION
from tilewright.isa.register import (
    BASE_ALIGNMENT_BYTES,
    BASE_REGISTERS,
    FAULT_FIELD_BITS,
    MAGIC,
    REGISTERS,
    WORD_BYTES,
    Control,
    Register,
    Status,
)
from tilewright.runtime.device import COUNTERS

_RESULTS = ("status", "fault", "fault_instruction", "fault_cycle", "cycles", *COUNTERS)
_WORD_BITS = 8 * WORD_BYTES


class DriverError(RuntimeError):
    """A machine that is not the one that it should be, or does not answer as machines do."""


class RegisterBus(Protocol):
    """The host's registers, as words of 32 bits at byte addresses of the register space."""

    def write(self, writes: Sequence[tuple[int, int]]) -> None:
        """Write words, (byte address, value) each, in order."""

    def read(self, addresses: Sequence[int]) -> Sequence[int]:
        """Read the words at byte addresses, in order."""


class Memory(Protocol):
    """The memory that the machine reads and writes, as the host sees it."""

    def write(self, address: int, data: bytes) -> None:
        """Put bytes where the machine finds them at `address`."""

    def read(self, address: int, size_bytes: int) -> bytes:
        """The bytes that the machine left at `address`."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a start needs to know.

    Members:
        program_address: first byte of the program, a multiple of 64.
        program_length: instructions of it.
        bases: base registers, multiples of 64; those not given are 0.
        timeout: cycles of silence on the bus that are a fault; 0: none.
        expected_digest: of the configuration the program was made for; None: of the machine.

    Raises:
        TilewrightError: if an address does not fit its register.
    """

    program_address: int
    program_length: int
    bases: Sequence[int] = ()
    timeout: int = 0
    expected_digest: bytes | None = None

    def __post_init__(self) -> None:
        if len(self.bases) > BASE_REGISTERS:
            raise TilewrightError(f"bases must be at most {BASE_REGISTERS} addresses, not {len(self.bases)}")
        _require_aligned("program_address", self.program_address)
        for index, base in enumerate(self.bases):
            _require_aligned(f"base {index}", base)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended, as the registers say.

    Members:
        cycles: it took.
        status: after its end.
        fault: that ended it, or None.
        counters: each of `device.COUNTERS`.
    """

    cycles: int
    status: Status
    fault: Fault | None
    counters: Mapping[str, int]

    @property
    def needs_reset(self) -> bool:
        """Whether the bus still owes answers, which would reach the next program."""
        timed_out = self.fault is not None and self.fault.cause is Cause.TIMEOUT
        return timed_out or not self.status & Status.BUS_IDLE


class Driver:
    """Drives a machine through its registers.

    Members:
        config: of the machine.

    Args:
        bus: its registers.
        config: what it should be.

    Raises:
        DriverError: if it is something else.
    """

    def __init__(self, bus: RegisterBus, config: Config) -> None:
        self.config = config
        self._bus = bus
        self._digest = int.from_bytes(config.digest(), "little")
        self._require_identity()

    def start(self, call: Call) -> None:
        """Start a program; ignored by the machine while one runs."""
        self.prepare(call)
        self.start_prepared()

    def prepare(self, call: Call) -> None:
        """Write all that a start copies; while a program runs, this is of the next one."""
        digest = self._digest
        if call.expected_digest is not None:
            digest = int.from_bytes(call.expected_digest, "little")
        bases = [*call.bases, *[0] * (BASE_REGISTERS - len(call.bases))]
        settings = {
            "program_address": call.program_address,
            "program_length": call.program_length,
            "timeout": call.timeout,
            "expected_digest": digest,
            **{f"base_{index}": base for index, base in enumerate(bases)},
        }
        self._bus.write([word for name, value in settings.items() for word in _words(REGISTERS[name], value)])

    def start_prepared(self) -> None:
        """Start what was prepared."""
        self._control(Control.START)

    def status(self) -> Status:
        """As it is now."""
        return Status(self._read("status")["status"])

    def reset(self) -> None:
        """Stop at once: all state is cleared but the registers and the memories on the chip."""
        self._control(Control.RESET)

    def acknowledge(self) -> None:
        """Lower the interrupt line."""
        self._control(Control.ACKNOWLEDGE)

    def ended(self) -> Ended:
        """How the last program ended.

        Raises:
            DriverError: if one runs.
        """
        found = self._read(*_RESULTS)
        status = Status(found["status"])
        if Status.RUNNING in status:
            raise DriverError("the program must have ended, but runs: wait, or reset the machine")
        return Ended(
            cycles=found["cycles"],
            status=status,
            fault=_fault(found) if Status.FAULTED in status else None,
            counters={name: found[name] for name in COUNTERS},
        )

    # --- registers by name ---------------------------------------------------------------------------------

    def _require_identity(self) -> None:
        """The machine must be what it should be, before anything else is believed of it."""
        wanted = {"magic": MAGIC, "isa_version": ISA_VERSION, "config_digest": self._digest}
        found = self._read(*wanted)
        if found["magic"] != MAGIC:
            raise DriverError(
                f"register magic must be {MAGIC:#x}, not {found['magic']:#x}: no Tilewright machine"
            )
        if found["isa_version"] != ISA_VERSION:
            text = f"the machine must have version {ISA_VERSION} of the instruction set"
            raise DriverError(f"{text}, not {found['isa_version']}: build its gates anew")
        if found["config_digest"] != self._digest:
            digest = found["config_digest"].to_bytes(8, "little").hex()
            text = f"the machine must be of configuration {self.config.digest().hex()}, not {digest}"
            raise DriverError(f"{text}: choose its configuration, or build its gates anew")

    def _control(self, bits: Control) -> None:
        self._bus.write([*_words(REGISTERS["control"], bits)])

    def _read(self, *names: str) -> dict[str, int]:
        """Registers by name, all words of each."""
        rows = [REGISTERS[name] for name in names]
        addresses = [row.offset + WORD_BYTES * word for row in rows for word in range(row.words)]
        words = iter(self._bus.read(addresses))
        return {row.name: sum(next(words) << _WORD_BITS * word for word in range(row.words)) for row in rows}


def _fault(registers: Mapping[str, int]) -> Fault:
    mask = (1 << FAULT_FIELD_BITS) - 1
    return Fault(
        cycle=registers["fault_cycle"],
        engine=FaultEngine(registers["fault"] >> FAULT_FIELD_BITS & mask),
        instruction=registers["fault_instruction"],
        cause=Cause(registers["fault"] & mask),
    )


def _words(row: Register, value: int) -> Iterator[tuple[int, int]]:
    """The writes that set a register."""
    for word in range(row.words):
        yield row.offset + WORD_BYTES * word, value >> _WORD_BITS * word & (1 << _WORD_BITS) - 1


def _require_aligned(name: str, address: int) -> None:
    if not 0 <= address < 1 << 2 * _WORD_BITS or address % BASE_ALIGNMENT_BYTES:
        raise TilewrightError(
            f"{name} must be a multiple of {BASE_ALIGNMENT_BYTES} of at most 64 bits, not {address!r}"
        )
