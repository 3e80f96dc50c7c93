"""`tilewright run --ablate`: what a program or a model would take without one of the units."""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewright.cli.kind import Kind, kind_of
from tilewright.cli.machine import CPU, config_name, make_device
from tilewright.cli.option import PROGRAM_OPTIONS, refuse_options
from tilewright.cli.run_model import read_given, refuse_model_options
from tilewright.cli.run_program import read_with_memory
from tilewright.cli.run_timeline import draw_timeline, refuse_timeline
from tilewright.cli.table import format_table
from tilewright.cli.terminal import cycle_progress, say

if TYPE_CHECKING:
    from tilewright.isa.executable import Executable
    from tilewright.runtime.device import DeviceResult, Environment

EACH = "each"
NOTE = "Without a unit results mean nothing: none is compared or written."
_RESULTS = ("dump", "labels", "output", "report", "trace", "node_data")


@dataclass(frozen=True)
class _Subject:
    """A program that is run, and the bytes behind its base registers."""

    executable: "Executable"
    regions: Mapping[int, bytes]


Results = dict[str | None, list["DeviceResult"]]
"""Of each program, by the unit that is missing; None: none is."""


def run_ablation(args: argparse.Namespace) -> int:
    """Run it as it is and without each unit that is named, and print the cycles of all."""
    from tilewright.runtime.device import Environment

    refuse_options(args, _RESULTS, "a run without a unit (--ablate) gives no results")
    refuse_timeline(args)
    if args.device == CPU or args.float:
        refuse_options(args, ("ablate",), "the CPU has no units, give --device sim or rtl")
    units = _units(args.ablate)
    subjects = (_program if kind_of(args.file) is Kind.PROGRAM else _model)(args)
    results = _run(args.device, subjects, units, Environment(latency=args.latency, progress=cycle_progress()))
    cycles = {name: sum(each.cycles for each in found) for name, found in results.items()}
    if args.json:
        config = config_name(subjects[0].executable.config, args.config)
        print(json.dumps(_report(args.device, config, cycles), indent=2))
        return 0
    print("\n\n".join([*_timelines(args, subjects, results), _table(cycles), NOTE]))
    return 0


def _units(names: list[str]) -> tuple[str, ...]:
    """The units that are named, each once.

    Raises:
        TilewrightError: if one is none.
    """
    from tilewright.isa.error import TilewrightError
    from tilewright.runtime.ablation import EACH as THREE
    from tilewright.runtime.ablation import UNITS

    named = [unit for name in names for unit in (THREE if name == EACH else (name,))]
    for name in named:
        if name not in UNITS:
            raise TilewrightError(f"--ablate must be one of {', '.join((*UNITS, EACH))}, not {name!r}")
    return tuple(dict.fromkeys(named))


def _program(args: argparse.Namespace) -> list[_Subject]:
    program, contents = read_with_memory(args, {})
    return [_Subject(program.executable, contents)]


def _model(args: argparse.Namespace) -> list[_Subject]:
    """The programs of a model on zeros: no data changes the cycles.

    Raises:
        TilewrightError: if it has none.
    """
    from tilewright.cli.network import compile_network, open_network
    from tilewright.isa.model import CONSTANTS, INPUTS

    refuse_options(args, PROGRAM_OPTIONS, "it is a model")
    refuse_model_options(args)
    network = open_network(args)
    given = read_given(args, network)
    package = compile_network(network, args, given.calibration, given.samples)
    if not package.parts:
        refuse_options(args, ("ablate",), "nothing of it runs on the accelerator")
    subjects = []
    for model in (part.model for part in package.parts.values()):
        sizes = {region.base: region.size_bytes for region in model.executable.regions}
        constants = {CONSTANTS: model.constants} if model.constants else {}
        subjects.append(_Subject(model.executable, {**constants, INPUTS: bytes(sizes[INPUTS])}))
    return subjects


def _run(
    device_name: str, subjects: list[_Subject], units: tuple[str, ...], environment: "Environment"
) -> Results:
    from tilewright.isa.error import TilewrightError
    from tilewright.runtime.ablation import run_without

    device = make_device(device_name, subjects[0].executable.config)
    results: Results = {unit: [] for unit in (None, *units)}
    for subject in subjects:
        full = device.run(subject.executable, subject.regions, environment)
        if full.fault is not None:
            name, cycle = full.fault.cause.name, full.fault.cycle
            raise TilewrightError(f"it must run to its end, not to fault {name} in cycle {cycle}")
        results[None].append(full)
        for unit in units:
            results[unit].append(run_without(unit, device, subject.executable, subject.regions, environment))
    say("")
    return results


# --- what is told ------------------------------------------------------------------------------------------


def _report(device: str, config: str, cycles: Mapping[str | None, int]) -> dict[str, object]:
    without = {unit: count for unit, count in cycles.items() if unit is not None}
    return {"device": device, "config": config, "cycles": cycles[None], "without": without, "note": NOTE}


def _table(cycles: Mapping[str | None, int]) -> str:
    full = cycles[None]
    rows = [(_name(unit), f"{count:,}", f"{count / full:.1%}") for unit, count in cycles.items()]
    return format_table(("run", "cycles", "share"), rows)


def _name(unit: str | None) -> str:
    return "full" if unit is None else f"without {unit}"


def _timelines(args: argparse.Namespace, subjects: list[_Subject], results: Results) -> Iterator[str]:
    """A drawing of each run, if that was asked for."""
    from tilewright.runtime.ablation import ablated_executable

    for unit, found in results.items() if args.timeline else ():
        programs = [each.executable for each in subjects]
        if unit is not None:
            programs = [ablated_executable(each, unit) for each in programs]
        yield f"{_name(unit)}:\n{draw_timeline(args, list(zip(programs, found, strict=True)))}"
