"""`tilewright accuracy`: how near a network of integers is to its floats, layer by layer."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from tilewright.cli.machine import DEFAULT_CONFIG
from tilewright.cli.option import RANGES, add_network_options, positive
from tilewright.cli.table import format_table
from tilewright.cli.terminal import say

if TYPE_CHECKING:
    from tilewright.api.accuracy import Accuracy
    from tilewright.cli.network import OpenedNetwork
    from tilewright.runtime.model_input import Samples

ALONE_SAMPLES = 8
"""As of the API, which is not imported before it is needed."""
_HEADER = ("layer", "operator", "MACs", "dB", "alone, dB")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "accuracy",
        help="say how near a network of integers is to its floats, layer by layer",
        description=(
            "Quantise a network and compare it with its floats on the calibration data. dB: 10 log10 of the "
            "signal over the noise, at the result of a layer, with all layers in integers; alone: at the "
            "results of the accelerator, with this layer in integers and all others in floats. The layer of "
            "the fewest dB alone costs most."
        ),
    )
    parser.add_argument("file", metavar="MODEL", help="an ONNX file of floats")
    parser.add_argument("--config", metavar="NAME|FILE", help=f"the machine (default: {DEFAULT_CONFIG})")
    add_network_options(parser, "an .npz file with typical inputs, or .npy for the only input")
    parser.add_argument(
        "--alone-samples",
        metavar="NUMBER",
        type=positive,
        default=ALONE_SAMPLES,
        help="samples on which layers are put in integers one by one, at most (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one object; infinite dB are null")
    parser.add_argument(
        "--report",
        metavar="FILE.html",
        help="write a page of where the cycles of the first sample go, with the dB of each layer beside them",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the table, or the object, and write the page."""
    from tilewright.cli.output import require_apart, write_files

    require_apart((args.report,), (args.file, args.config, args.calibrate))
    network, calibration = _read(args)
    found = _measured(args, network, calibration)
    page = {} if args.report is None else {args.report: _page(args, network, calibration, found).encode()}
    say("")
    write_files(page)
    if args.json:
        print(json.dumps(found.to_json(), indent=2))
        return 0
    rows = [
        (each.label, each.operator, f"{each.macs:,}", _text(each.snr_db), _text(each.alone_snr_db))
        for each in found.layers
    ]
    print(format_table(_HEADER, rows))
    print(
        f"\noutputs: {_text(found.snr_db)} dB, {found.same_share:.1%} of the answers the same, in "
        f"{found.samples:,} samples"
    )
    return 0


def _read(args: argparse.Namespace) -> "tuple[OpenedNetwork, Samples]":
    from tilewright.cli.network import open_network, sized_network
    from tilewright.isa.error import TilewrightError

    args.float = False
    if args.calibrate is None:
        raise TilewrightError(f"{args.file}: give typical inputs with --calibrate FILE")
    network = open_network(args)
    if network.package is not None:
        raise TilewrightError(f"{args.file}: must be an ONNX file, not a compiled model")
    calibration = network.inputs.read(args.calibrate)
    return sized_network(network, args, {args.calibrate: calibration}), calibration


def _measured(args: argparse.Namespace, network: "OpenedNetwork", calibration: "Samples") -> "Accuracy":
    from tilewright.api.accuracy import accuracy_of
    from tilewright.isa.error import TilewrightError

    try:
        return accuracy_of(
            network.source, calibration, network.config, args.ranges or RANGES[0], args.alone_samples, say
        )
    except TilewrightError as error:
        raise TilewrightError(f"{args.file}: {error}") from None


def _page(
    args: argparse.Namespace, network: "OpenedNetwork", calibration: "Samples", found: "Accuracy"
) -> str:
    from tilewright.api.compile import compile_named

    package = compile_named(
        network.source, network.config, calibration=calibration, ranges=args.ranges or RANGES[0], progress=say
    )
    first = {name: array[:1] for name, array in calibration.items()}
    noise_db = {layer.label: layer.snr_db for layer in found.layers}
    return package.report(first, title=f"{Path(args.file).name}: time and accuracy", noise_db=noise_db)


def _text(decibels: float) -> str:
    return "exact" if math.isinf(decibels) else f"{decibels:.1f}"
