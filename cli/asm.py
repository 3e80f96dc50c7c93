"""`tilewright asm`: from the text of a program to an executable."""

import argparse
from typing import TYPE_CHECKING

from tilewright.cli.output import require_apart
from tilewright.cli.program import choose_config

if TYPE_CHECKING:
    from tilewright.isa.assembly import Assembly
    from tilewright.isa.config import Config


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "asm",
        help="assemble a program's text into an executable",
        description="Assemble a program: instructions, machine and memory regions, for `run` to take.",
    )
    parser.add_argument("file", metavar="FILE.s", help="the text, in UTF-8; its form is in docs/isa.md")
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the executable to write")
    parser.add_argument(
        "--config", metavar="NAME|FILE", help="a preset or a TOML file, if no .config says it"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Assemble, refuse what no machine of the configuration defines, and write the executable."""
    from tilewright.isa.assembly import assemble
    from tilewright.isa.executable import Executable
    from tilewright.isa.text_file import read_text

    assembly = assemble(read_text(args.file), args.file)
    require_apart((args.output,), (args.file, args.config, assembly.config_file))
    config = choose_config(args.file, assembly.config, args.config)
    _require_defined(assembly, config, args.file)
    Executable.of(assembly.program, config, assembly.regions).save(args.output)
    return 0


def _require_defined(assembly: "Assembly", config: "Config", source: str) -> None:
    """Refuse undefined instructions, each with its line and the reasons."""
    from tilewright.isa.encoding import decode_table, encode_program
    from tilewright.isa.error import TilewrightError
    from tilewright.isa.legality import dispatch_faults, explain_row

    if not assembly.program:
        raise TilewrightError(f"{source}: must hold an instruction, at least finish")
    table = decode_table(encode_program(assembly.program))
    undefined = dispatch_faults(table, config).nonzero()[0]
    if undefined.size:
        lines = (
            f"{source}:{assembly.lines[index]}: {'; '.join(explain_row(table, index, config))}"
            for index in undefined.tolist()
        )
        raise TilewrightError("\n".join(lines))
