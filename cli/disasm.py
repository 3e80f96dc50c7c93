"""`tilewright disasm`: from an executable to the text of its program."""

import argparse


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "disasm",
        help="print the program of an executable as text",
        description="Print the program of an executable as text, of which `asm` makes it again.",
    )
    parser.add_argument("file", metavar="FILE", help="the executable")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the configuration, the regions and the instructions, as `tilewright asm` reads them."""
    from tilewright.isa.assembly import disassemble
    from tilewright.isa.executable import Executable

    executable = Executable.load(args.file)
    print(disassemble(executable.program(), executable.config, executable.regions), end="")
    return 0
