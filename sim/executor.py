"""What programs do to data, in compiled code; what is unusual of it is left to `isa.semantics`.

`isa.semantics` is the meaning. This does the same to instructions whose operands lie where they should, and
says of any other that it has not begun with it.
"""

from collections.abc import Callable

import numpy as np

from tilewright.isa.encoding import BoolArray, ProgramTable
from tilewright.isa.instruction import INSTRUCTIONS, Opcode, specs
from tilewright.isa.semantics import execute_fields
from tilewright.isa.state import Dram, State
from tilewright.sim.chip import INSTRUCTION, ChipRecord, chip_of
from tilewright.sim.compiled import data_entry, source_stamp
from tilewright.sim.data_matrix import matrix
from tilewright.sim.data_transfer import load, store
from tilewright.sim.data_vector import vector
from tilewright.sim.record import Records, put_fields, signed

_NAMES = {kind.opcode: tuple(specs(kind)) for kind in INSTRUCTIONS}
_LOAD, _STORE, _MATRIX, _VECTOR = (
    np.int64(opcode) for opcode in (Opcode.LOAD, Opcode.STORE, Opcode.MATRIX, Opcode.VECTOR)
)


def operations(table: ProgramTable, chosen: BoolArray) -> Records:
    """The chosen instructions, bool[n], that do something to data, in their order; they must be defined."""
    result = np.zeros(len(table), INSTRUCTION)
    result["opcode"] = table.opcode
    moving = np.zeros(len(table), np.bool_)
    put_fields(result, table)
    for opcode in Opcode:
        if opcode in (Opcode.NOP, Opcode.FINISH):
            continue
        moving[table.classes[opcode].rows] = True
    kept = moving & chosen
    return result if kept.all() else result[kept]


class Executor:
    """Executes instructions on a chip."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._chip = chip_of(state)

    def apply(self, done: Records, outside: Dram) -> None:
        """Do what instructions do, in their order, to the chip and to the memory outside."""
        bases = np.array([signed(base) for base in outside.bases], np.int64)
        chip = self._chip._replace(dram=outside.data, bases=bases)
        place = 0
        while (place := _execute(chip, done, place)[0]) < len(done):
            execute_one(done[place], self._state, outside)
            place += 1


def fields_of(operation: np.void) -> dict[str, int]:
    """The fields of an instruction by their names."""
    return {name: int(operation[name]) for name in _NAMES[Opcode(operation["opcode"])]}


def execute_one(operation: np.void, state: State, outside: Dram) -> None:
    """Do what an instruction means."""
    execute_fields(int(operation["opcode"]), fields_of(operation), state, outside)


def _entry(stamp: str) -> Callable[[ChipRecord, Records, int], tuple[int, str]]:
    @data_entry
    def execute(m: ChipRecord, program: Records, place: int) -> tuple[int, str]:
        while place < len(program):
            r = program[place]
            if r.opcode == _LOAD:
                done = load(m, r)
            elif r.opcode == _STORE:
                done = store(m, r)
            elif r.opcode == _MATRIX:
                done = matrix(m, r)
            else:
                done = r.opcode == _VECTOR and vector(m, r)
            if not done:
                break
            place += 1
        # The stamp is part of what numba keeps the code by: code of older sources is not found.
        return place, stamp

    return execute


_execute = _entry(source_stamp())
"""Execute from a place on; the place of the first instruction that is left to others, or the end."""
