"""Common to loads and stores: the memory of the chip, and the columns of their strides."""

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.intrinsic.axis import all_in_units, in_units
from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.encoding import IntArray
from tilewright.isa.memory import Memory

CHIP, OUTSIDE = 0, 1
"""Columns of strides: elements of the chip buffer, and of the global one."""


def memory_of(chip: Buffer, *others: Buffer) -> Memory:
    """The memory of the chip that a buffer lies in.

    Raises:
        MismatchError: if the elements of it or of the others are not those of the memory.
    """
    memory = Memory[chip.scope.name]
    dtype = DType.INT8 if memory.element_bytes == 1 else DType.INT32
    for buffer in (chip, *others):
        if buffer.dtype is not dtype:
            text = f"{memory.label} memory holds {dtype}, and buffer {buffer.name!r} is {buffer.dtype}"
            raise MismatchError(text, MatchProgress.EXPRESSION)
    return memory


def in_bytes(elements: int, memory: Memory, limits: Limits, what: str) -> int:
    """A stride in memory.

    Raises:
        MismatchError: if it is no multiple of what the bus moves at a time.
    """
    size = elements * memory.element_bytes
    in_units(size, limits.transfer_bytes(memory), f"{what} in bytes")
    return size


def all_in_bytes(elements: IntArray, memory: Memory, limits: Limits, what: str) -> IntArray:
    """`in_bytes` of many offsets."""
    sizes = elements * memory.element_bytes
    all_in_units(sizes, limits.transfer_bytes(memory), f"{what} in bytes")
    return sizes
