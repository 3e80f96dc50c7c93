"""What the simulator says of one program."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tilewright.isa.assembly import format_instruction
from tilewright.isa.config import INSTRUCTION_BYTES, Config
from tilewright.isa.encoding import IntArray, ProgramTable, decode
from tilewright.isa.error import TilewrightError
from tilewright.isa.fault import Cause, Fault, FaultEngine
from tilewright.isa.instruction import InstructionError
from tilewright.isa.legality import explain_row
from tilewright.isa.memory import Engine
from tilewright.sim.counters import EngineCounters
from tilewright.sim.executor import operations
from tilewright.sim.record import Records
from tilewright.sim.timeline import Timeline
from tilewright.sim.trace import InstructionTrace, instruction_traces


class ProgramFaultError(TilewrightError):
    """A program that ended with a fault.

    Members:
        fault: the record.
    """

    def __init__(self, fault: Fault, text: str) -> None:
        self.fault = fault
        super().__init__(text)


@dataclass(frozen=True, kw_only=True)
class SimResult:
    """One run of a program of n instructions.

    Members:
        config: the machine.
        code: the program.
        table: the program as arrays.
        timeline: when everything happened.
        engines: the cycles of each engine by what it did in them.
    """

    config: Config
    code: bytes
    table: ProgramTable
    timeline: Timeline
    engines: Mapping[Engine, EngineCounters]

    @property
    def cycles(self) -> int:
        """From cycle 0 to the end of the program, both included."""
        return self.timeline.cycles

    @property
    def fault(self) -> Fault | None:
        """What stopped the program; None if it finished."""
        return self.timeline.fault

    @property
    def dispatched(self) -> IntArray:
        """int64[n]: the cycle in which each instruction was dispatched to its queue; -1: never."""
        return self.timeline.dispatched

    @property
    def start(self) -> IntArray:
        """int64[n]: the cycle in which each instruction started; -1: never."""
        return self.timeline.start

    @property
    def finish(self) -> IntArray:
        """int64[n]: the cycle in which each instruction finished; -1: never."""
        return self.timeline.finish

    @cached_property
    def operations(self) -> Records:
        """What the instructions that started do to data."""
        return operations(self.table, np.greater_equal(self.timeline.start, 0))

    @property
    def counters(self) -> Mapping[str, int]:
        """The machine's counters by the names of their host registers, `cycles` apart."""
        named = {
            f"{engine.label}_{name}": value
            for engine, counts in self.engines.items()
            for name, value in counts._asdict().items()
        }
        return named | self.bytes

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes on the bus: `fetch_bytes`, `load_bytes`, `store_bytes`."""
        fetch, load, store = self.timeline.traffic
        return {"fetch_bytes": fetch, "load_bytes": load, "store_bytes": store}

    def utilization(self, macs: int) -> float:
        """The part of the array's products that `macs` useful ones are: macs / (cycles · rows · cols)."""
        return macs / (self.cycles * self.config.peak_macs)

    def trace(self) -> tuple[InstructionTrace, ...]:
        """Each instruction that was dispatched, with what it waited for."""
        return instruction_traces(self.timeline)

    def instruction_text(self, index: int) -> str:
        """An instruction as a line of text; undefined ones say so."""
        try:
            return format_instruction(decode(self.code[index * INSTRUCTION_BYTES :][:INSTRUCTION_BYTES]))
        except InstructionError:
            return "an undefined instruction"

    def explain_fault(self) -> str:
        """What happened, in words; empty without a fault."""
        fault = self.fault
        if fault is None:
            return ""
        where = f"cycle {fault.cycle}: {fault.engine.name.lower()}: "
        if fault.engine == FaultEngine.SYSTEM or fault.instruction >= len(self.table):
            dispatched = (
                f", after {fault.instruction} instructions were dispatched" if len(self.table) else ""
            )
            return f"{where}{fault.cause.text}{dispatched}"
        text = f"instruction {fault.instruction} ({self.instruction_text(fault.instruction)})"
        if fault.cause == Cause.CONFIG:
            return f"{where}{fault.cause.text}; this one is {self.config.digest().hex()}"
        reasons = explain_row(self.table, fault.instruction, self.config)
        return f"{where}{text}: {'; '.join([fault.cause.text, *reasons])}"

    def raise_for_fault(self) -> None:
        """Refuse to go on after a fault.

        Raises:
            ProgramFaultError: naming instruction and cause.
        """
        if self.fault is not None:
            raise ProgramFaultError(self.fault, self.explain_fault())
