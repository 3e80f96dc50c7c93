"""The parameters of a machine that decide which loop nests are one instruction."""

from dataclasses import dataclass

from tilewright.isa.config import Config
from tilewright.isa.memory import Memory


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes of the array, and of what the bus moves at a time; ranges of fields are those of the ISA.

    Members:
        rows: of the array, elements of an activation slice.
        cols: of the array, lanes of a vector.
        bus_bytes: of the bus.
    """

    rows: int
    cols: int
    bus_bytes: int

    @classmethod
    def of(cls, config: Config) -> "Limits":
        """The limits of a configuration."""
        return cls(rows=config.rows, cols=config.cols, bus_bytes=config.bus_bytes)

    def transfer_bytes(self, memory: Memory) -> int:
        """The unit in bytes of offsets and strides in the memory outside."""
        return min(self.cols * memory.element_bytes, self.bus_bytes)
