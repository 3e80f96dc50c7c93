"""`tilewright run`: an assembled program on a device, with the memory behind its base registers."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tilewright.cli.output import write_files
from tilewright.cli.program import Program, read_program
from tilewright.cli.table import format_table

if TYPE_CHECKING:
    from tilewright.isa.config import Config
    from tilewright.isa.fault import Fault
    from tilewright.runtime.device import Device, DeviceResult

DEFAULT_CONFIG = "reference"
DEFAULT_LATENCY_CYCLES = 16
_DEVICES = ("sim", "rtl")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser("run", help="run a program on the simulator or in the gates")
    parser.add_argument("program", metavar="PROGRAM", help="an executable, or a program as text")
    parser.add_argument(
        "--memory",
        metavar="N=FILE",
        action="append",
        default=[],
        type=_region_file,
        help="bytes behind base register N before the program runs",
    )
    parser.add_argument(
        "--dump",
        metavar="N=FILE",
        action="append",
        default=[],
        type=_region_file,
        help="write the bytes behind base register N after it ran",
    )
    parser.add_argument("--device", choices=_DEVICES, default=_DEVICES[0], help="default: %(default)s")
    parser.add_argument(
        "--config",
        metavar="NAME|FILE",
        help=f"a preset or a TOML file, if the program does not say it (default: {DEFAULT_CONFIG})",
    )
    parser.add_argument(
        "--latency",
        metavar="CYCLES",
        type=int,
        default=DEFAULT_LATENCY_CYCLES,
        help="of the memory outside (default: %(default)s)",
    )
    parser.add_argument(
        "--trace", metavar="FILE.json", help="write a timeline for chrome://tracing or Perfetto"
    )
    parser.add_argument("--json", action="store_true", help="print one object: cycles, counters, utilization")
    return parser


def run(args: argparse.Namespace) -> int:
    """Check the program, run it, write what was asked for, and print what it took."""
    from tilewright.runtime.device import Host

    _refuse_model(args.program)
    program = read_program(args.program, args.config, DEFAULT_CONFIG)
    memory, dump = _by_base(args.memory, "--memory"), _by_base(args.dump, "--dump")
    _require_apart([*dump.values(), *([args.trace] if args.trace else [])])
    contents = {base: Path(path).read_bytes() for base, path in memory.items()}
    host = Host(latency=args.latency, progress=_progress())
    _require_correct(program, contents, dump)
    device = make_device(args.device, program.executable.config)
    result = device.run(program.executable, contents, host, check=False)
    _say("")
    _require_success(program, result)
    files = {path: result.regions[base] for base, path in dump.items()}
    if args.trace:
        from tilewright.runtime.trace import timeline_json

        files[args.trace] = timeline_json(program.executable, result)
    write_files(files)
    report = describe(program, device, result) | {"config": _config_name(program, args.config)}
    print(json.dumps(report, indent=2) if args.json else _format(report))
    return 0


def make_device(name: str, config: "Config") -> "Device":
    """The device that `--device` names; gates say on stderr what the user may wait for."""
    if name == "sim":
        from tilewright.runtime.sim_device import SimDevice

        return SimDevice(config)
    from tilewright.runtime.rtl_device import RTL_AMARANTH, RtlDevice

    _say("preparing the gates: the first time takes minutes")
    device = RtlDevice(config)
    _say("")
    if device.name == RTL_AMARANTH:
        print(
            "tilewright: no Verilator or no C++ compiler (tilewright doctor --for rtl says more): "
            f"the gates run slowly, as device {RTL_AMARANTH}",
            file=sys.stderr,
        )
    return device


def describe(program: Program, device: "Device", result: "DeviceResult") -> dict[str, object]:
    """What `--json` prints, but for the configuration's name."""
    from tilewright.isa.encoding import decode_table
    from tilewright.isa.memory import Engine
    from tilewright.runtime.device import ENGINE_COUNTERS, TRAFFIC_COUNTERS, macs_of

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
        "engines": {
            engine.label: {name: result.counters[f"{engine.label}_{name}"] for name in ENGINE_COUNTERS}
            for engine in Engine
        },
        **{name: result.counters[name] for name in TRAFFIC_COUNTERS},
        "host": {},
    }


# --- options -----------------------------------------------------------------------------------------------


def _region_file(text: str) -> tuple[int, str]:
    """The base register and the path of N=FILE."""
    number, separator, path = text.partition("=")
    if not number.isdecimal() or not separator or not path:
        raise argparse.ArgumentTypeError(f"must be N=FILE, N a base register, not {text!r}")
    return int(number), path


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


def _config_name(program: Program, named: str | None) -> str:
    """The preset's name, else the file that the user named, else the digest."""
    from tilewright.isa.config import PRESETS

    config = program.executable.config
    known = (name for name, preset in PRESETS.items() if preset == config)
    return next(known, None) or named or config.digest().hex()


# --- what must hold ----------------------------------------------------------------------------------------


def _refuse_model(path: str) -> None:
    from tilewright.isa.error import TilewrightError

    if Path(path).suffix == ".onnx":
        raise TilewrightError(
            f"{path}: must be an executable or a program as text, not an ONNX model: "
            "models cannot be compiled yet"
        )


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


def _require_apart(paths: list[str]) -> None:
    """Two outputs in one file would be one output."""
    from tilewright.isa.error import TilewrightError

    for path in paths:
        if paths.count(path) > 1:
            raise TilewrightError(f"{path}: must be named for one output, not {paths.count(path)}")


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


# --- what is printed ---------------------------------------------------------------------------------------


def _format(report: Mapping[str, object]) -> str:
    """The report as text: what is one number a line, then the engines as a table."""
    engines = report["engines"]
    assert isinstance(engines, dict)
    header = ("engine", *next(iter(engines.values())))
    rows = [(name, *(f"{count:,}" for count in counts.values())) for name, counts in engines.items()]
    return f"{format_table(('run', ''), list(_lines(report)))}\n\n{format_table(header, rows)}"


def _lines(report: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in report.items():
        if name == "utilization":
            yield name, f"{value:.2%}"
        elif isinstance(value, float):
            yield name, f"{value:.3g}"
        elif isinstance(value, int):
            yield name, f"{value:,}"
        elif isinstance(value, str):
            yield name, value


# --- progress ----------------------------------------------------------------------------------------------


def _progress() -> Callable[[int], None] | None:
    """Says on a terminal how far a run is."""
    return (lambda cycles: _say(f"{cycles:,} cycles")) if sys.stderr.isatty() else None


def _say(text: str) -> None:
    """Replace the line of progress, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
