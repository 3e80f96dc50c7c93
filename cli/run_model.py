"""Networks on devices: quantised and compiled where they are not, run sample by sample, and reported."""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.cli.data import npz_bytes, read_arrays, read_labels
from tilewright.cli.machine import CPU, config_name, make_device
from tilewright.cli.network import OpenedNetwork, compile_network, integer_function, open_network
from tilewright.cli.option import PROGRAM_OPTIONS, model_inputs, refuse_options
from tilewright.cli.output import require_apart, require_no_weights, write_files
from tilewright.cli.run_timeline import draw_timeline, refuse_timeline
from tilewright.cli.summary import engine_counters, format_report, layer_reports, traffic
from tilewright.cli.table import format_table
from tilewright.cli.terminal import cycle_progress, note, say, say_samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tilewright.compiler.ir.named import NamedFunction
    from tilewright.isa.model import Model
    from tilewright.runtime.device import Host
    from tilewright.runtime.model_input import Samples
    from tilewright.runtime.model_runner import ModelResult

_SHOWN_SAMPLES = 10
"""Samples whose answers are printed."""


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


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a device says of some samples.

    Members:
        device: its name.
        outputs: by name, [samples, …].
        seconds: wall time.
        host: seconds of the CPU, by what it did.
        result: of a machine; None of the CPU.
    """

    device: str
    outputs: "Mapping[str, NDArray[Any]]"
    seconds: float
    host: Mapping[str, float]
    result: "ModelResult | None" = None


def run_model(args: argparse.Namespace) -> int:
    """Run a network, write what was asked for, and print the answer and what it took."""
    from tilewright.runtime.device import Host

    refuse_options(args, PROGRAM_OPTIONS, "it is a model: give --input FILE")
    if args.input is None:
        refuse_options(args, ("labels", "output"), "give --input FILE with them")
    refuse_timeline(args)
    if args.device == CPU:
        refuse_options(args, ("trace", "timeline"), "the CPU has no cycles, give --device sim or rtl")
    outputs = (args.output, args.report, args.trace)
    require_apart(outputs, model_inputs(args))
    require_no_weights(args.file, outputs)
    host = Host(latency=args.latency, progress=cycle_progress())
    network = open_network(args.file, args.config)
    given = read_given(args, network)
    model, named = network.model, None
    if args.device == CPU:
        named = integer_function(network, given.calibration, given.samples)
    else:
        model = compiled(network, given)
    samples = given.samples or _zeros(network)
    outcome = run_samples(args.device, model, named, samples, host, check=network.model is not None)
    finish_run(args, network, model, given, outcome, {})
    return 0


def read_given(args: argparse.Namespace, network: OpenedNetwork) -> Given:
    """Read and check inputs, labels and calibration data.

    Raises:
        TilewrightError: if one of them does not fit the network.
        OSError: if a file cannot be read.
    """
    samples = None if args.input is None else _read_samples(args.input, network)
    labels = None
    if args.labels is not None:
        assert samples is not None
        labels = read_labels(args.labels, len(next(iter(samples.values()))), _classes(args, network))
    calibration = None if args.calibrate is None else _read_samples(args.calibrate, network)
    if calibration is not None and network.model is not None:
        refuse_options(args, ("calibrate",), "it is compiled already")
    return Given(samples=samples, labels=labels, calibration=calibration)


def compiled(network: OpenedNetwork, given: Given) -> "Model":
    """The network for its machine: compiled before, or now.

    Raises:
        TilewrightError: if it must be calibrated and no data are given, or the machine cannot do all of it.
    """
    if network.model is not None:
        return network.model
    return compile_network(integer_function(network, given.calibration, given.samples), network.config)


def run_samples(
    device: str,
    model: "Model | None",
    named: "NamedFunction | None",
    samples: "Samples",
    host: "Host",
    *,
    check: bool,
) -> Outcome:
    """Run samples on a device: a compiled model on a machine, or a network in integers on the CPU.

    Args:
        device: its name, as in `--device`.
        model: for a machine.
        named: for the CPU.
        samples: to run, one after another.
        host: the memory outside of the machine.
        check: the program, before it runs; one that was just compiled is known to be sound.
    """
    if device == CPU:
        assert named is not None
        return _run_on_cpu(named, samples)
    from tilewright.runtime.model_runner import ModelRunner

    assert model is not None
    machine = make_device(device, model.config)
    say("checking the program" if check else "")
    runner = ModelRunner(model, machine, host, check=check)
    result = runner.run(samples, say_samples)
    say("")
    return Outcome(
        device=machine.name,
        outputs=result.outputs,
        seconds=result.seconds,
        host=result.host,
        result=result,
    )


def finish_run(
    args: argparse.Namespace,
    network: OpenedNetwork,
    model: "Model | None",
    given: Given,
    outcome: Outcome,
    files: Mapping[str, bytes],
) -> None:
    """Write what was asked for, all or none, `files` among it, and print the report."""
    report = {
        **describe(outcome, model),
        "config": config_name(network.config, args.config),
        **_accuracy(outcome, given),
    }
    wanted, drawing = dict(files), ""
    if model is not None and outcome.result is not None:
        drawing = draw_timeline(args, model.executable, outcome.result.first, outcome.result.layers)
    if args.output:
        wanted[args.output] = npz_bytes(outcome.outputs)
    if args.report:
        from tilewright.cli.report import html_page

        wanted[args.report] = html_page(Path(args.file).name, report)
    if args.trace and model is not None and outcome.result is not None:
        from tilewright.runtime.trace import timeline_json

        wanted[args.trace] = timeline_json(model.executable, outcome.result.first)
    write_files(wanted)
    if args.json:
        print(json.dumps(report, indent=2))
        return
    answer = format_answer(outcome, given) if given.samples is not None else ""
    print("\n\n".join(part for part in (answer, format_report(report), drawing) if part))


def describe(outcome: Outcome, model: "Model | None") -> dict[str, Any]:
    """What `--json` prints, but for the configuration and what labels tell; None: the CPU has none."""
    samples = len(next(iter(outcome.outputs.values())))
    shared = {"device": outcome.device, "config": None, "samples": samples}
    result = outcome.result
    if result is None or model is None:
        absent: dict[str, None] = dict.fromkeys(("cycles", "instructions", "macs", "utilization"))
        return {**shared, **absent, "seconds": outcome.seconds, "engines": {}, "host": dict(outcome.host)}
    return {
        **shared,
        "cycles": result.cycles,
        "instructions": model.instructions,
        "macs": model.macs,
        "utilization": model.macs / (result.cycles * model.config.peak_macs),
        "seconds": outcome.seconds,
        "engines": engine_counters(result.first),
        **traffic(result.first),
        "host": dict(outcome.host),
        "layers": layer_reports(result.layers),
    }


def format_answer(outcome: Outcome, given: Given) -> str:
    """The top class of the first samples, beside what is right where that is known.

    Outputs that are not one score for each class are told by their shapes and their ranges.
    """
    import numpy as np

    name, values = next(iter(outcome.outputs.items()))
    if len(outcome.outputs) > 1 or not 1 < values[0].size == max(values.shape[1:]):
        return _format_outputs(outcome)
    shown = values[:_SHOWN_SAMPLES].reshape(min(len(values), _SHOWN_SAMPLES), -1)
    rows = [
        [str(index), str(top), f"{scores[top]:.4g}"]
        for index, (scores, top) in enumerate(zip(shown, np.argmax(shown, axis=1), strict=True))
    ]
    header = ["sample", "class", name]
    if given.labels is not None:
        header.append("label")
        rows = [[*row, str(label)] for row, label in zip(rows, given.labels, strict=False)]
    more = len(values) - len(shown)
    return format_table(header, rows) + (f"\nand {more:,} more samples" if more else "")


# --- details -----------------------------------------------------------------------------------------------


def _read_samples(path: str, network: OpenedNetwork) -> "Samples":
    from tilewright.isa.error import TilewrightError
    from tilewright.runtime.model_input import InputError, check_inputs

    try:
        return check_inputs(network.shapes, read_arrays(path, network.shapes))
    except InputError as error:
        raise TilewrightError(f"{path}: {error}") from None


def _zeros(network: OpenedNetwork) -> "Samples":
    """One sample, to see what it takes."""
    import numpy as np

    note("without --input FILE one sample of zeros is run: no data changes the cycles")
    return {name: np.zeros((1, *shape), np.float32) for name, shape in network.shapes.items()}


def _run_on_cpu(named: "NamedFunction", samples: "Samples") -> Outcome:
    """The network as code of this machine; what it says of seconds is without compiling."""
    from tilewright.compiler.targets.cpu.network import HostNetwork

    say("compiling for the CPU")
    begun = time.perf_counter()
    network = HostNetwork(named)
    compiled = time.perf_counter()
    say("running on the CPU")
    outputs = network.run(samples)
    seconds = time.perf_counter() - compiled
    say("")
    host = {"compile": compiled - begun, "graph": seconds}
    return Outcome(device=CPU, outputs=outputs, seconds=seconds, host=host)


def _classes(args: argparse.Namespace, network: OpenedNetwork) -> int:
    """Classes that the only output of a network has."""
    from math import prod

    from tilewright.isa.error import TilewrightError

    if len(network.results) > 1:
        raise TilewrightError(
            f"{args.labels}: labels must go with one output, not {', '.join(network.results)}"
        )
    return prod(next(iter(network.results.values())))


def _accuracy(outcome: Outcome, given: Given) -> dict[str, float]:
    if given.labels is None:
        return {}
    scores = next(iter(outcome.outputs.values())).reshape(len(given.labels), -1)
    return {"top1": float((scores.argmax(axis=1) == given.labels).mean())}


def _format_outputs(outcome: Outcome) -> str:
    rows = [
        (name, "×".join(map(str, values.shape)), f"{values.min():.4g}", f"{values.max():.4g}")
        for name, values in outcome.outputs.items()
    ]
    return format_table(("output", "shape", "least", "most"), rows)
