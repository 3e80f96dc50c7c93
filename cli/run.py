"""`tilewright run`: a model or a program on a device."""

import argparse

from tilewright.cli.kind import Kind, kind_of
from tilewright.cli.option import add_machine_options, add_model_options, add_program_options


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "run",
        help="run a model or a program on the simulator or in the gates",
        description="Run a network (ONNX), a compiled model, or a program; what FILE is, its contents say.",
    )
    parser.add_argument(
        "file", metavar="MODEL|PROGRAM", help="ONNX, a compiled model, an executable, or a program as text"
    )
    add_machine_options(parser)
    add_model_options(parser)
    add_program_options(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run it, write what was asked for, and print the answer and what it took."""
    if kind_of(args.file) is Kind.PROGRAM:
        from tilewright.cli.run_program import run_program

        return run_program(args)
    from tilewright.cli.run_model import run_model

    return run_model(args)
