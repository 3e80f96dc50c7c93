"""Units replaced by no-ops: what a program would take if one of them cost nothing.

A no-op keeps its place in the queue of its engine, its tokens, and the bytes that fetch reads for it. What is
left out is the work: cycles on the bus, in the array or in the lanes, and ports. No order between the other
instructions changes, so a sound program stays sound; what it computes means nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from tilewright.isa.encoding import encode_program
from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Instruction, Nop
from tilewright.isa.memory import Engine
from tilewright.runtime.device import DEFAULT_ENVIRONMENT, Device, DeviceResult, Environment

UNITS: Mapping[str, frozenset[Engine]] = MappingProxyType(
    {
        "dma": frozenset({Engine.LOAD, Engine.STORE}),
        "matrix": frozenset({Engine.MATRIX}),
        "vector": frozenset({Engine.VECTOR}),
        "load": frozenset({Engine.LOAD}),
        "store": frozenset({Engine.STORE}),
    }
)
"""What can be replaced, by name."""
EACH = ("dma", "matrix", "vector")
"""Those that together are everything."""


def ablated(program: Sequence[Instruction], unit: str) -> tuple[Instruction, ...]:
    """The program with a no-op in place of each instruction of a unit.

    Raises:
        TilewrightError: if the unit is none of `UNITS`.
    """
    if unit not in UNITS:
        raise TilewrightError(f"unit must be one of {', '.join(UNITS)}, not {unit!r}")
    return tuple(_ablated(each) if each.engine in UNITS[unit] else each for each in program)


def ablated_executable(executable: Executable, unit: str) -> Executable:
    """The executable whose program has no-ops in place of a unit.

    Raises:
        TilewrightError: if the unit is none of `UNITS`.
        InstructionError: if some instructions have no meaning.
    """
    return replace(executable, code=encode_program(ablated(executable.program(), unit)))


def run_without(
    unit: str,
    device: Device,
    executable: Executable,
    regions: Mapping[int, bytes],
    environment: Environment = DEFAULT_ENVIRONMENT,
) -> DeviceResult:
    """Run a program without a unit, for its cycles: the bytes that it leaves mean nothing.

    Args:
        unit: one of `UNITS`.
        device, executable, regions, environment: as in `Device.run`; regions without bytes are all 0.

    Raises:
        TilewrightError: if the unit is unknown, or the program ends with a fault.
        LoadError, CheckError, InstructionError: as in `Device.run`.
    """
    # What the program wrote before it read it is read only, now that nothing writes it.
    blank = {region.base: bytes(region.size_bytes) for region in executable.regions}
    result = device.run(ablated_executable(executable, unit), {**blank, **regions}, environment)
    if result.fault is not None:
        name, cycle = result.fault.cause.name, result.fault.cycle
        raise TilewrightError(f"without {unit}, it must run to its end, not to fault {name} in cycle {cycle}")
    return result


def _ablated(instruction: Instruction) -> Instruction:
    engine = instruction.engine
    assert engine is not None, "finish is of no unit"
    return Nop(runs_on=engine, wait=instruction.wait, signal=instruction.signal)
