"""`tilewright verilog`: the gates of a configuration as one Verilog file."""

import argparse


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "verilog",
        help="write the machine as one Verilog file",
        description="Write the machine of a configuration as one Verilog file; it begins with its ports.",
    )
    parser.add_argument("--config", metavar="NAME|FILE", required=True, help="a preset or a TOML file")
    parser.add_argument("-o", "--output", metavar="FILE.v", required=True, help="the file to write")
    parser.add_argument("--trace", action="store_true", help="with outputs that say what starts and finishes")
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the file."""
    from tilewright.cli.output import require_apart, write_files
    from tilewright.hw.verilog import emit
    from tilewright.isa.config import load_config

    require_apart((args.output,), (args.config,))
    write_files({args.output: emit(load_config(args.config), trace=args.trace).encode()})
    return 0
