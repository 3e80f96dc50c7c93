"""`tilewright check`: hazards, deadlocks and ranges of a program."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilewright.isa.checker import Problem, Report
    from tilewright.isa.config import Config
    from tilewright.isa.instruction import Instruction


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser("check", help="hazards, deadlocks and ranges of a program")
    parser.add_argument("file", metavar="FILE", help="a program as text, or an executable")
    parser.add_argument(
        "--config", metavar="NAME|FILE", help="a preset or a TOML file, if no .config says it"
    )
    parser.add_argument("--json", action="store_true", help="print one object: every problem with its place")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print every problem of the program, or that there is none; 1 if there is one."""
    from tilewright.isa.checker import check

    source = _read(args.file, args.config)
    report = check(source.program, source.config, region_bytes=source.region_bytes)
    if args.json:
        print(json.dumps(_describe(source, report), indent=2))
    else:
        print("\n".join(source.locate(problem) for problem in report.problems) or "no problems")
    return 0 if report.ok else 1


@dataclass(frozen=True)
class _Source:
    """A program to check.

    Members:
        path: where it was read.
        program: its instructions.
        config: the machine.
        region_bytes: the bytes behind each base register; None if the program declares no region.
        lines: the line of each instruction in a text; empty for an executable.
    """

    path: str
    program: "Sequence[Instruction]"
    config: "Config"
    region_bytes: dict[int, int] | None
    lines: tuple[int, ...] = ()

    def locate(self, problem: "Problem") -> str:
        """The problem in one line, after the place of the last instruction that is concerned."""
        if not self.lines or not problem.instructions:
            return f"{self.path}: {problem}"
        return f"{self.path}:{self.lines[max(problem.instructions)]}: {problem}"


def _read(path: str, config: str | None) -> _Source:
    from tilewright.isa.executable import MAGIC

    with open(path, "rb") as file:
        executable = file.read(len(MAGIC)) == MAGIC
    return _read_executable(path, config) if executable else _read_text(path, config)


def _read_executable(path: str, config: str | None) -> _Source:
    from tilewright.isa.executable import Executable

    executable = Executable.load(path)
    sizes = {region.base: region.size_bytes for region in executable.regions}
    machine = _machine(path, executable.config, config)
    return _Source(path, executable.program(), machine, sizes or None)


def _read_text(path: str, config: str | None) -> _Source:
    from tilewright.isa.assembly import assemble
    from tilewright.isa.error import TilewrightError

    try:
        with open(path, encoding="utf-8") as file:
            assembly = assemble(file.read(), path)
    except UnicodeDecodeError as error:
        raise TilewrightError(f"{path}: must be an executable or text in UTF-8: {error}") from None
    sizes = {region.base: region.size_bytes for region in assembly.regions}
    machine = _machine(path, assembly.config, config)
    return _Source(path, assembly.program, machine, sizes or None, assembly.lines)


def _machine(path: str, own: "Config | None", name: str | None) -> "Config":
    """The configuration of the file or of the command line."""
    from tilewright.isa.config import load_config
    from tilewright.isa.error import TilewrightError

    named = None if name is None else load_config(name)
    if own is not None and named not in (None, own):
        raise TilewrightError(f"{path}: is made for another machine than --config {name}: drop one")
    machine = own or named
    if machine is None:
        raise TilewrightError(f"{path}: must name its machine: add .config NAME, or give --config NAME")
    return machine


def _describe(source: _Source, report: "Report") -> dict[str, object]:
    problems = [
        {"kind": problem.kind, "instructions": problem.instructions, "text": problem.text}
        for problem in report.problems
    ]
    return {"instructions": len(source.program), "config": source.config.digest().hex(), "problems": problems}
