"""Programs: tasks with addresses and tokens, checked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np

from tilewright.compiler.targets.accel.allocation import Allocation, Chip
from tilewright.compiler.targets.accel.task_table import LayerSpan, TaskClass, TaskTable
from tilewright.compiler.targets.accel.token import add_tokens
from tilewright.compiler.tir.buffer import Buffer
from tilewright.isa.checker import check
from tilewright.isa.config import Config
from tilewright.isa.encoding import (
    KINDS,
    ClassTable,
    EncodedProgram,
    IntArray,
    ProgramTable,
    decode_table,
    encode_table,
)
from tilewright.isa.instruction import ISA_VERSION, Instruction, Opcode, specs
from tilewright.numerics.error import TilewrightError

__all__ = [
    "LayerSpan",
    "Program",
    "ProgramError",
    "Work",
    "assemble",
    "assemble_works",
    "check_program",
    "place_works",
]

Addresses = Mapping[Buffer, tuple[int, int]]
"""The base register and the offset in bytes of each global buffer."""


class ProgramError(TilewrightError):
    """Tasks that name what has no address."""


@dataclass(frozen=True)
class Program:
    """A program of the machine.

    Members:
        code: its instructions, encoded; the last one is finish.
        layers: in their order; together all instructions but the last.
    """

    code: bytes
    layers: tuple[LayerSpan, ...]

    @cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        """The instructions, decoded."""
        return tuple(EncodedProgram(self.code))


@dataclass(frozen=True)
class Work:
    """A list of tasks, whose buffers no other list has.

    Members:
        table: the tasks; several works may share one, and its allocation.
        allocation: of the table.
        addresses: of its global buffers.
        layer: what its tasks belong to, whatever the table says; None: what the table says.
    """

    table: TaskTable
    allocation: Allocation
    addresses: Addresses
    layer: str | None = None


def assemble(
    table: TaskTable, config: Config, addresses: Addresses, region_bytes: Mapping[int, int]
) -> Program:
    """The program that does tasks as if one after the other, in their order.

    Args:
        table: the tasks of all layers.
        config: the machine.
        addresses: of each global buffer the base register and the offset in bytes.
        region_bytes: of each base register the bytes behind it.

    Raises:
        ProgramError: if a global buffer has no address.
        AllocationError: if the buffers of a layer do not fit the chip.
        CheckError: if the tasks are not sound: outside of their buffers, for instance.
    """
    return assemble_works([Work(table, Allocation(table, config), addresses)], config, region_bytes)


def assemble_works(works: Sequence[Work], config: Config, region_bytes: Mapping[int, int]) -> Program:
    """The program that does works one after the other; like `assemble`."""
    program = place_works(works, config)
    check_program(program, config, region_bytes)
    return program


def place_works(works: Sequence[Work], config: Config) -> Program:
    """The same, unchecked."""
    code = encode_table(add_tokens(_table(works, config), config))
    return Program(code, tuple(_spans(works)))


def check_program(program: Program, config: Config, region_bytes: Mapping[int, int]) -> None:
    """Refuse a program that is not sound: what is checked is what will run.

    Raises:
        CheckError: with all that is wrong.
    """
    code = program.code
    check(
        EncodedProgram(code), config, region_bytes=region_bytes, table=decode_table(code)
    ).raise_for_problems()


def _table(works: Sequence[Work], config: Config) -> ProgramTable:
    """The program with addresses and finish, without tokens."""
    chip, first = Chip(config), 0
    parts: dict[Opcode, list[ClassTable]] = {opcode: [] for opcode in Opcode}
    for work in works:
        addresses = chip.assign(work.allocation)
        for opcode, part in work.table.classes.items():
            parts[opcode].append(_placed(work, opcode, part, addresses, config, first))
        first += len(work.table)
    parts[Opcode.FINISH].append(ClassTable(np.array([first], np.int64), {}))
    classes = {opcode: _joined(opcode, tables) for opcode, tables in parts.items()}
    opcodes = np.zeros(first + 1, np.int64)
    for opcode, table in classes.items():
        opcodes[table.rows] = opcode
    none = np.zeros(len(opcodes), np.int64)
    version = np.full(len(opcodes), ISA_VERSION, np.int64)
    return ProgramTable(version, opcodes, none, none, none.astype(np.bool_), classes)


def _joined(opcode: Opcode, tables: Sequence[ClassTable]) -> ClassTable:
    """Tables of one class, one after the other."""
    none = np.zeros(0, np.int64)
    fields = {
        name: np.concatenate([none, *(table.fields[name] for table in tables)])
        for name in specs(KINDS[opcode])
    }
    return ClassTable(np.concatenate([none, *(table.rows for table in tables)]), fields)


def _placed(
    work: Work, opcode: Opcode, part: TaskClass, addresses: IntArray, config: Config, first: int
) -> ClassTable:
    """The instructions of one class with addresses on the chip and outside, from position `first` on."""
    fields = dict(part.table.fields)
    for name, instances in part.operands.items():
        units = config.slices if name == "activation" else 1
        there = instances >= 0
        fields[name] = (
            fields[name] + np.where(there, addresses[instances] if len(addresses) else 0, 0) * units
        )
    if opcode in (Opcode.LOAD, Opcode.STORE) and len(part.memory):
        bases = _addresses(work, opcode, part)
        # A load of padding alone reads nothing outside.
        reads = part.memory >= 0
        fields["base"] = np.where(reads, bases[part.memory, 0], fields["base"])
        fields["offset"] = fields["offset"] + np.where(reads, bases[part.memory, 1], 0)
    return ClassTable(part.table.rows + first, fields)


def _addresses(work: Work, opcode: Opcode, part: TaskClass) -> IntArray:
    """The base register and the offset of each global buffer of loads or stores, int64[memories, 2]."""
    memories = work.table.memories
    for number in dict.fromkeys(part.memory.tolist()):
        if number < 0 and opcode is Opcode.LOAD:
            continue
        if number < 0 or memories[number] not in work.addresses:
            name = None if number < 0 else memories[number].name
            row = int(part.table.rows[np.argmax(part.memory == number)])
            layer = next(span.name for span in work.table.layers if row < span.first + span.count)
            known = ", ".join(sorted(buffer.name for buffer in work.addresses)) or "none"
            text = f"layer {layer!r}: {opcode.name.lower()} must name a global buffer"
            raise ProgramError(f"{text} with an address ({known}), not {name}")
    found = [work.addresses.get(memory, (0, 0)) for memory in memories]
    return np.array(found or [(0, 0)], np.int64)


def _spans(works: Iterable[Work]) -> Iterable[LayerSpan]:
    """Layers by positions in the program; what follows one of the same name belongs to it."""
    counts = [(work.layer or span.name, span.count) for work in works for span in work.table.layers]
    first = 0
    for name, group in groupby(counts, key=lambda pair: pair[0]):
        count = sum(each for _, each in group)
        yield LayerSpan(name, first, count)
        first += count
