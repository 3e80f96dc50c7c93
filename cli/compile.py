"""`tilewright compile`: a network quantised and compiled for a machine, saved, and run on inputs if given."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from tilewright.cli.machine import CPU, config_name
from tilewright.cli.option import add_machine_options, add_model_options, model_inputs, refuse_options
from tilewright.cli.summary import format_value
from tilewright.cli.table import format_table
from tilewright.cli.terminal import cycle_progress

if TYPE_CHECKING:
    from tilewright.isa.model import Model


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "compile",
        help="a network as a compiled model",
        description="Compile a network (ONNX) and save it; with --input it is run as well.",
    )
    parser.add_argument("file", metavar="MODEL", help="an ONNX file")
    parser.add_argument("-o", dest="model_file", metavar="FILE", required=True, help="the file to write")
    parser.add_argument("--schedules", metavar="FILE", help="write the schedule of each layer as text")
    parser.add_argument("--schedule", metavar="FILE", help="layers in this text have the schedules in it")
    add_machine_options(parser)
    add_model_options(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Compile the network, write the file, and say what it holds or what it took."""
    from tilewright.cli.network import (
        compile_network,
        integer_function,
        open_network,
        read_schedules,
        used_schedules,
    )
    from tilewright.cli.output import require_apart, require_no_weights, write_files
    from tilewright.cli.run_model import finish_run, read_given, run_samples
    from tilewright.isa.error import TilewrightError
    from tilewright.runtime.device import Host

    if args.input is None:
        refuse_options(args, ("labels", "output", "report", "trace"), "give --input FILE with them")
    if args.device == CPU:
        refuse_options(args, ("trace",), "the CPU has no cycles, give --device sim or rtl")
    outputs = (args.model_file, args.output, args.report, args.trace, args.schedules)
    require_apart(outputs, (*model_inputs(args), args.schedule))
    require_no_weights(args.file, outputs)
    host = Host(latency=args.latency, progress=cycle_progress())
    network = open_network(args.file, args.config)
    if network.model is not None:
        raise TilewrightError(f"{args.file}: must be an ONNX file, not a compiled model")
    schedules = {} if args.schedule is None else read_schedules(args.schedule)
    given = read_given(args, network)
    named = integer_function(network, given.calibration, given.samples)
    model = compile_network(named, network.config, schedules)
    files = {args.model_file: model.to_executable().to_bytes()}
    if args.schedules is not None:
        files[args.schedules] = used_schedules(named, network.config, schedules).encode()
    if given.samples is None:
        write_files(files)
        _print_summary(args, model)
        return 0
    outcome = run_samples(args.device, model, named, given.samples, host, check=False)
    finish_run(args, network, model, given, outcome, files)
    return 0


def _print_summary(args: argparse.Namespace, model: "Model") -> None:
    """The keys of a run, None for what only a run tells."""
    report: dict[str, Any] = {
        "device": None,
        "config": config_name(model.config, args.config),
        "samples": 0,
        "cycles": None,
        "instructions": model.instructions,
        "macs": model.macs,
        "utilization": None,
        "seconds": None,
        "engines": {},
        "host": {},
        "constant_bytes": len(model.constants),
        "layers": [
            {"name": each.name, "operator": each.operator, "macs": each.macs} for each in model.layers
        ],
    }
    if args.json:
        print(json.dumps(report, indent=2))
        return
    lines = [(name, format_value(name, value)) for name, value in report.items() if format_value(name, value)]
    print(format_table((args.model_file, ""), lines))
