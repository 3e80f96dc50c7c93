"""`tilewright regmap`: the host's registers, as a table, a C header or SystemRDL."""

import argparse


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "regmap",
        help="print the host's registers, also as C or SystemRDL",
        description="Print the registers by which a host drives the machine, of whatever configuration.",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--c", action="store_true", help="as a header for drivers in C and C++")
    form.add_argument("--systemrdl", action="store_true", help="as an address map for register tools")
    parser.add_argument("-o", "--output", metavar="FILE", help="the file to write; else stdout")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print, or write the file."""
    from tilewright.cli.output import write_files
    from tilewright.cli.table import format_table
    from tilewright.isa.register_map import c_header, rows, systemrdl

    if args.c:
        text = c_header()
    elif args.systemrdl:
        text = systemrdl()
    else:
        text = format_table(("offset", "register", "bits", "access", "meaning"), list(rows())) + "\n"
    if args.output is None:
        print(text, end="")
    else:
        write_files({args.output: text.encode()})
    return 0
