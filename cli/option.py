"""Options that commands share."""

import argparse
from collections.abc import Iterable

from tilewright.cli.machine import DEFAULT_CONFIG, DEFAULT_LATENCY_CYCLES, DEVICES

RANGES = ("auto", "min-max", "percentile", "entropy", "mean-square")
"""The quantiser's ways to choose ranges, the default first: it is not imported before it is needed."""
MODEL_OPTIONS = (
    "input",
    "labels",
    "calibrate",
    "ranges",
    "accuracy_budget",
    "output",
    "report",
    "node_data",
    "float",
    "size",
    "records",
)
QUICK_RANGES = "min-max"
"""Where cycles alone count, which no range changes: what takes least time."""
NODE_DATA = ("cycles", "utilization", "moved_bytes", "bound")
"""Kinds of node data, the default first: those of the API, which is not imported before it is needed."""
NO_RECORDS, SHIPPED_RECORDS = "none", "shipped"
PROGRAM_OPTIONS = ("memory", "dump")
_CALIBRATE = "data for quantisation, in the forms of --input"


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Where something runs, and what of it is told."""
    parser.add_argument("--device", choices=DEVICES, default=DEVICES[0], help="default: %(default)s")
    parser.add_argument(
        "--config",
        metavar="NAME|FILE",
        help=f"a preset or a TOML file, where the file does not say it (default: {DEFAULT_CONFIG})",
    )
    parser.add_argument(
        "--latency",
        metavar="CYCLES",
        type=int,
        default=DEFAULT_LATENCY_CYCLES,
        help="of the memory outside (default: %(default)s)",
    )
    parser.add_argument(
        "--trace",
        metavar="FILE.pftrace|FILE.json",
        help=(
            "write every instruction of the first sample: FILE.pftrace for ui.perfetto.dev, with queues, "
            "waits, tokens and bytes; any other name for chrome://tracing"
        ),
    )
    parser.add_argument("--json", action="store_true", help="print one object: cycles, counters, utilization")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """What a model is given, and what is written of its answers."""
    group = parser.add_argument_group("models")
    group.add_argument(
        "--input",
        metavar="FILE",
        help=(
            "FILE.npz with an array for each input by name, FILE.npy for the only input, or a picture of "
            "exactly the input's size: pixels are given as they are, 0 to 255, as RGB for three channels "
            "and grey for one; a network that wants them scaled needs an array. A longer first axis is run "
            "sample by sample"
        ),
    )
    add_network_options(group)
    add_budget_option(group)
    group.add_argument(
        "--records",
        metavar=f"FILE|{NO_RECORDS}",
        action="append",
        default=[],
        help=(
            "layers have the best schedule in these records of `tilewright tune`, for this configuration and "
            "--latency; may be given several times (default: those that come along)"
        ),
    )
    group.add_argument("--labels", metavar="FILE.npy", help="the right class of each sample: prints top-1")
    group.add_argument(
        "--float",
        action="store_true",
        help="run all of it on the CPU, in floats: nothing is quantised, any network goes",
    )
    group.add_argument("--output", metavar="FILE.npz", help="write the outputs by name")
    group.add_argument(
        "--report",
        metavar="FILE.html",
        help="write a page of where the time goes: engines, layers and what bounds them, roofline, bytes",
    )
    group.add_argument(
        "--node-data",
        metavar="[KIND=]FILE.json",
        action="append",
        help=(
            "write a figure of each node for Model Explorer: cycles (the default), utilization, moved_bytes "
            "or bound; may be given several times"
        ),
    )


def add_network_options(
    group: argparse._ActionsContainer, calibrate_help: str = _CALIBRATE + " (default: the first inputs)"
) -> None:
    """How an ONNX file is read and quantised."""
    group.add_argument(
        "--calibrate",
        metavar="FILE",
        help=calibrate_help,
    )
    group.add_argument(
        "--ranges",
        choices=RANGES,
        help=(
            "how the calibration chooses the range of a value's integers: all that was seen; without rare "
            "large values, in one of three ways; or what of these is best on the data (default: auto)"
        ),
    )
    group.add_argument(
        "--size",
        metavar="NAME=NUMBER",
        action="append",
        default=[],
        type=_named_size,
        help=(
            "a number for a symbolic size of the network's inputs (default: as the data have it); the batch "
            "may stay open"
        ),
    )


def add_budget_option(group: argparse._ActionsContainer) -> None:
    """How much a network may lose."""
    group.add_argument(
        "--accuracy-budget",
        metavar="DB|PERCENT",
        help=(
            "30dB: the outputs' ratio of signal to noise must be at least that on the calibration data; 1%%: "
            "at most that share of its answers (classes of samples, steps or pixels) may be others than in "
            "floats. The fewest layers that this takes stay in floats, on the CPU"
        ),
    )


def add_program_options(parser: argparse.ArgumentParser) -> None:
    """The memory of a program."""
    group = parser.add_argument_group("programs")
    group.add_argument(
        "--memory",
        metavar="N=FILE",
        action="append",
        default=[],
        type=_region_file,
        help="bytes behind base register N before the program runs",
    )
    group.add_argument(
        "--dump",
        metavar="N=FILE",
        action="append",
        default=[],
        type=_region_file,
        help="write the bytes behind base register N after it ran",
    )


def model_inputs(args: argparse.Namespace) -> tuple[str | None, ...]:
    """The files that a command on a model reads; None for what is not given."""
    return args.file, args.config, args.input, args.labels, args.calibrate


def refuse_options(args: argparse.Namespace, names: Iterable[str], reason: str) -> None:
    """Refuse options that have no meaning here.

    Raises:
        TilewrightError: naming those that were given.
    """
    from tilewright.isa.error import TilewrightError

    given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name, None)]
    if given:
        raise TilewrightError(f"{args.file}: {' and '.join(given)} cannot be used: {reason}")


def sizes_of(args: argparse.Namespace) -> dict[str, int]:
    """The numbers of --size by name.

    Raises:
        TilewrightError: if one name has several.
    """
    from tilewright.isa.error import TilewrightError

    found: dict[str, int] = {}
    for name, number in args.size:
        if found.setdefault(name, number) != number:
            raise TilewrightError(f"--size {name}={number}: {name} is {found[name]} already: drop one")
    return found


def _region_file(text: str) -> tuple[int, str]:
    """The base register and the path of N=FILE."""
    number, separator, path = text.partition("=")
    if not number.isdecimal() or not separator or not path:
        raise argparse.ArgumentTypeError(f"must be N=FILE, N a base register, not {text!r}")
    return int(number), path


def positive(text: str) -> int:
    """A number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 1, not {text!r}")
    return int(text)


def _named_size(text: str) -> tuple[str, int]:
    """Name and number of NAME=NUMBER."""
    name, separator, number = text.rpartition("=")
    if not name or not separator or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"must be NAME=NUMBER, a number from 0, not {text!r}")
    return name, int(number)


def node_data_of(args: argparse.Namespace) -> list[tuple[str, str]]:
    """The kind and the file of each `--node-data`; a name with "=" and no kind in front is a file's."""
    found = []
    for each in args.node_data or ():
        kind, separator, path = each.partition("=")
        found.append((kind, path) if separator and kind in NODE_DATA else (NODE_DATA[0], each))
    return found
