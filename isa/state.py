"""What instructions read and write: the memories on the chip, the look-up tables, and the memory outside."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import Config
from tilewright.isa.error import TilewrightError
from tilewright.isa.memory import Memory
from tilewright.isa.register import BASE_REGISTERS
from tilewright.numerics.table import ENTRIES

MEMORY_ADDRESS_BITS = 64
"""Bits of an address in the memory outside; sums are modulo 2**64."""

_ELEMENTS: dict[int, type[np.int8] | type[np.int32]] = {1: np.int8, 4: np.int32}


class State:
    """The contents of a chip, zero at power-up.

    Members:
        config: its sizes.
        memories: by `Memory`, int8 or int32 (vectors of all banks, cols).
        depths: by `Memory`, vectors in a bank.
        tables: int8 (cols, 256), the look-up table of each lane of the vector engine.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.memories: tuple[NDArray[np.signedinteger], ...] = tuple(
            np.zeros((config.vectors(memory), config.cols), _ELEMENTS[memory.element_bytes])
            for memory in Memory
        )
        self.depths = tuple(config.depth(memory) for memory in Memory)
        self.tables = np.zeros((config.cols, ENTRIES), np.int8)

    def copy(self) -> "State":
        """The same contents, apart."""
        other = State(self.config)
        for mine, theirs in zip(self.memories, other.memories, strict=True):
            theirs[...] = mine
        other.tables[...] = self.tables
        return other


class Dram:
    """The memory outside, and the base registers that instructions reach it by.

    Members:
        data: uint8 (size,). Addresses at or beyond `size` are bus errors: they read 0 and drop writes.
        bases: the first byte of each of the 8 regions, as integers from 0 to 2**64 - 1.

    Raises:
        TilewrightError: if an array or a register does not fit.
    """

    def __init__(self, data: NDArray[np.uint8], bases: Sequence[int] = ()) -> None:
        if data.dtype != np.uint8 or data.ndim != 1 or not data.flags.c_contiguous:
            raise TilewrightError(
                f"data must be a contiguous uint8 array with one axis, not {data.dtype} {data.shape}"
            )
        if len(bases) > BASE_REGISTERS or not all(0 <= base < 1 << MEMORY_ADDRESS_BITS for base in bases):
            most = f"at most {BASE_REGISTERS} addresses of {MEMORY_ADDRESS_BITS} bits"
            raise TilewrightError(f"bases must be {most}, not {list(bases)!r}")
        self.data = data
        self.bases = [int(base) for base in bases] + [0] * (BASE_REGISTERS - len(bases))

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)
