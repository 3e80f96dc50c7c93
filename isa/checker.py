"""Checks a program before it runs: what is undefined, out of range, stuck, or decided by chance.

A program that passes computes the same on every machine of its configuration, whatever the time of the memory
outside: what it means (`isa.semantics`) in the order of its instructions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

import numpy as np

from tilewright.isa.access_table import OUTSIDE, access_table
from tilewright.isa.address import DESTINATION_MEMORY, vector_results
from tilewright.isa.assembly import format_instruction
from tilewright.isa.config import Config
from tilewright.isa.encoding import BoolArray, IntArray, ProgramTable, decode_table, encode_program
from tilewright.isa.error import TilewrightError
from tilewright.isa.footprint import NOWHERE, Access, footprint, memory_codes
from tilewright.isa.hazard import Hazard, find_hazards
from tilewright.isa.instruction import Instruction, Opcode, Vector
from tilewright.isa.legality import dispatch_faults, explain_row
from tilewright.isa.memory import Memory
from tilewright.isa.operand import DESTINATION, SOURCES
from tilewright.isa.order import Leftover, Order, Wait, find_order

KIND_LIMIT = 1000
"""Hazards and undefined instructions that are explained: one missing token can make millions of hazards."""
SHOWN_PROBLEMS = 20


class ProblemKind(StrEnum):
    """What is wrong with a program."""

    UNDEFINED = "undefined"
    ADDRESS = "address"
    REGION = "region"
    IN_PLACE = "in place"
    DEADLOCK = "deadlock"
    TOKEN = "token"
    HAZARD = "hazard"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Members:
        kind: what sort of thing.
        instructions: the places in the program of those concerned.
        text: one line: what, where, and what to do.
    """

    kind: ProblemKind
    instructions: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class CheckError(TilewrightError):
    """A program that must not run.

    Members:
        problems: everything that is wrong with it.
    """

    def __init__(self, report: "CheckReport") -> None:
        self.problems = report.problems
        super().__init__(report.format())


@dataclass(frozen=True)
class CheckReport:
    """What the checker found.

    Members:
        problems: in the order of the checks, then of the program; of some kinds the first `KIND_LIMIT`.
    """

    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def format(self, limit: int = SHOWN_PROBLEMS) -> str:
        """One line for each of the first `limit` problems, and how many there are besides."""
        lines = [str(problem) for problem in self.problems[:limit]]
        if len(self.problems) > limit:
            lines.append(f"and {len(self.problems) - limit} more problems")
        return "\n".join(lines) or "no problems"

    def raise_for_problems(self) -> None:
        """Refuse the program.

        Raises:
            CheckError: if anything is wrong.
        """
        if self.problems:
            raise CheckError(self)


def check(
    program: Sequence[Instruction],
    config: Config,
    *,
    region_bytes: Mapping[int, int] | None = None,
    table: ProgramTable | None = None,
) -> CheckReport:
    """Everything that is wrong with a program.

    Args:
        program: the instructions; which ones, is asked only of those that something is wrong with.
        config: the machine.
        region_bytes: the bytes behind each base register; without it, ends of regions are not checked.
        table: the program as arrays, where it is known; else it is made.
    """
    if table is None:
        table = decode_table(encode_program(program))
    return CheckReport(tuple(_Check(program, config, region_bytes, table).problems()))


class _Check:
    """One program under check."""

    def __init__(
        self,
        program: Sequence[Instruction],
        config: Config,
        region_bytes: Mapping[int, int] | None,
        table: ProgramTable,
    ) -> None:
        self.table = table
        self.program = program
        self.config = config
        self.region_bytes = region_bytes
        self.accesses = access_table(table, config)

    def problems(self) -> Iterator[Problem]:
        yield from self._undefined()
        for number in np.flatnonzero(self._leaves_its_place()).tolist():
            yield from self._out_of_range(int(self.accesses.row[number]), self.accesses.access(number))
        for index in self._maybe_in_place().tolist():
            vector = self.program[index]
            assert isinstance(vector, Vector), "of its class"
            yield from self._in_place(index, vector)
        order = find_order(self.table, self.config)
        yield from (self._deadlock(chain) for chain in order.deadlocks)
        yield from (self._leftover(leftover) for leftover in order.leftovers)
        yield from self._hazards(order)

    def _name(self, index: int) -> str:
        return f"instruction {index} ({format_instruction(self.program[index])})"

    # --- one instruction -----------------------------------------------------------------------------------

    def _undefined(self) -> Iterator[Problem]:
        if not self.program:
            yield Problem(ProblemKind.UNDEFINED, (), "a program must end with finish, not be empty")
            return
        for index in map(int, np.flatnonzero(dispatch_faults(self.table, self.config))[:KIND_LIMIT]):
            for reason in explain_row(self.table, index, self.config):
                yield Problem(ProblemKind.UNDEFINED, (index,), f"{self._name(index)}: {reason}")

    def _leaves_its_place(self) -> BoolArray:
        """Of each access, whether it leaves its bank, or what is behind its base register."""
        accesses, config = self.accesses, self.config
        depth = np.array([*(config.depth(each) for each in Memory), 0])[accesses.memory]
        first = accesses.bank * depth
        end = np.where(accesses.memory == OUTSIDE, self._region_ends(), first + depth)
        leaves: BoolArray = (accesses.low < first) | (accesses.high >= end)
        return leaves & (accesses.low <= accesses.high)

    def _region_ends(self) -> IntArray:
        """Of each access, the bytes behind the base register that its bank would be."""
        bank = self.accesses.bank
        if self.region_bytes is None:
            return self.accesses.high + 1
        sizes = np.zeros(bank.max(initial=0) + 1, np.int64)
        for base, size in self.region_bytes.items():
            sizes[base : base + 1] = size
        return sizes[bank]

    def _out_of_range(self, index: int, access: Access) -> Iterator[Problem]:
        low, high = access.bounds
        if high < low:
            return
        if access.memory is not None:
            depth = self.config.depth(access.memory)
            first = access.bank * depth
            if low < first or high >= first + depth:
                text = f"vectors {low} to {high} of {access.memory.label} must lie in one bank"
                where = f"bank {access.bank} is {first} to {first + depth - 1}"
                yield Problem(ProblemKind.ADDRESS, (index,), f"{self._name(index)}: {text}, {where}")
        elif reason := self._region_reason(access, low, high):
            yield Problem(ProblemKind.REGION, (index,), f"{self._name(index)}: {reason}")

    def _region_reason(self, access: Access, low: int, high: int) -> str:
        """Why bytes low … high are not what a base register gives; empty if they are."""
        base = access.bank
        if self.region_bytes is not None and base not in self.region_bytes:
            return f"base register {base} must have a region: declare it with its size"
        size_bytes = high + 1 if self.region_bytes is None else self.region_bytes[base]
        if low >= 0 and high < size_bytes:
            return ""
        end = "" if self.region_bytes is None else f" of {size_bytes} bytes"
        return f"bytes {low} to {high} must lie in the region of base register {base}{end}"

    def _maybe_in_place(self) -> IntArray:
        """The vector instructions that read a bank of the memory that they write."""
        part, config = self.table.classes[Opcode.VECTOR], self.config
        fields = part.fields
        written = memory_codes(Vector, DESTINATION, fields)
        depth = np.array([*(config.depth(each) for each in Memory), 1])[written]
        bank = fields[DESTINATION.address] // depth
        reads = np.zeros(len(part.rows), np.bool_)
        for source in SOURCES:
            same = memory_codes(Vector, source, fields) == written
            reads |= same & (fields[source.address] // depth == bank)
        rows: IntArray = part.rows[reads & (written != NOWHERE)]
        return rows

    def _in_place(self, index: int, vector: Vector) -> Iterator[Problem]:
        """In place, a second visit reads what the first one wrote or not, as the pipeline has it."""
        *sources, destination = footprint(vector, self.config)
        memory, results = DESTINATION_MEMORY[vector.to], vector_results(vector)
        in_place = any((a.memory, a.bank) == (destination.memory, destination.bank) for a in sources)
        if memory is None or not in_place or results.surely_distinct():
            return
        places, visits = np.unique(results.addresses(), return_counts=True)
        if visits.max() > 1:
            place = f"{memory.label} vector {places[visits > 1][0]}"
            text = f"in place, every vector must be visited once, not {place} {visits.max()} times"
            yield Problem(ProblemKind.IN_PLACE, (index,), f"{self._name(index)}: {text}")

    # --- tokens --------------------------------------------------------------------------------------------

    def _deadlock(self, chain: Sequence[Wait]) -> Problem:
        waits = "; ".join(f"{self._name(wait.instruction)} waits for {wait.text}" for wait in chain)
        return Problem(ProblemKind.DEADLOCK, tuple(wait.instruction for wait in chain), waits)

    def _leftover(self, leftover: Leftover) -> Problem:
        giver, taker, count = leftover.giver.label, leftover.taker.label, len(leftover.instructions)
        what = f"{count} token{'s' * (count > 1)} from {giver} to {taker} must be taken"
        last = f"the last one is given by {self._name(leftover.instructions[-1])}"
        remedy = f"remove the signal, or let an instruction of {taker} wait for {giver}"
        return Problem(ProblemKind.TOKEN, leftover.instructions, f"{what}; {last}: {remedy}")

    def _hazards(self, order: Order) -> Iterator[Problem]:
        for hazard in islice(find_hazards(self.accesses, order), KIND_LIMIT):
            yield Problem(ProblemKind.HAZARD, (hazard.first, hazard.second), self._hazard_text(hazard, order))

    def _hazard_text(self, hazard: Hazard, order: Order) -> str:
        giver, taker = order.engines[hazard.first], order.engines[hazard.second]
        assert giver is not None
        assert taker is not None
        verbs = ["writes" if access.write else "reads" for access in (hazard.earlier, hazard.later)]
        unit = hazard.later.unit
        common = (
            f"{unit} {hazard.low}"
            if hazard.low == hazard.high
            else (f"{unit}s {hazard.low} to {hazard.high}")
        )
        relation = "tokens let it run before" if hazard.reversed else "nothing orders it after"
        return (
            f"{self._name(hazard.second)} {verbs[1]} {common} of {hazard.later.place}, and {relation} "
            f"{self._name(hazard.first)}, which {verbs[0]} the same: missing token from {giver.label} "
            f"(signal in {hazard.first} or later) to {taker.label} (wait in {hazard.second} or earlier)"
        )
