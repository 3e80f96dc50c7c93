"""Programs on devices, with the memory behind their base registers: `tilewright run PROGRAM`."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tilewright.cli.kind import require_plain
from tilewright.cli.machine import CPU, DEFAULT_CONFIG, RTL, SIM, config_name, make_device
from tilewright.cli.option import MODEL_OPTIONS, refuse_options
from tilewright.cli.output import require_apart, write_files
from tilewright.cli.program import AssembledProgram, read_program
from tilewright.cli.run_timeline import draw_timeline, refuse_timeline
from tilewright.cli.summary import engine_counters, format_report, traffic
from tilewright.cli.terminal import cycle_progress, say

if TYPE_CHECKING:
    from tilewright.isa.fault import Fault
    from tilewright.runtime.device import Device, DeviceResult


def run_program(args: argparse.Namespace) -> int:
    """Check the program, run it, write what was asked for, and print what it took."""
    from tilewright.runtime.device import Environment

    dump = _by_base(args.dump, "--dump")
    memory = _by_base(args.memory, "--memory")
    require_apart((*dump.values(), args.trace), (args.file, args.config, *memory.values()))
    program, contents = read_with_memory(args, dump)
    environment = Environment(latency=args.latency, progress=cycle_progress())
    device = _device(args, program)
    result = device.run(program.executable, contents, environment, check=False)
    say("")
    _require_success(program, result)
    drawing = draw_timeline(args, [(program.executable, result)])
    files = {path: result.regions[base] for base, path in dump.items()}
    if args.trace:
        from tilewright.runtime.trace_file import trace_file

        files[args.trace] = trace_file(args.trace, [(program.executable, result)])
    write_files(files)
    report = describe(program, device, result) | {
        "config": config_name(program.executable.config, args.config)
    }
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print("\n\n".join(part for part in (format_report(report), drawing) if part))
    return 0


def read_with_memory(
    args: argparse.Namespace, dump: Mapping[int, str]
) -> tuple[AssembledProgram, dict[int, bytes]]:
    """A program that can be run with one meaning, and the bytes behind its base registers.

    Args:
        args: of the command.
        dump: files by base register, which must have a region.

    Raises:
        TilewrightError: if options, program and memory do not fit each other.
        OSError: if a file cannot be read.
    """
    _refuse_options(args)
    program = read_program(args.file, args.config, DEFAULT_CONFIG)
    memory = _by_base(args.memory, "--memory")
    contents = {base: _read_memory(path) for base, path in memory.items()}
    _require_correct(program, contents, dump)
    return program, contents


def _device(args: argparse.Namespace, program: AssembledProgram) -> "Device":
    if not args.time_only:
        return make_device(args.device, program.executable.config)
    from tilewright.runtime.sim_device import SimDevice

    return SimDevice(program.executable.config, time_only=True)


def describe(program: AssembledProgram, device: "Device", result: "DeviceResult") -> dict[str, object]:
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
        "engines": engine_counters([result]),
        **traffic([result]),
        "host": {},
    }


def _require_success(program: AssembledProgram, result: "DeviceResult") -> None:
    """Refuse a run that a fault ended.

    Raises:
        TilewrightError: naming the instruction, the cause and the cycle.
    """
    from tilewright.isa.error import TilewrightError

    fault = result.fault
    if fault is not None:
        raise TilewrightError(
            f"{_place(program, fault)}: fault {fault.cause.name} found by {fault.engine.name.lower()} "
            f"in cycle {fault.cycle}: {fault.cause.text}"
        )


# --- options -----------------------------------------------------------------------------------------------


def _by_base(pairs: list[tuple[int, str]], option: str) -> dict[int, str]:
    from tilewright.isa.error import TilewrightError
    from tilewright.isa.register import BASE_REGISTERS

    result: dict[int, str] = {}
    for base, path in pairs:
        if base >= BASE_REGISTERS:
            raise TilewrightError(f"{option} {base}={path}: N must be from 0 to {BASE_REGISTERS - 1}")
        if base in result:
            raise TilewrightError(f"{option} {base}={path}: base register {base} has {result[base]} already")
        result[base] = path
    return result


# --- what must hold ----------------------------------------------------------------------------------------


def _refuse_options(args: argparse.Namespace) -> None:
    from tilewright.isa.error import TilewrightError

    refuse_options(args, MODEL_OPTIONS, "it is a program, not a model")
    refuse_timeline(args)
    if args.time_only:
        refuse_options(args, ("dump",), "--time-only computes no data")
    if args.device == RTL:
        refuse_options(args, ("time_only",), "only the simulator knows the time without the data")
    if args.device == CPU:
        raise TilewrightError(f"{args.file}: --device must be {SIM} or {RTL} for a program, not {CPU}")


def _read_memory(path: str) -> bytes:
    """The bytes of a file, which a program's memory can hold.

    Raises:
        TilewrightError: if they are more.
        OSError: if it cannot be read.
    """
    from tilewright.isa.error import TilewrightError
    from tilewright.isa.region import SIZE_LIMIT_BYTES

    require_plain(path)
    if Path(path).stat().st_size > SIZE_LIMIT_BYTES:
        raise TilewrightError(f"{path}: must have at most {SIZE_LIMIT_BYTES} bytes, as a region has")
    return Path(path).read_bytes()


def _require_correct(
    program: AssembledProgram, contents: Mapping[int, bytes], dump: Mapping[int, str]
) -> None:
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


def _place(program: AssembledProgram, fault: "Fault") -> str:
    """The instruction of an engine's fault; a fault of the system has none."""
    from tilewright.isa.fault import FaultEngine

    return program.path if fault.engine is FaultEngine.SYSTEM else program.place(fault.instruction)
