"""`tilewright finetune`: a network trained so that its integers are near its floats, or right."""

import argparse
import json
import math
import os
from typing import TYPE_CHECKING, Any

from tilewright.cli.machine import DEFAULT_CONFIG
from tilewright.cli.option import RANGES, add_size_option, positive
from tilewright.cli.terminal import note, say

if TYPE_CHECKING:
    from tilewright.api.finetune import Finetuning
    from tilewright.api.finetune_figure import FinetuneEpoch
    from tilewright.cli.network import OpenedNetwork
    from tilewright.runtime.model_input import Samples

EPOCHS, BATCH, LEARNING_RATE = 10, 32, 1e-4
"""As of the API, which is not imported before it is needed."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "finetune",
        help="train a network so that its integers are near its floats",
        description=(
            "Train weights and scales of an ONNX network of floats with what integers leave of its values, "
            "and write it as an ONNX file with scales of its own (QDQ), which run and compile take as it is. "
            "What is wanted are the network's own outputs in floats, so that no labels are needed. The best "
            "epoch is written, also where Ctrl-C ends the training."
        ),
    )
    parser.add_argument("file", metavar="MODEL", help="an ONNX file of floats")
    parser.add_argument("-o", dest="output", metavar="FILE.onnx", required=True, help="the file to write")
    parser.add_argument("--data", metavar="FILE.npz", required=True, help="typical inputs by name")
    parser.add_argument(
        "--validate", metavar="FILE.npz", help="other inputs, which judge each epoch (default: the data)"
    )
    parser.add_argument(
        "--labels",
        metavar="NAME",
        help="the array of these files with the right class of each sample: what is wanted instead",
    )
    _add_steps(parser)
    parser.add_argument("--config", metavar="NAME|FILE", help=f"the machine (default: {DEFAULT_CONFIG})")
    parser.add_argument("--ranges", choices=RANGES, default=RANGES[0], help="where scales start")
    add_size_option(parser)
    parser.add_argument(
        "--json", action="store_true", help="print one object: epochs, figures before and after"
    )
    return parser


def _add_steps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--epochs",
        metavar="N",
        type=positive,
        default=EPOCHS,
        help="passes over the data (default: %(default)s)",
    )
    parser.add_argument(
        "--batch", metavar="N", type=positive, default=BATCH, help="samples of a step (default: %(default)s)"
    )
    parser.add_argument(
        "--learning-rate",
        metavar="X",
        type=_positive_number,
        default=LEARNING_RATE,
        help="the most that a step changes, as a share of the largest weight (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes", metavar="M", type=_positive_number, help="begin no epoch behind that time (default: all)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the samples' order")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from FILE.onnx.checkpoint, which a training that was ended has left",
    )


def run(args: argparse.Namespace) -> int:
    """Train, write the file, and say what it gained."""
    from tilewright.cli.network import open_network
    from tilewright.cli.output import require_apart, require_no_weights, write_files
    from tilewright.isa.error import TilewrightError

    checkpoint = f"{args.output}.checkpoint"
    require_apart((args.output, checkpoint), (args.file, args.config, args.data, args.validate))
    require_no_weights(args.file, (args.output, checkpoint))
    if not os.path.isdir(os.path.dirname(args.output) or "."):
        # Known before hours of training, not behind them.
        raise TilewrightError(f"{args.output}: must be in a folder that is there")
    if args.resume and not os.path.exists(checkpoint):
        raise TilewrightError(f"{checkpoint}: must be there to go on: leave --resume away")
    args.float = False
    network = open_network(args)
    if network.package is not None:
        raise TilewrightError(f"{args.file}: must be an ONNX file, not a compiled model")
    try:
        training = _training(args, network)
        epochs, is_whole = _trained(args, training, checkpoint)
        contents = training.contents()
        # Not before all else is done: what was learned is not lost if this fails.
        write_files({args.output: contents})
        _tell(args, training, epochs)
    except TilewrightError as error:
        raise TilewrightError(f"{args.file}: {error}") from None
    if is_whole:
        os.remove(checkpoint)
    return 0


def _training(args: argparse.Namespace, network: "OpenedNetwork") -> "Finetuning":
    from tilewright.api.finetune import FinetuneOptions, Finetuning
    from tilewright.cli.network import sized_network

    data, labels = _read(args.data, args, network)
    judge, judge_labels = (None, None) if args.validate is None else _read(args.validate, args, network)
    network = sized_network(network, args, {args.data: data})
    options = FinetuneOptions(
        epochs=args.epochs,
        batch=args.batch,
        learning_rate=args.learning_rate,
        seed=args.seed,
        ranges=args.ranges,
    )
    training = Finetuning(
        network.source,
        data,
        labels,
        judge=judge,
        judge_labels=judge_labels,
        config=network.config,
        options=options,
        progress=say,
    )
    say("")
    return training


def _read(path: str, args: argparse.Namespace, network: "OpenedNetwork") -> "tuple[Samples, Any]":
    """Inputs, and labels if the user names them."""
    from tilewright.cli.data import read_arrays
    from tilewright.isa.error import TilewrightError

    arrays = dict(read_arrays(path, network.inputs.shapes))
    others = [name for name in arrays if name not in network.inputs.shapes]
    if args.labels is None:
        if others and arrays.keys() >= network.inputs.shapes.keys():
            raise TilewrightError(
                f"{path}: must hold inputs alone, and has {', '.join(others)}: name labels with "
                f"--labels {others[0]}, or leave it out of the file"
            )
        return network.inputs.checked(path, arrays), None
    if args.labels in network.inputs.shapes or args.labels not in arrays:
        listed = ", ".join(others) or "no other"
        raise TilewrightError(
            f"{path}: labels must be an array beside the inputs, {listed}, not {args.labels!r}"
        )
    labels = arrays.pop(args.labels)
    return network.inputs.checked(path, arrays), labels


def _trained(
    args: argparse.Namespace, training: "Finetuning", checkpoint: str
) -> "tuple[list[FinetuneEpoch], bool]":
    """Each epoch, told as it ends; and whether none is left."""
    if not args.resume and os.path.exists(checkpoint):
        os.remove(checkpoint)
    epochs: list[FinetuneEpoch] = []
    try:
        for epoch in training.run(checkpoint=checkpoint, minutes=args.minutes, progress=say):
            epochs.append(epoch)
            say("")
            if not args.json:
                print(_line(args, epoch), flush=True)
    except KeyboardInterrupt:
        note("ended early: the best epoch is written")
    is_whole = training.epoch == args.epochs and os.path.exists(checkpoint)
    if not is_whole and os.path.exists(checkpoint):
        note(f"{training.epoch} of {args.epochs} epochs are done: --resume goes on with the others")
    return epochs, is_whole


def _positive_number(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")
    return number


def _line(args: argparse.Namespace, epoch: "FinetuneEpoch") -> str:
    judged = f"{'validation' if args.validate else 'data'} {epoch.judgement}"
    if epoch.loss is None:
        return f"calibrated: {judged}"
    return f"epoch {epoch.number}: loss {epoch.loss:.4g}, {judged}{' *' if epoch.is_best else ''}"


def _tell(args: argparse.Namespace, training: "Finetuning", epochs: "list[FinetuneEpoch]") -> None:
    before, after = (training.measured(each) for each in (training.calibrated, training.network))
    say("")
    if args.json:
        told = {"epochs": [each.to_json() for each in epochs]}
        print(json.dumps({**told, "before": before.to_json(), "after": after.to_json()}, indent=2))
        return
    print(f"integers before: {before}")
    print(f"integers after:  {after}")
