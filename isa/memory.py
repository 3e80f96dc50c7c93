"""The memories on the chip, their ports, and the engines that use them."""

from enum import IntEnum


class Memory(IntEnum):
    """A memory on the chip; its value is its code in instructions."""

    ACTIVATION = 0
    WEIGHT = 1
    ACCUMULATOR = 2
    PARAMETER = 3

    @property
    def label(self) -> str:
        """Lower-case name, as in texts and `Config` fields."""
        return self.name.lower()

    @property
    def element_bytes(self) -> int:
        """Bytes of one element: int8 for activations and weights, int32 for accumulators and parameters."""
        return 1 if self in (Memory.ACTIVATION, Memory.WEIGHT) else 4


class Port(IntEnum):
    """A port of a bank."""

    READ = 0
    WRITE = 1


PORTS = tuple(Port)


class Engine(IntEnum):
    """An engine with an instruction queue; its value is its bit in wait and signal masks."""

    LOAD = 0
    MATRIX = 1
    VECTOR = 2
    STORE = 3

    @property
    def label(self) -> str:
        """Lower-case name, as in texts."""
        return self.name.lower()


START_PRIORITY = (Engine.MATRIX, Engine.VECTOR, Engine.STORE, Engine.LOAD)
"""Who starts first when heads of several queues want one port in one cycle."""
