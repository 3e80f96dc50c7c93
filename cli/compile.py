"""`tilewright compile`: a network split, quantised and compiled, saved, and run if inputs are given."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from tilewright.cli.dump import PASSES
from tilewright.cli.machine import config_name
from tilewright.cli.option import (
    add_machine_options,
    add_model_options,
    model_inputs,
    node_data_of,
    refuse_options,
)
from tilewright.cli.summary import format_value
from tilewright.cli.table import format_table
from tilewright.cli.terminal import cycle_progress, say

if TYPE_CHECKING:
    from tilewright.api.package import Package


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "compile",
        help="compile a network into a package",
        description="Compile a network (ONNX) and save it as a package; with --input it is run as well.",
    )
    parser.add_argument("file", metavar="MODEL", help="an ONNX file")
    parser.add_argument("-o", dest="model_file", metavar="FILE", required=True, help="the file to write")
    parser.add_argument("--schedules", metavar="FILE", help="write the schedule of each layer as text")
    parser.add_argument("--schedule", metavar="FILE", help="layers in this text have the schedules in it")
    parser.add_argument(
        "--dump",
        metavar="PASS",
        action="append",
        default=[],
        help=f"write what a pass makes as text: {', '.join(PASSES)}, or all; may be given several times",
    )
    parser.add_argument("--dump-folder", metavar="DIR", help="where --dump writes (default: FILE.dump)")
    add_machine_options(parser)
    add_model_options(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Compile the network, write the file, and say what it holds or what it took."""
    from tilewright.api.file import to_bytes
    from tilewright.cli.dump import Dump
    from tilewright.cli.network import (
        compile_network,
        open_network,
        read_schedules,
        sized_network,
        used_schedules,
    )
    from tilewright.cli.output import new_folders, write_files
    from tilewright.cli.run_model import finish_run, read_given, run_package
    from tilewright.isa.error import TilewrightError
    from tilewright.runtime.device import Environment

    _refuse(args)
    dump = Dump(args.dump) if args.dump else None
    environment = Environment(latency=args.latency, progress=cycle_progress())
    network = open_network(args)
    if network.package is not None:
        raise TilewrightError(f"{args.file}: must be an ONNX file, not a compiled model")
    schedules = {} if args.schedule is None else read_schedules(args.schedule)
    given = read_given(args, network)
    network = sized_network(network, args, {args.input: given.samples, args.calibrate: given.calibration})
    package = compile_network(network, args, given.calibration, given.samples, schedules, dump)
    files = {args.model_file: to_bytes(package, say)}
    say("")
    if args.schedules is not None:
        files[args.schedules] = used_schedules(package, schedules, args.latency).encode()
    dumped = {} if dump is None else dump.files(args.dump_folder or f"{args.model_file}.dump")
    files |= dumped
    with new_folders(dumped):
        if given.samples is None:
            write_files(files)
            _print_summary(args, package)
        else:
            result = run_package(args, package, given.samples, environment, check=False)
            finish_run(args, package, given, result, files)
    return 0


def _refuse(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, before any work.

    Raises:
        TilewrightError: naming them.
    """
    from tilewright.cli.output import require_apart, require_no_weights
    from tilewright.cli.run_model import refuse_model_options

    if args.input is None:
        refuse_options(
            args, ("labels", "output", "report", "trace", "node_data"), "give --input FILE with them"
        )
    if args.float:
        refuse_options(args, ("schedules", "schedule"), "--float has no layers on the accelerator")
    refuse_model_options(args)
    node_data = (path for _, path in node_data_of(args))
    outputs = (args.model_file, args.output, args.report, args.trace, args.schedules, *node_data)
    require_apart(outputs, (*model_inputs(args), args.schedule))
    require_no_weights(args.file, outputs)


def _print_summary(args: argparse.Namespace, package: "Package") -> None:
    """The keys of a run, None for what only a run tells."""
    models = [part.model for part in package.parts.values()]
    report: dict[str, Any] = {
        "device": None,
        "config": config_name(package.config, args.config),
        "samples": 0,
        "cycles": None,
        "instructions": sum(model.instructions for model in models),
        "macs": sum(model.macs for model in models),
        "utilization": None,
        "seconds": None,
        "engines": {},
        "programs": len(models),
        "kernels": len(package.kernels),
        "host": {},
        "constant_bytes": sum(len(model.constants) for model in models),
        "layers": [
            {"name": each.name, "operator": each.operator, "macs": each.macs}
            for model in models
            for each in model.layers
        ],
    }
    if args.json:
        print(json.dumps(report, indent=2))
        return
    lines = [(name, format_value(name, value)) for name, value in report.items() if format_value(name, value)]
    print(format_table((args.model_file, ""), lines))
