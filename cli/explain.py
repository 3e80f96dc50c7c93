"""`tilewright explain`: what of a network runs where, and why not on the accelerator."""

import argparse
import json
from typing import TYPE_CHECKING

from tilewright.cli.machine import DEFAULT_CONFIG
from tilewright.cli.option import RANGES, add_network_options
from tilewright.cli.terminal import note, say

if TYPE_CHECKING:
    from tilewright.api.explanation import Explanation

_JUDGED = (
    "without calibration nothing is compiled: what turns out not to fit the machine counts as on the "
    "accelerator (--calibrate FILE says it exactly)"
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "explain",
        help="say what of a network runs where, and why",
        description="Say of each node of a network who runs it, and why not the accelerator.",
    )
    parser.add_argument("file", metavar="MODEL", help="an ONNX file, or a package")
    parser.add_argument(
        "--config",
        metavar="NAME|FILE",
        help=f"a preset or a TOML file, where the file does not say it (default: {DEFAULT_CONFIG})",
    )
    add_network_options(
        parser,
        "an .npz file with typical inputs: compiles the network, and says exactly what fits the machine",
    )
    parser.add_argument("--json", action="store_true", help="print one object: every node with its place")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the table, or the object."""
    explanation, is_judged = _explained(args)
    say("")
    if args.json:
        shares = {target: explanation.share(target) for target in ("accelerator", "cpu")}
        print(json.dumps({**explanation.to_json(), "shares": shares, "compiled": not is_judged}, indent=2))
        return 0
    print(explanation)
    if not explanation.programs:
        print("\nall of it on the CPU, nothing on the accelerator")
        return 0
    share = f"{explanation.share('accelerator'):.1%} of the multiply-accumulates of a sample"
    print(f"\n{share} on the accelerator, {explanation.programs} of {explanation.kernels} steps")
    if is_judged:
        note(_JUDGED)
    return 0


def _explained(args: argparse.Namespace) -> "tuple[Explanation, bool]":
    """The explanation, and whether nothing was compiled for it."""
    from tilewright.api.compile import compile_named, explain_named
    from tilewright.cli.network import note_own_scales, open_network, sized_network
    from tilewright.cli.option import refuse_options
    from tilewright.compiler.quantise.quantise import has_scales
    from tilewright.isa.error import TilewrightError

    args.float = False
    network = open_network(args)
    if network.package is not None:
        refuse_options(args, ("calibrate", "ranges"), "it is compiled already")
        return network.package.explain(), False
    calibration = None if args.calibrate is None else network.inputs.read(args.calibrate)
    network = sized_network(network, args, {args.calibrate: calibration})
    note_own_scales(network, args)
    try:
        if calibration is None and not has_scales(network.source.function):
            return explain_named(network.source, network.config), True
        package = compile_named(
            network.source,
            network.config,
            calibration=calibration,
            ranges=args.ranges or RANGES[0],
            accelerator=True,
            progress=say,
        )
    except TilewrightError as error:
        raise TilewrightError(f"{args.file}: {error}") from None
    return package.explain(), False
