"""Faults: what stops a program, who found it, and which of several is recorded."""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from tilewright.isa.memory import Engine


class Cause(IntEnum):
    """Why a program was stopped; its value is the code in the fault register."""

    NONE = 0
    ILLEGAL = 1
    BUS = 2
    ADDRESS = 3
    CONFIG = 4
    DEADLOCK = 5
    TIMEOUT = 6

    @property
    def text(self) -> str:
        """What happened, and what to look at."""
        return _TEXTS[self]


class FaultEngine(IntEnum):
    """Who found a fault; its value is the code in the fault register and the order of faults in one cycle."""

    FETCH = 0
    LOAD = 1
    MATRIX = 2
    VECTOR = 3
    STORE = 4
    SYSTEM = 5

    @classmethod
    def of(cls, engine: Engine) -> "FaultEngine":
        """The code of an engine with a queue."""
        return cls[engine.name]


_TEXTS = MappingProxyType(
    {
        Cause.NONE: "no fault",
        Cause.ILLEGAL: "an undefined instruction, or a program without instructions",
        Cause.BUS: "the memory outside answered with an error",
        Cause.ADDRESS: "an address outside of the operand's bank",
        Cause.CONFIG: "the program was made for another configuration",
        Cause.DEADLOCK: "nothing runs and nothing can: tokens that nobody will give",
        Cause.TIMEOUT: "the bus was silent for longer than the host allows",
    }
)

DISPATCH_ORDER = (Cause.BUS, Cause.ILLEGAL, Cause.ADDRESS)
"""Which cause is recorded of an instruction that is dispatched with several."""


@dataclass(frozen=True, order=True)
class Fault:
    """A fault; of several the lowest is recorded.

    Members:
        cycle: the cycle in which it was found.
        engine: who found it.
        instruction: its place in the program; for a system fault, the number of instructions dispatched
            before.
        cause: why.
    """

    cycle: int
    engine: FaultEngine
    instruction: int
    cause: Cause
