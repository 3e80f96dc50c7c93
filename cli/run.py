"""`tilewright run`: a model or a program on a device."""

import argparse

from tilewright.cli.kind import Kind, kind_of
from tilewright.cli.option import (
    add_machine_options,
    add_model_options,
    add_program_options,
    refuse_options,
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "run",
        help="run a network or a program on the simulator, in the gates or on the CPU",
        description="Run a network (ONNX), a package, or a program; what FILE is, its contents say.",
    )
    parser.add_argument(
        "file", metavar="MODEL|PROGRAM", help="ONNX, a package, an executable, or a program as text"
    )
    add_machine_options(parser)
    add_model_options(parser)
    add_program_options(parser)
    _add_time_options(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run it, write what was asked for, and print the answer and what it took."""
    if args.ablate:
        refuse_options(args, ("time_only",), "--ablate runs for the time alone as it is")
        from tilewright.cli.run_ablation import run_ablation

        return run_ablation(args)
    if kind_of(args.file) is Kind.PROGRAM:
        from tilewright.cli.run_program import run_program

        return run_program(args)
    from tilewright.cli.run_model import run_model

    return run_model(args)


def _add_time_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where the time goes")
    group.add_argument(
        "--timeline", action="store_true", help="draw what each engine does, as wide as the terminal"
    )
    group.add_argument(
        "--window",
        metavar="FIRST:END",
        type=_window,
        help="draw only these cycles of the timeline (END is left out)",
    )
    group.add_argument(
        "--time-only",
        action="store_true",
        help="compute nothing: cycles and all that is told of them, on the simulator; no data change these",
    )
    group.add_argument(
        "--ablate",
        "--null",
        metavar="UNIT",
        action="append",
        help=(
            "run once more with a unit replaced by no-ops, and say what that saves: dma, matrix, vector, or "
            "load or store alone; `each` stands for the first three. Such a run gives no results"
        ),
    )


def _window(text: str) -> tuple[int, int]:
    """The cycles of FIRST:END."""
    first, separator, end = text.partition(":")
    if not separator or not first.isdecimal() or not end.isdecimal():
        raise argparse.ArgumentTypeError(f"must be FIRST:END, two cycles, not {text!r}")
    return int(first), int(end)
