"""What a whole program touches, as arrays: the accesses of `footprint`, without a loop over instructions."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.address import (
    AddressLoops,
    load_block,
    matrix_results,
    matrix_slices,
    matrix_weights,
    memory_block,
    store_block,
    vector_a,
    vector_b,
    vector_parameters,
    vector_results,
)
from tilewright.isa.config import Config
from tilewright.isa.encoding import BoolArray, ClassTable, IntArray, ProgramTable
from tilewright.isa.footprint import NOWHERE, Access, memory_codes
from tilewright.isa.instruction import Opcode, Vector
from tilewright.isa.memory import Memory, Port
from tilewright.isa.operand import OPERANDS

OUTSIDE = len(Memory)
"""In place of a memory on the chip: the memory outside."""
_NOWHERE = OUTSIDE + 1
"""In place of a memory: a constant, a table, parameters that are not used."""
_LOOPS = 5
"""Of an access at most."""


@dataclass(frozen=True)
class AccessTable:
    """The m accesses of a program, in the order of its instructions; `Access` says what each member means.

    Members:
        row: int64[m], places of their instructions in the program, ascending.
        memory: int64[m], `OUTSIDE` for the memory outside.
        bank: int64[m], bank or base register.
        write: bool[m].
        low, high: int64[m], the bounds of each; high < low where nothing is touched.
        first, length, slices: int64[m].
        counts, strides: int64[m, 5], loops of the nest; those that it lacks have one step.
    """

    row: IntArray
    memory: IntArray
    bank: IntArray
    write: BoolArray
    low: IntArray
    high: IntArray
    first: IntArray
    length: IntArray
    slices: IntArray
    counts: NDArray[np.int64]
    strides: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def _made(self) -> dict[int, Access]:
        return {}

    def access(self, number: int) -> Access:
        """One of them; always the same object."""
        if number not in self._made:
            nest = AddressLoops(
                int(self.first[number]),
                tuple(self.counts[number].tolist()),
                tuple(self.strides[number].tolist()),
            )
            memory = int(self.memory[number])
            self._made[number] = Access(
                memory=None if memory == OUTSIDE else Memory(memory),
                bank=int(self.bank[number]),
                write=bool(self.write[number]),
                nest=nest,
                length=int(self.length[number]),
                slices=int(self.slices[number]),
            )
        return self._made[number]


def access_table(table: ProgramTable, config: Config) -> AccessTable:
    """`footprint` of every instruction of a program; of undefined instructions it may be anything."""
    blocks = [_columns(block, config) for block in _blocks(table, config)]
    stacked = {
        each.name: np.concatenate([block[each.name] for block in blocks]) for each in fields(AccessTable)
    }
    # Stable: the operands of an instruction stay in their order.
    order = np.argsort(stacked["row"], kind="stable")
    return AccessTable(**{name: column[order] for name, column in stacked.items()})


class _Block(NamedTuple):
    """One operand of all instructions of a class, whose numbers may be arrays.

    Members:
        rows: of the instructions.
        memory: `_NOWHERE` where the operand is missing.
        write, nest, length, slices: as in `Access`.
        base: the base register, in the memory outside.
    """

    rows: IntArray
    memory: Any
    write: bool
    nest: AddressLoops
    length: Any = 1
    slices: int = 1
    base: Any = 0


def _blocks(table: ProgramTable, config: Config) -> Iterator[_Block]:
    """The operands, in the order of `footprint` for each instruction."""
    yield from _transfer_blocks(table.classes[Opcode.LOAD], config, write=True)
    yield from _transfer_blocks(table.classes[Opcode.STORE], config, write=False)
    yield from _matrix_blocks(table.classes[Opcode.MATRIX], config)
    yield from _vector_blocks(table.classes[Opcode.VECTOR])


def _named(part: ClassTable) -> Any:
    """An instruction whose fields are columns."""
    return SimpleNamespace(**part.fields)


def _transfer_blocks(part: ClassTable, config: Config, *, write: bool) -> Iterator[_Block]:
    transfer = _named(part)
    chip = load_block(transfer) if write else store_block(transfer)
    yield _Block(part.rows, transfer.memory, write, chip)
    vector_bytes = np.array([config.vector_bytes(memory) for memory in Memory])
    length = vector_bytes[transfer.memory] if write else transfer.bytes
    yield _Block(part.rows, OUTSIDE, not write, memory_block(transfer), length, base=transfer.base)


def _matrix_blocks(part: ClassTable, config: Config) -> Iterator[_Block]:
    matrix = _named(part)
    yield _Block(part.rows, Memory.ACTIVATION, False, matrix_slices(matrix), slices=config.slices)
    yield _Block(part.rows, Memory.WEIGHT, False, matrix_weights(matrix, config))
    yield _Block(part.rows, Memory.ACCUMULATOR, True, matrix_results(matrix))


def _vector_blocks(part: ClassTable) -> Iterator[_Block]:
    vector = _named(part)
    nests = (vector_a(vector), vector_b(vector), vector_parameters(vector), vector_results(vector))
    for row, nest in zip(OPERANDS[Vector], nests, strict=True):
        codes = memory_codes(Vector, row, part.fields)
        memory = np.where(codes == NOWHERE, _NOWHERE, codes)
        yield _Block(part.rows, memory, Port.WRITE in row.ports, nest)


def _columns(block: _Block, config: Config) -> dict[str, NDArray[Any]]:
    """The columns of a block, where the operand is there."""
    size = len(block.rows)
    counts, strides = np.ones((size, _LOOPS), np.int64), np.zeros((size, _LOOPS), np.int64)
    for loop, (count, stride) in enumerate(zip(block.nest.counts, block.nest.strides, strict=True)):
        counts[:, loop], strides[:, loop] = count, stride
    first, length = (np.broadcast_to(column, size) for column in (block.nest.first, block.length))
    memory = np.broadcast_to(block.memory, size)
    low, high = _bounds(first, counts, strides, length, block.slices)
    depth = np.array([*(config.depth(each) for each in Memory), 1, 1])[memory]
    chip = memory < OUTSIDE
    columns = {
        "row": block.rows,
        "memory": memory,
        "bank": np.where(chip, first // block.slices // depth, block.base),
        "write": np.full(size, block.write),
        "low": low,
        "high": high,
        "first": first,
        "length": length,
        "slices": np.full(size, block.slices, np.int64),
        "counts": counts,
        "strides": strides,
    }
    there = memory != _NOWHERE
    return {name: column[there] for name, column in columns.items()}


def _bounds(
    first: IntArray,
    counts: NDArray[np.int64],
    strides: NDArray[np.int64],
    length: IntArray,
    slices: int,
) -> tuple[IntArray, IntArray]:
    """`Access.bounds` of each."""
    reach = (counts - 1) * strides
    low = (first + np.minimum(reach, 0).sum(axis=1)) // slices
    high = (first + np.maximum(reach, 0).sum(axis=1) + length - 1) // slices
    empty = (counts == 0).any(axis=1)
    low = np.where(empty, first // slices, low)
    return low, np.where(empty, first - 1, high)
