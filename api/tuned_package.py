"""Packages by records: the best points of all layers, as far as whole programs are faster with them.

Layers that are faster alone may hold each other up: one fetches less while the one before ends.
"""

from dataclasses import replace

from tilewright.api.device import machine_of
from tilewright.api.package import Package
from tilewright.api.records import TunedPoints
from tilewright.compiler.network.split import Part
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.isa.model import CONSTANTS, INPUTS
from tilewright.runtime.device import Environment
from tilewright.tune.record_index import Records


def tuned_package(
    package: Package, records: Records, latency_cycles: int = 16, device: str = "sim"
) -> Package:
    """A package by the best points in records; a program that is not faster as a whole stays as it is.

    Args:
        package: with programs by default schedules.
        records: of its layers.
        latency_cycles: of the memory.
        device: that runs the programs: "sim" or "rtl".
    """
    points = TunedPoints(records=records, config=package.config, latency_cycles=latency_cycles, device=device)
    parts = {value: _faster(part, points) for value, part in package.parts.items()}
    return replace(package, parts=parts)


def _faster(part: Part, points: TunedPoints) -> Part:
    """The faster of a program and the same with the points."""
    if not points.has_any(part.integers):
        return part
    model = compile_function(part.integers, points.config, choose=points)
    tuned = replace(part, model=model, is_tuned=True)
    cycles, tuned_cycles = (
        program_cycles(each, points.latency_cycles, points.device) for each in (part, tuned)
    )
    return tuned if tuned_cycles < cycles else part


def package_cycles(package: Package, latency_cycles: int, device: str = "sim") -> int:
    """Of all programs of a package, one sample."""
    return sum(program_cycles(part, latency_cycles, device) for part in package.parts.values())


def program_cycles(part: Part, latency_cycles: int, device: str = "sim") -> int:
    """Of a program, whose time no data changes."""
    executable = part.model.executable
    given = {each.base: bytes(each.size_bytes) for each in executable.regions if each.base == INPUTS}
    if part.model.constants:
        given[CONSTANTS] = part.model.constants
    machine, environment = machine_of(device, executable.config), Environment(latency=latency_cycles)
    return machine.run(executable, given, environment, check=False).cycles
