"""The host's registers: one table, read by the gates, by drivers and by the documents.

Words of 32 bits on AXI4-Lite; a register of 64 bits is a pair of words, the low one first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, IntFlag
from types import MappingProxyType

from tilewright.isa.instruction import Load, specs
from tilewright.isa.memory import Engine

WORD_BYTES = 4
MAGIC = int.from_bytes(b"TLWR", "little")
BASE_REGISTERS = 1 << specs(Load)["base"].bits
BASE_ALIGNMENT_BYTES = 64
"""Base registers and the program's address are multiples of this: their low bits cannot be written."""
FAULT_FIELD_BITS = 8
"""Of the cause, and of the engine behind it, in `fault`."""


class RegisterAccess(Enum):
    """What a host may do with a register; other writes are ignored, as AXI4-Lite slaves may."""

    READ = "r"
    WRITE = "rw"


class Control(IntFlag):
    """Bits of `control`; it reads as 0."""

    START = 1
    """Run the program; ignored while one runs."""
    RESET = 2
    """Stop at once and clear all state but the registers and the memories on the chip."""
    ACKNOWLEDGE = 4
    """Lower the interrupt line, as start and reset do, too."""


class Status(IntFlag):
    """Bits of `status`."""

    RUNNING = 1
    DONE = 2
    """A program ran to its end, with or without a fault, since the last start or reset."""
    FAULTED = 4
    BUS_IDLE = 8
    """No burst is unanswered."""
    INTERRUPT = 16
    """The interrupt line is up: a program has ended, and the host has not acknowledged it."""


@dataclass(frozen=True)
class Register:
    """One row of the map.

    A start copies what the host has written: what is written while a program runs is of the next one.

    Members:
        name: as in drivers and documents.
        bits: 32 or 64.
        access: what the host may do.
        text: what it holds, with units.
        offset: first byte in the register space.
    """

    name: str
    bits: int
    access: RegisterAccess
    text: str
    offset: int = 0

    @property
    def words(self) -> int:
        """Words it takes."""
        return self.bits // 32


def _bits(flags: type[IntFlag]) -> str:
    """The bits of a register in words: bit 0 start, …"""
    names = (f"bit {bit.bit_length() - 1} {(bit.name or '').lower().replace('_', ' ')}" for bit in flags)
    return ", ".join(names)


_FAULT_TEXT = (
    f"bits 0-{FAULT_FIELD_BITS - 1} cause, bits {FAULT_FIELD_BITS}-{2 * FAULT_FIELD_BITS - 1} engine, "
    "of the program's first fault"
)


def _rows() -> Iterator[Register]:
    read, write = RegisterAccess.READ, RegisterAccess.WRITE
    yield Register("magic", 32, read, "'TLWR': this is a Tilewright machine")
    yield Register("isa_version", 32, read, "version of the instruction set")
    yield Register("config_digest", 64, read, "digest of the configuration (first byte lowest)")
    yield Register("control", 32, write, f"{_bits(Control)}; reads as 0")
    yield Register("status", 32, read, _bits(Status))
    yield Register("fault", 32, read, _FAULT_TEXT)
    yield Register("fault_instruction", 32, read, "place of the faulting instruction in the program")
    yield Register("fault_cycle", 64, read, "cycle of the fault")
    yield Register("program_address", 64, write, "first byte of the program, a multiple of 64")
    yield Register("program_length", 32, write, "instructions of the program")
    yield Register("timeout", 32, write, "cycles of silence on the bus that are a fault; 0: wait for ever")
    yield Register("expected_digest", 64, write, "digest of the configuration the program was made for")
    for index in range(BASE_REGISTERS):
        yield Register(f"base_{index}", 64, write, f"base register {index}, a multiple of 64")
    yield Register("cycles", 64, read, "cycles of the program, up to now or to its end")
    for engine in Engine:
        yield Register(f"{engine.label}_busy", 64, read, "cycles with an instruction in flight")
        yield Register(f"{engine.label}_waiting", 64, read, "cycles in which its next one waited for tokens")
        yield Register(f"{engine.label}_stalled", 64, read, "cycles in which its next one waited for a port")
    for name in ("fetch", "load", "store"):
        yield Register(f"{name}_bytes", 64, read, f"bytes of the bus bursts of {name}")


def _placed() -> Iterator[Register]:
    offset = 0
    for row in _rows():
        offset += -offset % (row.words * WORD_BYTES)
        yield Register(row.name, row.bits, row.access, row.text, offset)
        offset += row.words * WORD_BYTES


REGISTERS: Mapping[str, Register] = MappingProxyType({row.name: row for row in _placed()})
ALIGNED = ("program_address", *(f"base_{index}" for index in range(BASE_REGISTERS)))
"""The registers whose low bits cannot be written."""
SPACE_BYTES = 1 << (max(row.offset for row in REGISTERS.values()) + 8 - 1).bit_length()
"""Size of the register space, a power of two."""
