"""Programs on devices, with the memory behind their base registers: `tilewright run PROGRAM`."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tilewright.cli.machine import CPU, DEFAULT_CONFIG, RTL, SIM, config_name, make_device
from tilewright.cli.option import MODEL_OPTIONS, refuse_options
from tilewright.cli.output import require_apart, write_files
from tilewright.cli.program import Program, read_program
from tilewright.cli.summary import engine_counters, format_report, traffic
from tilewright.cli.terminal import cycle_progress, say

if TYPE_CHECKING:
    from tilewright.isa.fault import Fault
    from tilewright.runtime.device import Device, DeviceResult


def run_program(args: argparse.Namespace) -> int:
    """Check the program, run it, write what was asked for, and print what it took."""
    from tilewright.runtime.device import Host

    _refuse_options(args)
    program = read_program(args.file, args.config, DEFAULT_CONFIG)
    memory, dump = _by_base(args.memory, "--memory"), _by_base(args.dump, "--dump")
    require_apart([*dump.values(), *([args.trace] if args.trace else [])])
    contents = {base: Path(path).read_bytes() for base, path in memory.items()}
    host = Host(latency=args.latency, progress=cycle_progress())
    _require_correct(program, contents, dump)
    device = make_device(args.device, program.executable.config)
    result = device.run(program.executable, contents, host, check=False)
    say("")
    _require_success(program, result)
    files = {path: result.regions[base] for base, path in dump.items()}
    if args.trace:
        from tilewright.runtime.trace import timeline_json

        files[args.trace] = timeline_json(program.executable, result)
    write_files(files)
    report = describe(program, device, result) | {
        "config": config_name(program.executable.config, args.config)
    }
    print(json.dumps(report, indent=2) if args.json else format_report(report))
    return 0


def describe(program: Program, device: "Device", result: "DeviceResult") -> dict[str, object]:
    """What `--json` prints, but for the configuration's name."""
    from tilewright.isa.encoding import decode_table
    from tilewright.runtime.device import macs_of

    table = decode_table(program.executable.code)
    macs = macs_of(table, device.config)
    return {
        "device": device.name,
        "config": None,
        "samples": 1,
        "cycles": result.cycles,
        "instructions": len(table),
        "macs": macs,
        "utilization": macs / (result.cycles * device.config.peak_macs),
        "seconds": result.seconds,
        "engines": engine_counters(result),
        **traffic(result),
        "host": {},
    }


# --- options -----------------------------------------------------------------------------------------------


def _by_base(pairs: list[tuple[int, str]], option: str) -> dict[int, str]:
    from tilewright.isa.error import TilewrightError
    from tilewright.isa.region import BASES

    result: dict[int, str] = {}
    for base, path in pairs:
        if base >= BASES:
            raise TilewrightError(f"{option} {base}={path}: N must be from 0 to {BASES - 1}")
        if base in result:
            raise TilewrightError(f"{option} {base}={path}: base register {base} has {result[base]} already")
        result[base] = path
    return result


# --- what must hold ----------------------------------------------------------------------------------------


def _refuse_options(args: argparse.Namespace) -> None:
    from tilewright.isa.error import TilewrightError

    refuse_options(args, MODEL_OPTIONS, "it is a program, not a model")
    if args.device == CPU:
        raise TilewrightError(f"{args.file}: --device must be {SIM} or {RTL} for a program, not {CPU}")


def _require_correct(program: Program, contents: Mapping[int, bytes], dump: Mapping[int, str]) -> None:
    """Refuse, before any device is prepared, what cannot be loaded, dumped, or run with one meaning."""
    from tilewright.isa.checker import CheckError
    from tilewright.isa.error import TilewrightError
    from tilewright.runtime.loader import load, require_sound

    image = load(program.executable, contents, program.executable.config)
    for base, path in dump.items():
        if base not in image.sizes:
            raise TilewrightError(f"--dump {base}={path}: base register {base} has no region")
    try:
        require_sound(program.executable, image)
    except CheckError as error:
        raise TilewrightError("\n".join(map(program.locate, error.problems))) from None


def _require_success(program: Program, result: "DeviceResult") -> None:
    from tilewright.isa.error import TilewrightError

    fault = result.fault
    if fault is not None:
        raise TilewrightError(
            f"{_place(program, fault)}: fault {fault.cause.name} found by {fault.engine.name.lower()} "
            f"in cycle {fault.cycle}: {fault.cause.text}"
        )


def _place(program: Program, fault: "Fault") -> str:
    """The instruction of an engine's fault; a fault of the system has none."""
    from tilewright.isa.fault import FaultEngine

    return program.path if fault.engine is FaultEngine.SYSTEM else program.place(fault.instruction)
