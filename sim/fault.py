"""The fault record of the core: the lowest (cycle, engine, instruction, cause)."""

from typing import Any

from tilewright.sim.compiled import compiled
from tilewright.sim.record import NEVER


@compiled
def report(state: Any, cycle: int, engine: int, instruction: int, cause: int) -> None:
    """Take note of a fault; one that never comes is none."""
    if cycle >= NEVER:
        return
    new = (cycle, engine, instruction, cause)
    old = (state.fault_cycle, state.fault_engine, state.fault_instruction, state.fault_cause)
    if new < old:
        state.fault_cycle, state.fault_engine = cycle, engine
        state.fault_instruction, state.fault_cause = instruction, cause
