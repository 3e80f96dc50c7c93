"""`tilewright check`: hazards, deadlocks and ranges of a program."""

import argparse
import json
from typing import TYPE_CHECKING

from tilewright.cli.program import AssembledProgram, read_program

if TYPE_CHECKING:
    from tilewright.isa.checker import CheckReport


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "check",
        help="say what is wrong with a program: hazards, deadlocks, ranges",
        description="Say what of a program is undefined, out of range, racy or stuck, without running it.",
    )
    parser.add_argument("file", metavar="FILE", help="a program as text, or an executable")
    parser.add_argument(
        "--config", metavar="NAME|FILE", help="a preset or a TOML file, if no .config says it"
    )
    parser.add_argument("--json", action="store_true", help="print one object: every problem with its place")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print every problem of the program, or that there is none; 1 if there is one."""
    from tilewright.isa.checker import check

    program = read_program(args.file, args.config)
    executable = program.executable
    sizes = {region.base: region.size_bytes for region in executable.regions}
    report = check(executable.program(), executable.config, region_bytes=sizes or None)
    if args.json:
        print(json.dumps(_describe(program, report), indent=2))
    else:
        print("\n".join(program.locate(problem) for problem in report.problems) or "no problems")
    return 0 if report.ok else 1


def _describe(program: AssembledProgram, report: "CheckReport") -> dict[str, object]:
    problems = [
        {"kind": problem.kind, "instructions": problem.instructions, "text": problem.text}
        for problem in report.problems
    ]
    executable = program.executable
    return {
        "instructions": len(executable.program()),
        "config": executable.config.digest().hex(),
        "problems": problems,
    }
