"""The rules that an instruction breaks when it is undefined, as one table for each class.

A rule sees k instructions of its class at once, as columns: their fields and what follows from these with a
Config. Bank numbers of addresses beyond a memory go on counting, so that they equal no bank of the memory.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from types import MappingProxyType

import numpy as np

from tilewright.isa.config import Config
from tilewright.isa.encoding import BoolArray, IntArray
from tilewright.isa.fault import Cause
from tilewright.isa.footprint import NOWHERE, memory_codes
from tilewright.isa.instruction import (
    ENGINE_OF,
    INSTRUCTIONS,
    Destination,
    Finish,
    Instruction,
    Load,
    Matrix,
    Nop,
    ReduceMode,
    SourceB,
    Store,
    Vector,
    VectorOp,
    specs,
)
from tilewright.isa.memory import Memory
from tilewright.isa.operand import DESTINATION, OPERANDS, SOURCES, OperandField, in_place

Columns = Mapping[str, IntArray]
"""Header masks, fields and derived values of k instructions of one class, each int64[k]."""

_Broken = Callable[[Columns], BoolArray]


@dataclass(frozen=True)
class Rule:
    """What an instruction must not be.

    Members:
        broken: columns of k instructions -> bool[k].
        text: what is wrong and what to do, a format string over the columns.
        cause: ILLEGAL, or ADDRESS.
    """

    broken: _Broken
    text: str
    cause: Cause = Cause.ILLEGAL


def derive(kind: type[Instruction], fields: Columns, config: Config) -> Columns:
    """What the rules of a class need beside its fields: sizes of the memories concerned, bank numbers."""
    return _DERIVED[kind](fields, config) if kind in _DERIVED else {}


# --- derived columns ---------------------------------------------------------------------------------------


def _by_memory(memory: IntArray, value: Callable[[Memory], int]) -> IntArray:
    """`value` of each element's memory, 0 for NOWHERE."""
    return np.array([*map(value, Memory), 0], np.int64)[memory]


def _derive_block(fields: Columns, config: Config) -> Columns:
    sizes = {
        "vectors": config.vectors,
        "vector_bytes": config.vector_bytes,
        "transfer_bytes": config.transfer_bytes,
    }
    return {name: _by_memory(fields["memory"], size) for name, size in sizes.items()}


def _derive_operands(kind: type[Instruction], fields: Columns, config: Config) -> Columns:
    """Memory, bank and end of each operand."""
    columns: dict[str, IntArray] = {}
    for row in OPERANDS[kind]:
        memory, unit = memory_codes(kind, row, fields), config.slices if row.in_slices else 1
        columns[f"{row.address}_memory"] = memory
        depth = unit * np.maximum(_by_memory(memory, config.depth), 1)
        columns[f"{row.address}_bank"] = fields[row.address] // depth
        columns[f"{row.address}_end"] = unit * _by_memory(memory, config.vectors)
    return columns


_DERIVED: Mapping[type[Instruction], Callable[[Columns, Config], Columns]] = {
    Load: _derive_block,
    Store: _derive_block,
    Matrix: partial(_derive_operands, Matrix),
    Vector: partial(_derive_operands, Vector),
}

# --- rules that follow from the table of fields -----------------------------------------------------------


def _choice_rules(kind: type[Instruction]) -> Iterator[Rule]:
    for name, spec in specs(kind).items():
        if spec.values is not None:
            known = ", ".join(f"{item.value} ({item.name.lower()})" for item in spec.values)
            yield Rule(_not_among(name, spec.values), f"{name} must be one of {known}, not {{{name}}}")


def _not_among(name: str, values: type[IntEnum]) -> _Broken:
    known = [item.value for item in values]
    return lambda c: ~np.isin(c[name], known)


def _count_rules(kind: type[Instruction]) -> Iterator[Rule]:
    """Each count alone, but in a load those of a padded side together with their pads."""
    sides = _PADDED if kind is Load else {}
    for name in specs(kind):
        if name.startswith("n_"):
            names = (name, *sides.get(name, ()))
            what = " + ".join(names)
            yield Rule(_all_zero(names), f"{what} must be at least 1, not 0: every loop runs at least once")


_PADDED = {"n_y": ("pad_top", "pad_bottom"), "n_x": ("pad_left", "pad_right")}


def _all_zero(names: tuple[str, ...]) -> _Broken:
    return lambda c: np.all([c[name] == 0 for name in names], axis=0)


def _token_rules(kind: type[Instruction]) -> Iterator[Rule]:
    for name in ("wait", "signal"):
        if kind is Finish:
            yield Rule(_token_given(name), f"{name} must be empty: finish waits for every engine anyway")
        else:
            text = f"{name} must name other engines only: the own engine runs in order anyway"
            yield Rule(_own_token(kind, name), text)


def _token_given(name: str) -> _Broken:
    return lambda c: c[name] != 0


def _own_token(kind: type[Instruction], name: str) -> _Broken:
    if kind is Nop:
        return lambda c: (c[name] >> c["runs_on"] & 1) != 0
    engine = ENGINE_OF[kind.opcode]
    return lambda c: (c[name] >> engine & 1) != 0


# --- rules of each class ----------------------------------------------------------------------------------


def _outside(address: str, end: str) -> Rule:
    """The first address of an operand lies beyond its memory (end 0: the operand is not used)."""
    text = f"{address} must be below {{{end}}}, the end of its memory, not {{{address}}}"
    return Rule(lambda c: (c[end] > 0) & (c[address] >= c[end]), text, Cause.ADDRESS)


def _unaligned(name: str) -> Rule:
    text = f"{name} must be a multiple of {{transfer_bytes}} bytes (a vector or the bus), not {{{name}}}"
    return Rule(lambda c: c[name] % np.maximum(c["transfer_bytes"], 1) != 0, text)


def _same_bank(one: str, other: str, c: Columns) -> BoolArray:
    used = np.not_equal(c[f"{one}_memory"], NOWHERE)
    same_memory = np.equal(c[f"{one}_memory"], c[f"{other}_memory"])
    return used & same_memory & np.equal(c[f"{one}_bank"], c[f"{other}_bank"])


def _reduces(c: Columns) -> BoolArray:
    return np.not_equal(c["n_2"], 1) | np.not_equal(c["n_3"], 1)


def _overwrites(source: OperandField) -> Rule:
    """The destination lies in a source's bank without being that source's block, item for item."""
    allowed = in_place(source)

    def broken(c: Columns) -> BoolArray:
        elsewhere = [np.not_equal(c[mine], c[its]) for mine, its in allowed.equal]
        several = [np.not_equal(c[count], 1) for count in allowed.single]
        other_block: BoolArray = np.any([*elsewhere, *several], axis=0)
        return _same_bank(DESTINATION.address, source.address, c) & other_block

    text = (
        f"destination must lie in another bank than {source.address} (both in {{{source.address}_bank}}), or "
        f"be in place: the address and outer strides of {source.address}, {' = '.join(allowed.single)} = 1"
    )
    return Rule(broken, text)


_BLOCK = (
    *(_unaligned(name) for name in ("offset", "stride_z", "stride_y", "stride_x")),
    _outside("address", "vectors"),
)

_OF_CLASS: Mapping[type[Instruction], tuple[Rule, ...]] = {
    Load: _BLOCK,
    Store: (
        Rule(
            lambda c: (c["bytes"] < 1) | (c["bytes"] > c["vector_bytes"]),
            "bytes must be from 1 to {vector_bytes}, the bytes of a vector, not {bytes}",
        ),
        *_BLOCK,
    ),
    Matrix: tuple(_outside(row.address, f"{row.address}_end") for row in OPERANDS[Matrix]),
    Vector: (
        Rule(
            lambda c: (c["op"] == VectorOp.PASS) & (c["b_from"] != SourceB.CONSTANT),
            "b_from must be constant with op = pass: pass has no b",
        ),
        Rule(
            lambda c: (c["reduce"] == ReduceMode.NONE) & _reduces(c),
            "n_2 and n_3 must be 1 with reduce = none, not {n_2} and {n_3}: name how they are reduced",
        ),
        Rule(
            lambda c: _same_bank("a", "b", c),
            "a and b must lie in different banks, not both in bank {a_bank}: a bank has one read port",
        ),
        *map(_overwrites, SOURCES),
        Rule(
            lambda c: (c["lookup"] != 0) & (c["to"] == Destination.TABLE),
            "lookup must be 0 with to = table: a table is not written through itself",
        ),
        *(_outside(row.address, f"{row.address}_end") for row in OPERANDS[Vector]),
    ),
}

RULES: Mapping[type[Instruction], tuple[Rule, ...]] = MappingProxyType(
    {
        kind: (*_choice_rules(kind), *_count_rules(kind), *_token_rules(kind), *_OF_CLASS.get(kind, ()))
        for kind in INSTRUCTIONS
    }
)
"""Every rule for the instructions of each class, those that follow from the table of fields first."""
