"""Which instructions of a program are undefined (docs/machine.md): as arrays for all, in words for one."""

from collections.abc import Iterator

import numpy as np

from tilewright.isa.config import Config
from tilewright.isa.encoding import BoolArray, IntArray, ProgramTable, decode_table, encode
from tilewright.isa.fault import DISPATCH_ORDER, Cause
from tilewright.isa.instruction import INSTRUCTIONS, ISA_VERSION, Instruction, Opcode
from tilewright.isa.rule import RULES, Columns, derive


def dispatch_faults(table: ProgramTable, config: Config) -> IntArray:
    """The cause of the fault of each instruction when it is dispatched, int64[n]; 0 if it is fine.

    A bus error while an instruction was fetched is not seen here.
    """
    found = {cause: np.zeros(len(table), np.bool_) for cause in DISPATCH_ORDER}
    found[Cause.ILLEGAL] |= _unknown(table) | table.stray | _misplaced(table)
    for kind in INSTRUCTIONS:
        columns = _columns(kind, table, config)
        for rule in RULES[kind]:
            found[rule.cause][table.classes[kind.opcode].rows] |= rule.broken(columns)
    result = np.zeros(len(table), np.int64)
    for cause in reversed(DISPATCH_ORDER):
        result[found[cause]] = cause
    return result


def explain(instruction: Instruction, config: Config) -> list[str]:
    """What makes an instruction undefined on a machine, one text for each reason; empty if nothing does.

    Its place in a program is not judged: `explain_row` does.
    """
    return list(_field_reasons(decode_table(encode(instruction)), 0, config))


def explain_row(table: ProgramTable, index: int, config: Config) -> list[str]:
    """What makes instruction `index` of a program undefined, its place included; empty if nothing does."""
    return [*_word_reasons(table, index), *_field_reasons(table, index, config)]


def _columns(kind: type[Instruction], table: ProgramTable, config: Config) -> Columns:
    part = table.classes[kind.opcode]
    header = {"wait": table.wait[part.rows], "signal": table.signal[part.rows]}
    return {**header, **part.fields, **derive(kind, part.fields, config)}


def _unknown(table: ProgramTable) -> BoolArray:
    return np.not_equal(table.version, ISA_VERSION) | ~np.isin(table.opcode, list(Opcode))


def _misplaced(table: ProgramTable) -> BoolArray:
    """Finish anywhere but at the end, anything else at the end."""
    last = np.arange(len(table)) == len(table) - 1
    result: BoolArray = (table.opcode == Opcode.FINISH) != last
    return result


def _word_reasons(table: ProgramTable, index: int) -> Iterator[str]:
    if table.version[index] != ISA_VERSION:
        yield f"version must be {ISA_VERSION}, not {table.version[index]}: assemble the program anew"
    if table.opcode[index] not in list(Opcode):
        yield f"opcode must be from {min(Opcode)} to {max(Opcode)}, not {table.opcode[index]}"
    if table.stray[index]:
        yield "bits that no field owns must be 0: the program is of another version, or damaged"
    if _misplaced(table)[index]:
        if table.opcode[index] == Opcode.FINISH:
            yield "finish must be the last instruction: remove it, or what follows"
        else:
            yield "the last instruction must be finish: add one"


def _field_reasons(table: ProgramTable, index: int, config: Config) -> Iterator[str]:
    for kind in INSTRUCTIONS:
        columns = _columns(kind, table, config)
        for place in np.flatnonzero(table.classes[kind.opcode].rows == index):
            here = {name: column[place : place + 1] for name, column in columns.items()}
            values = {name: int(column[0]) for name, column in here.items()}
            yield from (rule.text.format_map(values) for rule in RULES[kind] if rule.broken(here)[0])
