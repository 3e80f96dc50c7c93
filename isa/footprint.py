"""What an instruction touches: the addresses it reads and writes, and the ports it claims while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.address import (
    A_MEMORY,
    B_MEMORY,
    DESTINATION_MEMORY,
    Nest,
    Operand,
    memory_block,
    operands,
)
from tilewright.isa.config import Config
from tilewright.isa.encoding import ClassTable, IntArray, ProgramTable
from tilewright.isa.instruction import Instruction, Load, Opcode, Store, VectorOp
from tilewright.isa.memory import PORTS, Memory, Port
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
    nest: Nest
    length: int = 1
    slices: int = 1

    @cached_property
    def hull(self) -> tuple[int, int]:
        """Lowest and highest address, both included; high < low if there is none."""
        low, high = self.nest.hull()
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
    mask = 0
    for operand in operands(instruction, config):
        # The matrix engine reads the accumulators' bank too: it adds to it from the second tile on.
        both = instruction.opcode == Opcode.MATRIX and operand.write
        ports = PORTS if both else (Port.WRITE if operand.write else Port.READ,)
        bank = operand.first_vector // config.depth(operand.memory)
        if bank < config.banks(operand.memory):
            mask |= sum(1 << config.port_index(operand.memory, bank, port) for port in ports)
    return mask


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
    for opcode, claim in _CLASS_CLAIMS.items():
        part = table.classes[opcode]
        masks[part.rows] = claim(part, config)
    return masks


def _transfer_claims(part: ClassTable, config: Config, port: Port) -> Masks:
    return _bits(part.fields["memory"], part.fields["address"], port, config)


def _matrix_claims(part: ClassTable, config: Config) -> Masks:
    fields = part.fields
    masks = _bits(_same(Memory.ACTIVATION, part), fields["activation"] // config.slices, Port.READ, config)
    masks |= _bits(_same(Memory.WEIGHT, part), fields["weight"], Port.READ, config)
    for port in PORTS:
        masks |= _bits(_same(Memory.ACCUMULATOR, part), fields["accumulator"], port, config)
    return masks


def _vector_claims(part: ClassTable, config: Config) -> Masks:
    fields = part.fields
    masks = _bits(_named(A_MEMORY, fields["a_from"]), fields["a"], Port.READ, config)
    masks |= _bits(_named(B_MEMORY, fields["b_from"]), fields["b"], Port.READ, config)
    masks |= _bits(_named(DESTINATION_MEMORY, fields["to"]), fields["destination"], Port.WRITE, config)
    used = (fields["bias"] | fields["requantise"] | (fields["op"] == VectorOp.MULTIPLY_ADD)) != 0
    parameter = np.where(used, np.int64(Memory.PARAMETER), np.int64(_NOWHERE))
    return masks | _bits(parameter, fields["parameter"], Port.READ, config)


_CLASS_CLAIMS: dict[Opcode, Callable[[ClassTable, Config], Masks]] = {
    Opcode.LOAD: lambda part, config: _transfer_claims(part, config, Port.WRITE),
    Opcode.STORE: lambda part, config: _transfer_claims(part, config, Port.READ),
    Opcode.MATRIX: _matrix_claims,
    Opcode.VECTOR: _vector_claims,
}

_NOWHERE = len(Memory)
"""In place of a memory: a constant, a table, parameters that are not used."""


def _same(memory: Memory, part: ClassTable) -> IntArray:
    return np.full(len(part.rows), memory, np.int64)


def _named(memories: tuple[Memory | None, ...], codes: IntArray) -> IntArray:
    """The memory of each code; _NOWHERE for codes without one."""
    table = np.full(1 << 2, _NOWHERE, np.int64)
    table[: len(memories)] = [_NOWHERE if memory is None else memory for memory in memories]
    return table[codes]


def _bits(memory: IntArray, vector: IntArray, port: Port, config: Config) -> Masks:
    """One port bit for each element: of the bank in which `vector` lies; none beyond the memory."""
    depth = np.array([*(config.depth(each) for each in Memory), 1])[memory]
    banks = np.array([*(config.banks(each) for each in Memory), 0])[memory]
    first = np.array([*(config.port_index(each, 0, port) for each in Memory), 0])[memory]
    bank = vector // depth
    inside = bank < banks
    bit = np.where(inside, first + len(PORTS) * bank, 0).astype(np.uint64)
    return np.where(inside, np.uint64(1) << bit, np.uint64(0))
