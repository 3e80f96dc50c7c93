"""Networks on devices: split and compiled where they are not, run sample by sample, and reported."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.cli.answer import format_answer
from tilewright.cli.data import npz_bytes, read_labels
from tilewright.cli.machine import CPU, SIM, config_name, make_device
from tilewright.cli.network import OpenedNetwork, compile_network, open_network, sized_network
from tilewright.cli.option import PROGRAM_OPTIONS, model_inputs, node_data_of, refuse_options
from tilewright.cli.output import require_apart, require_no_weights, write_files
from tilewright.cli.run_timeline import draw_timeline, marks_of, refuse_timeline
from tilewright.cli.summary import engine_counters, format_report, layer_reports, report_lines, traffic
from tilewright.cli.terminal import cycle_progress, note, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tilewright.api.package import Package
    from tilewright.api.result import RunResult
    from tilewright.runtime.device import Environment
    from tilewright.runtime.model_input import Samples
    from tilewright.runtime.perfetto import Band

_ON_MACHINES = ("trace", "timeline", "node_data", "time_only")
"""Options of what has cycles."""
_OF_DATA = ("output", "labels")
_CYCLES = ": no data changes the cycles"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the user gives a network.

    Members:
        samples: to run; None: none.
        labels: int64, the class of each; None: not known.
        calibration: samples for quantisation; None: not named.
    """

    samples: "Samples | None"
    labels: "NDArray[np.int64] | None"
    calibration: "Samples | None"


NOTHING = Given(samples=None, labels=None, calibration=None)


def run_model(args: argparse.Namespace) -> int:
    """Run a network, write what was asked for, and print the answer and what it took."""
    from tilewright.runtime.device import Environment

    refuse_options(args, PROGRAM_OPTIONS, "it is a model: give --input FILE")
    if args.input is None:
        refuse_options(args, ("labels", "output"), "give --input FILE with them")
    refuse_timeline(args)
    refuse_model_options(args)
    outputs = (args.output, args.report, args.trace, *(path for _, path in node_data_of(args)))
    require_apart(outputs, model_inputs(args))
    require_no_weights(args.file, outputs)
    environment = Environment(latency=args.latency, progress=cycle_progress())
    network = open_network(args)
    given = read_given(args, network)
    network = sized_network(network, args, {args.input: given.samples, args.calibrate: given.calibration})
    samples = _zeros(network) if given.samples is None else given.samples
    package = compile_network(network, args, given.calibration, given.samples)
    if args.time_only:
        refuse_without_programs(args, package)
        finish_run(args, package, NOTHING, package.time(environment=environment), {})
        return 0
    if given.samples is None:
        note(f"without --input FILE one sample of zeros is run{_CYCLES if package.parts else ''}")
    result = run_package(args, package, samples, environment, check=network.package is not None)
    finish_run(args, package, given, result, {})
    return 0


def refuse_model_options(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other.

    Raises:
        TilewrightError: naming them.
    """
    if args.device == CPU:
        refuse_options(args, _ON_MACHINES, "the CPU has no cycles, give --device sim or rtl")
    if args.device != SIM:
        refuse_options(args, ("time_only",), "only the simulator knows the time without the data")
    if getattr(args, "time_only", False):
        refuse_options(args, _OF_DATA, "--time-only computes no data")
    if args.float:
        refuse_options(args, _ON_MACHINES, "the CPU, where --float runs, has no cycles")
        refuse_options(args, ("calibrate", "ranges", "accuracy_budget"), "--float quantises nothing")


def read_given(args: argparse.Namespace, network: OpenedNetwork) -> Given:
    """Read and check inputs, labels and calibration data.

    Raises:
        TilewrightError: if one of them does not fit the network.
        OSError: if a file cannot be read.
    """
    samples = None if args.input is None else network.inputs.read(args.input)
    labels = None
    if args.labels is not None:
        assert samples is not None
        labels = read_labels(args.labels, len(next(iter(samples.values()))), _classes(args, network))
    calibration = None if args.calibrate is None else network.inputs.read(args.calibrate)
    if network.package is not None:
        refuse_options(args, ("calibrate", "ranges", "accuracy_budget"), "it is compiled already")
    return Given(samples=samples, labels=labels, calibration=calibration)


def run_package(
    args: argparse.Namespace,
    package: "Package",
    samples: "Samples",
    environment: "Environment",
    *,
    check: bool,
) -> "RunResult":
    """Run samples on the device that the user names, or on the CPU where it has nothing to do.

    Args:
        args: with `device`.
        package: to run.
        samples: its inputs.
        environment: the memory outside of the machine.
        check: the programs, before they run; those that were just compiled are known to be sound.
    """
    refuse_without_programs(args, package)
    is_on_cpu = args.device == CPU or not package.parts
    device = CPU if is_on_cpu else make_device(args.device, package.config)
    result = package.run(samples, device=device, environment=environment, check=check, progress=say)
    say("")
    return result


def refuse_without_programs(args: argparse.Namespace, package: "Package") -> None:
    """Refuse options of what has cycles where nothing has.

    Raises:
        TilewrightError: naming them.
    """
    if not package.parts:
        refuse_options(args, _ON_MACHINES, "nothing of it runs on the accelerator, and the CPU has no cycles")


def finish_run(
    args: argparse.Namespace,
    package: "Package",
    given: Given,
    result: "RunResult",
    files: Mapping[str, bytes],
) -> None:
    """Write what was asked for, all or none, `files` among it, and print the report."""
    from tilewright.api.layer_time import programs_of

    runs = [(executable, first) for executable, first, _ in programs_of(package, result)]
    report = {
        **describe(package, result),
        "config": config_name(package.config, args.config),
        **_accuracy(result, given),
    }
    drawing = draw_timeline(args, runs, marks_of(result.programs)) if runs else ""
    wanted = dict(files)
    if args.output:
        wanted[args.output] = npz_bytes(result.outputs)
    if args.report:
        from tilewright.api.run_page import page_of

        title = Path(args.file).name
        wanted[args.report] = page_of(package, result, title, list(report_lines(report))).html().encode()
    if args.trace:
        from tilewright.runtime.trace_file import trace_file

        wanted[args.trace] = trace_file(args.trace, runs, _bands(package, result))
    for kind, path in node_data_of(args):
        from tilewright.api.node_data import node_data

        wanted[path] = json.dumps(node_data(package, result, kind), indent=2).encode()
    write_files(wanted)
    if args.json:
        print(json.dumps(report, indent=2))
        return
    answer = format_answer(result, given.labels) if given.samples is not None else ""
    print("\n\n".join(part for part in (answer, format_report(report), drawing) if part))


def describe(package: "Package", result: "RunResult") -> dict[str, Any]:
    """What `--json` prints, but for the configuration and what labels tell; None: the CPU has none."""
    steps = {"programs": len(package.parts), "kernels": len(package.kernels)}
    shared = {"device": result.device, "config": None, "samples": result.samples}
    if result.cycles is None:
        absent: dict[str, None] = dict.fromkeys(("cycles", "instructions", "macs", "utilization"))
        host = dict(result.host_seconds)
        return {**shared, **absent, "seconds": result.seconds, "engines": {}, **steps, "host": host}
    models = [part.model for part in package.parts.values()]
    macs = sum(model.macs for model in models)
    first = [each.first for each in result.programs]
    return {
        **shared,
        "cycles": result.cycles,
        "instructions": sum(model.instructions for model in models),
        "macs": macs,
        "utilization": macs / (result.cycles * package.config.peak_macs),
        "seconds": result.seconds,
        "engines": engine_counters(first),
        **traffic(first),
        **steps,
        "host": dict(result.host_seconds),
        "layers": _layers(package, result),
    }


def _bands(package: "Package", result: "RunResult") -> "list[Band]":
    """The cycles that count as each layer's."""
    from tilewright.api.layer_time import layer_times_of
    from tilewright.runtime.perfetto import Band

    times = layer_times_of(package, result)
    return [Band(each.profile.layer.name, *each.window) for each in times if each.profile.cycles]


def _layers(package: "Package", result: "RunResult") -> list[dict[str, Any]]:
    """What each layer took, with what bounds it."""
    from tilewright.api.layer_time import layer_times_of

    return [
        {**report, "bound": time.bound, "moved_bytes": time.moved.total}
        for report, time in zip(layer_reports(result.programs), layer_times_of(package, result), strict=True)
    ]


# --- details -----------------------------------------------------------------------------------------------


def _zeros(network: OpenedNetwork) -> "Samples":
    """One sample, to see what it takes.

    Raises:
        TilewrightError: if a size is not known.
    """
    from tilewright.api.compile import unknown_sizes
    from tilewright.compiler.ir.named import size_options
    from tilewright.isa.error import TilewrightError

    zeros = network.inputs.zeros()
    if zeros is None:
        unknown = unknown_sizes(network.source) or network.source.function.size_names
        sizes = "" if network.package is not None else f", or {size_options(unknown)}"
        raise TilewrightError(f"{network.path}: sizes must be known: give --input FILE{sizes}")
    return zeros


def _classes(args: argparse.Namespace, network: OpenedNetwork) -> int:
    """Classes that the only output of a network has."""
    from math import prod

    from tilewright.isa.error import TilewrightError

    types = network.source.output_types
    if len(types) > 1:
        raise TilewrightError(f"{args.labels}: labels must go with one output, not {', '.join(types)}")
    (tensor,) = types.values()
    sizes = [size for size in tensor.shape[1:] if isinstance(size, int)]
    if not network.inputs.has_batch or len(sizes) < tensor.rank - 1 or not tensor.rank:
        raise TilewrightError(f"{args.labels}: labels must go with an output of known classes, not {tensor}")
    return prod(sizes)


def _accuracy(result: "RunResult", given: Given) -> dict[str, float]:
    if given.labels is None:
        return {}
    scores = next(iter(result.outputs.values())).reshape(len(given.labels), -1)
    return {"top1": float((scores.argmax(axis=1) == given.labels).mean())}
