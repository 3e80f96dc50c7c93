"""`tilewright tune`: searches for the best schedules of a network's layers, by measuring them."""

import argparse
import json
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tilewright.cli.machine import DEFAULT_CONFIG, DEFAULT_LATENCY_CYCLES
from tilewright.cli.option import NO_RECORDS, QUICK_RANGES, RANGES, add_network_options
from tilewright.cli.table import format_table
from tilewright.cli.terminal import note, say

if TYPE_CHECKING:
    from tilewright.api.package import Package
    from tilewright.api.program_tuning import ProgramTuning
    from tilewright.api.tunable_layer import TunableLayer
    from tilewright.api.tuning import TunedLayer, Tuning
    from tilewright.tune.harness import Budget
    from tilewright.tune.measure import Measure

DEFAULT_TRIALS_A_LAYER = 48
_CPU = "cpu"
_DEVICES = ("sim", "rtl", _CPU)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "tune",
        help="search for the best schedules of a network's layers",
        description=(
            "Measure schedules of a network's layers on the accelerator, and keep what was found. The "
            "default schedule of each layer is measured first: what is found is never slower. Ctrl-C ends "
            "the search, all that was measured stays, and the same command goes on from there."
        ),
    )
    parser.add_argument("file", metavar="MODEL", help="an ONNX file, or a package")
    parser.add_argument(
        "--records",
        metavar="FILE.jsonl",
        help="where measurements are kept, and read from; compile --records takes it (default: MODEL.jsonl)",
    )
    parser.add_argument(
        "-o", dest="package_file", metavar="FILE", help="write the tuned network as a package"
    )
    parser.add_argument(
        "--space", action="store_true", help="print the spaces and how dense good points lie; end"
    )
    _add_budget(parser)
    _add_place(parser)
    add_network_options(parser.add_argument_group("networks"), "an .npz file with typical inputs")
    parser.add_argument(
        "--json", action="store_true", help="print one object: every layer with what was found"
    )
    return parser


def _add_budget(parser: argparse.ArgumentParser) -> None:
    budget = parser.add_argument_group("how long")
    budget.add_argument(
        "--trials",
        metavar="N",
        type=int,
        help=f"points, those of earlier runs included (default: {DEFAULT_TRIALS_A_LAYER} a distinct layer)",
    )
    budget.add_argument("--minutes", metavar="M", type=float, help="minutes to measure for")
    budget.add_argument(
        "--layers",
        metavar="NAME,…",
        type=_names,
        default=[],
        help="tune these alone, and what is equal to them",
    )
    budget.add_argument("--seed", type=int, default=0, help="of all chance (default: %(default)s)")


def _add_place(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("where")
    where.add_argument(
        "--config",
        metavar="NAME|FILE",
        help=f"a preset or a TOML file, where the file does not say it (default: {DEFAULT_CONFIG})",
    )
    where.add_argument(
        "--device",
        choices=_DEVICES,
        default=_DEVICES[0],
        help="whose kernels: the accelerator's on sim or rtl in cycles, this host's on cpu in seconds "
        "(default: %(default)s)",
    )
    where.add_argument(
        "--float", action="store_true", help="with cpu: the network in floats, all of it there"
    )
    where.add_argument(
        "--latency",
        metavar="CYCLES",
        type=int,
        default=DEFAULT_LATENCY_CYCLES,
        help="of the memory outside (default: %(default)s)",
    )
    where.add_argument("--workers", metavar="N", type=int, help="processes (default: one a core)")
    where.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="measure on the workers of this Dask scheduler: see docs/cluster.md",
    )


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def run(args: argparse.Namespace) -> int:
    """Tune, and print what was found; or print the spaces."""
    budget = None if args.space else _budget(args)
    records = args.records or f"{args.file}.jsonl"
    _refuse(args, records)
    package = _package(args)
    if budget is None:
        return _print_spaces(args, package)
    from tilewright.api.program_tuning import ProgramTuning
    from tilewright.api.tuning import Tuning
    from tilewright.tune.session import Session

    layers = _layers(args, package)

    with Session(records) as session, closing(_measure(args)) as measure:
        for each in session.notes:
            note(each)
        tuning = Tuning(layers=layers, session=session, measure=measure, seed=args.seed)
        whole = budget(len(layers))
        programs = None
        if args.device == _CPU:
            is_whole = _search(tuning, whole)
        else:
            programs = ProgramTuning(package, tuning, args.latency, args.device)
            is_whole = _search_both(tuning, programs, whole)
            package = programs.tuned()
    say("")
    if args.package_file is not None:
        from tilewright.api.file import to_bytes
        from tilewright.cli.output import write_files

        write_files({args.package_file: to_bytes(package, say)})
        say("")
    cycles = None if programs is None else (programs.default_cycles, programs.cycles)
    _print_result(args, tuning, cycles, records)
    return 0 if is_whole else 130


def _refuse(args: argparse.Namespace, records: str) -> None:
    """Refuse what cannot be meant, before any work.

    Raises:
        TilewrightError: naming it.
    """
    from tilewright.cli.option import model_inputs, refuse_options
    from tilewright.cli.output import require_apart
    from tilewright.isa.error import TilewrightError

    args.input = args.labels = None
    if args.float and args.device != _CPU:
        refuse_options(args, ("float",), f"the accelerator has integers: give --device {_CPU}")
    if args.package_file is not None and args.device == _CPU:
        raise TilewrightError(
            f"-o must be for the accelerator: compile --records {records} takes what was found"
        )
    args.records = []
    if args.cluster is not None:
        refuse_options(args, ("workers",), "the cluster's workers measure")
    if args.workers is not None and args.workers < 1:
        raise TilewrightError(f"--workers must be at least 1, not {args.workers}")
    require_apart((records, args.package_file), model_inputs(args))


def _budget(args: argparse.Namespace) -> "Any":
    """The budget for a number of layers."""
    from tilewright.isa.error import TilewrightError
    from tilewright.tune.harness import Budget

    for name in ("trials", "minutes"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise TilewrightError(f"--{name} must be above 0, not {value}")

    def of(layers: int) -> "Budget":
        seconds = None if args.minutes is None else 60 * args.minutes
        trials = args.trials
        if trials is None and seconds is None:
            trials = layers * DEFAULT_TRIALS_A_LAYER
        return Budget(trials=trials, seconds=seconds)

    return of


def _package(args: argparse.Namespace) -> "Package":
    from tilewright.cli.network import compile_network, note_own_scales, open_network, sized_network
    from tilewright.cli.option import refuse_options

    network = open_network(args)
    if network.package is not None:
        refuse_options(args, ("calibrate", "ranges"), "it is compiled already")
        return network.package
    calibration = None if args.calibrate is None else network.inputs.read(args.calibrate)
    network = sized_network(network, args, {args.calibrate: calibration})
    note_own_scales(network, args)
    # What tuned layers are compared with has default schedules.
    args.records = [NO_RECORDS]
    ranges = QUICK_RANGES if args.package_file is None else RANGES[0]
    return compile_network(network, args, calibration, None, ranges=ranges)


def _layers(args: argparse.Namespace, package: "Package") -> "list[TunableLayer]":
    """The layers to tune, by the options."""
    from tilewright.api.accel_task import accel_layers
    from tilewright.api.host_layers import host_layers
    from tilewright.api.tuning import chosen_layers

    say("looking for layers")
    if args.device == _CPU:
        return chosen_layers(host_layers(package), args.layers)
    return chosen_layers(accel_layers(package, args.latency, args.device), args.layers)


def _measure(args: argparse.Namespace) -> "Measure":
    if args.cluster is not None:
        from tilewright.tune.cluster import Cluster

        return Cluster(args.cluster)
    import os

    from tilewright.tune.pool import ProcessPool

    return ProcessPool(workers=args.workers or os.cpu_count() or 1)


def _search(tuning: "Tuning", budget: "Budget") -> bool:
    """Measure until the budget ends, or the user; whether it was not the user."""
    most = "" if budget.trials is None else f" of {budget.trials}"
    try:
        for step in tuning.steps(budget):
            faster = ""
            if step.cost and step.default_cost:
                faster = f", {step.default_cost / step.cost:.3f} × the default's speed"
            share = None if budget.trials is None else min(1.0, step.done / budget.trials)
            say(
                f"{step.done}{most} points{faster}; {step.layer.name}: "
                f"{_cost(step.trial.best_cost, step.layer)}",
                share,
            )
    except KeyboardInterrupt:
        _say_stopped()
        return False
    say("")
    return True


def _search_both(tuning: "Tuning", programs: "ProgramTuning", budget: "Budget") -> bool:
    """Measure layers for half of the budget and programs for the rest; whether the user did not end it."""
    from tilewright.tune.harness import Budget

    begun = perf_counter()
    trials = None if budget.trials is None else -(-budget.trials // 2)
    if not _search(tuning, Budget(trials=trials, seconds=budget.seconds and budget.seconds / 2)):
        return False
    say("looking at the whole network")
    left = None if budget.seconds is None else budget.seconds - (perf_counter() - begun)
    rest = None
    if budget.trials is not None:
        rest = budget.trials - programs.trials - sum(each.trials for each in tuning.results())
    if (rest is not None and rest <= 0) or (left is not None and left <= 0):
        return True
    return _search_programs(programs, Budget(trials=rest, seconds=left))


def _search_programs(programs: "ProgramTuning", budget: "Budget") -> bool:
    """Try points in whole programs until the budget ends, or the user; whether it was not the user."""
    most = "" if budget.trials is None else f" of {programs.trials + budget.trials}"
    try:
        for step in programs.steps(budget):
            say(
                f"{step.done}{most} programs: {step.cycles:,} cycles, "
                f"{step.default_cycles / step.cycles:.4f} × the default's speed"
            )
    except KeyboardInterrupt:
        _say_stopped()
        return False
    say("")
    return True


def _say_stopped() -> None:
    say("")
    note("stopped: what was measured is kept, and the same command goes on from there")


# --- printing ----------------------------------------------------------------------------------------------


def _cost(cost: float, layer: "TunableLayer") -> str:
    """A cost with its unit."""
    return f"{cost:,.0f} cycles" if layer.key.unit == "cycles" else f"{cost * 1e6:,.1f} µs"


def _print_result(
    args: argparse.Namespace, tuning: "Tuning", cycles: tuple[int, int] | None, records: str
) -> None:
    results = tuning.results()
    if args.json:
        print(json.dumps(_report(results, cycles), indent=2))
        return
    header = ("layer", "default", "best", "speed", "trials", "without an answer", "point")
    print(format_table(header, [_row(each) for each in results]))
    print("")
    if cycles is not None:
        default, best = cycles
        print(f"all programs: {default:,} cycles by default, {best:,} tuned ({default / best:.3f} ×)")
    print(f"measurements are in {records}: tilewright compile --records {records} takes the best")


def _row(each: "TunedLayer") -> tuple[str, ...]:
    failures = ", ".join(f"{count} {kind}" for kind, count in each.failures.items())
    if each.cost is None or each.default_cost is None or each.point is None:
        return each.layer.name, "", "", "", str(each.trials), failures, ""
    is_default = each.point == each.layer.task.default
    return (
        each.layer.name,
        _cost(each.default_cost, each.layer),
        _cost(each.cost, each.layer),
        f"{each.default_cost / each.cost:.3f}",
        str(each.trials),
        failures,
        "the default" if is_default else _changes(each),
    )


def _changes(each: "TunedLayer") -> str:
    """What of the point is another choice than the default's."""
    default, point = each.layer.task.default, each.point
    assert point is not None, "checked by who calls"
    known = {} if default is None else dict(default)
    return " ".join(f"{name}={value}" for name, value in point.items() if known.get(name) != value)


def _report(results: "list[TunedLayer]", cycles: tuple[int, int] | None) -> dict[str, Any]:
    return {
        "default_cycles": None if cycles is None else cycles[0],
        "cycles": None if cycles is None else cycles[1],
        "layers": [
            {
                "names": list(each.layer.names),
                "unit": each.layer.key.unit,
                "default_cost": each.default_cost,
                "cost": each.cost,
                "point": None if each.point is None else dict(each.point),
                "trials": each.trials,
                "failures": {str(kind): count for kind, count in each.failures.items()},
            }
            for each in results
        ],
    }


def _print_spaces(args: argparse.Namespace, package: "Package") -> int:
    from tilewright.tune.density import SHARES, density

    layers = _layers(args, package)
    found = []
    for number, layer in enumerate(layers):
        say(f"looking at {layer.name}", number / len(layers))
        found.append((layer, density(layer.task, seed=args.seed)))
    say("")
    if args.json:
        print(json.dumps([{"layer": layer.name, **vars(each)} for layer, each in found], indent=2))
        return 0
    header = (
        "layer",
        "points",
        "that fit",
        *(f"within {share:.0%}" for share in SHARES),
        "median / best",
        "default",
    )
    rows = [
        (
            layer.name,
            f"{each.size:,}",
            f"{each.fitting:.2%}",
            *(f"{each.good[share]:.1%}" for share in SHARES),
            f"{each.median:.2f}",
            "" if each.default is None else f"{each.default:.1%}",
        )
        for layer, each in found
    ]
    print(format_table(header, rows))
    print(
        "\nby the machine's own model, of points drawn by chance: the share of the best speed that is reached"
    )
    knobs = {name for _, each in found for name in each.knobs}
    print(f"knobs: {', '.join(sorted(knobs))}")
    return 0
