"""The memory outside of the machine, as a model with stated parameters."""

from dataclasses import dataclass

from tilewright.isa.config import INSTRUCTION_BYTES
from tilewright.isa.error import TilewrightError

MAXIMUM_LATENCY = (1 << 16) - 1
MAXIMUM_OUTSTANDING = (1 << 8) - 1
MAXIMUM_BYTES = 1 << 47
_GRANULE_BYTES = INSTRUCTION_BYTES


class MemoryModelError(TilewrightError):
    """A memory that the model cannot be, with every reason at once."""


@dataclass(frozen=True, kw_only=True)
class MemoryModel:
    """How the memory outside answers; see docs/machine.md, "The memory outside".

    Members:
        size_bytes: its size, a multiple of 64 (the widest bus): beats at or beyond it are in error.
        latency: cycles from an accepted read address to its first beat at best, and from the last beat of a
            write to its answer.
        outstanding: reads accepted and not completed.
        silent_from: cycle from which on nothing is accepted or answered; None: never silent.

    Raises:
        MemoryModelError: naming every parameter that does not fit, and what would.
    """

    size_bytes: int
    latency: int = 16
    outstanding: int = 8
    silent_from: int | None = None

    def __post_init__(self) -> None:
        ranges = {
            "size_bytes": (_GRANULE_BYTES, MAXIMUM_BYTES),
            "latency": (1, MAXIMUM_LATENCY),
            "outstanding": (1, MAXIMUM_OUTSTANDING),
        }
        problems = [
            f"{name} must be an integer from {low} to {high}, not {getattr(self, name)!r}"
            for name, (low, high) in ranges.items()
            if not (isinstance(getattr(self, name), int) and low <= getattr(self, name) <= high)
        ]
        if isinstance(self.size_bytes, int) and self.size_bytes % _GRANULE_BYTES:
            problems.append(f"size_bytes must be a multiple of {_GRANULE_BYTES}, not {self.size_bytes}")
        if self.silent_from is not None and not (isinstance(self.silent_from, int) and self.silent_from >= 0):
            problems.append(f"silent_from must be None or a cycle from 0 on, not {self.silent_from!r}")
        if problems:
            raise MemoryModelError("; ".join(problems))
