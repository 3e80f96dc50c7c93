"""What an instruction touches: the addresses it reads and writes, and the ports it claims while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.address import AddressLoops, Operand, memory_block, operands
from tilewright.isa.config import Config
from tilewright.isa.encoding import IntArray, ProgramTable, decode_table, encode
from tilewright.isa.instruction import Instruction, Load, Store, specs
from tilewright.isa.memory import PORTS, Memory, Port
from tilewright.isa.operand import OPERANDS, OperandField, parameters_used
from tilewright.isa.span import Spans, spans_of

Masks = NDArray[np.uint64]
"""Claim masks; a machine has at most 64 ports."""


@dataclass(frozen=True)
class Access:
    """Addresses of one bank, or of the memory behind one base register, that an instruction reads or writes.

    Addresses are vectors of the memory (of all banks), or bytes from the base register; they are not reduced
    modulo anything, and may leave the bank.

    Members:
        memory: the memory on the chip; None for the memory outside.
        bank: the bank that the first address lies in, or the base register.
        write: whether it is written; else it is read.
        nest: its addresses, in units of 1 / `slices` vector or in bytes.
        length: how many addresses follow one another from each of the nest.
        slices: units a vector.
    """

    memory: Memory | None
    bank: int
    write: bool
    nest: AddressLoops
    length: int = 1
    slices: int = 1

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Lowest and highest address, both included; high < low if there is none."""
        low, high = self.nest.bounds()
        return low // self.slices, (high + self.length - 1) // self.slices if high >= low else low - 1

    @cached_property
    def spans(self) -> Spans:
        """Exactly the addresses, as ranges."""
        spans = spans_of(self.nest, self.length)
        return spans if self.slices == 1 else spans.coarser(self.slices)

    def addresses(self) -> NDArray[np.int64]:
        """Exactly the addresses: int64, ascending, each once."""
        return self.spans.addresses()

    @property
    def place(self) -> str:
        """Where it lies, in words."""
        if self.memory is None:
            return f"memory of base register {self.bank}"
        return f"{self.memory.label} bank {self.bank}"

    @property
    def unit(self) -> str:
        """What an address counts, in words."""
        return "byte" if self.memory is None else "vector"


def footprint(instruction: Instruction, config: Config) -> tuple[Access, ...]:
    """Every access of an instruction; an accumulator that is added to counts as written."""
    accesses = [_on_chip(operand, config) for operand in operands(instruction, config)]
    if isinstance(instruction, Load | Store):
        accesses.append(_outside(instruction, config))
    return tuple(accesses)


def _on_chip(operand: Operand, config: Config) -> Access:
    bank = operand.first_vector // config.depth(operand.memory)
    return Access(operand.memory, bank, operand.write, operand.nest, 1, operand.slices)


def _outside(transfer: Load | Store, config: Config) -> Access:
    writes = isinstance(transfer, Store)
    length = transfer.bytes if isinstance(transfer, Store) else config.vector_bytes(Memory(transfer.memory))
    return Access(None, transfer.base, writes, memory_block(transfer), length)


# --- ports -------------------------------------------------------------------------------------------------


def claims(instruction: Instruction, config: Config) -> int:
    """The ports that an instruction claims from start to finish: a mask over `Config.port_index`."""
    return int(claim_masks(decode_table(encode(instruction)), config)[0])


def port_mask(config: Config, port: Port) -> int:
    """The claim mask of this port of every bank."""
    return sum(
        1 << config.port_index(memory, bank, port)
        for memory in Memory
        for bank in range(config.banks(memory))
    )


def blocking_writes(mask: int, config: Config) -> int:
    """The write ports of the banks that `mask` reads: the vector engine waits while it claims one itself."""
    return (mask & port_mask(config, Port.READ)) << (Port.WRITE - Port.READ)


def claim_masks(table: ProgramTable, config: Config) -> Masks:
    """`claims` of every instruction of a program, uint64[n]; undefined instructions may have any mask."""
    masks = np.zeros(len(table), np.uint64)
    for kind, rows in OPERANDS.items():
        part = table.classes[kind.opcode]
        for row in rows:
            vector = part.fields[row.address] // (config.slices if row.in_slices else 1)
            for port in row.ports:
                masks[part.rows] |= _bits(memory_codes(kind, row, part.fields), vector, port, config)
    return masks


NOWHERE = len(Memory)
"""In place of a memory: a constant, a table, parameters that are not used."""


def memory_codes(kind: type[Instruction], row: OperandField, fields: Mapping[str, IntArray]) -> IntArray:
    """The memory that an operand of k instructions of a class lies in, or `NOWHERE`: int64[k]."""
    if row.of_parameters:
        used = np.any(parameters_used(fields.__getitem__), axis=0)
        return np.where(used, np.int64(Memory.PARAMETER), np.int64(NOWHERE))
    memories = [NOWHERE if memory is None else int(memory) for memory in row.memories(kind)]
    if isinstance(row.memory, Memory):
        return np.full(len(fields[row.address]), memories[0], np.int64)
    table = np.full(1 << specs(kind)[row.memory].bits, NOWHERE, np.int64)
    table[: len(memories)] = memories
    return table[fields[row.memory]]


def _bits(memory: IntArray, vector: IntArray, port: Port, config: Config) -> Masks:
    """One port bit for each element: of the bank in which `vector` lies; none beyond the memory."""
    depth = np.array([*(config.depth(each) for each in Memory), 1])[memory]
    banks = np.array([*(config.banks(each) for each in Memory), 0])[memory]
    first = np.array([*(config.port_index(each, 0, port) for each in Memory), 0])[memory]
    bank = vector // depth
    inside = bank < banks
    bit = np.where(inside, first + len(PORTS) * bank, 0).astype(np.uint64)
    return np.where(inside, np.uint64(1) << bit, np.uint64(0))
