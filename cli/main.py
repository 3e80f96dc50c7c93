"""The door of the command line: one module for each command, one line for each error of the input."""

import argparse
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from types import ModuleType

from tilewright.cli.stream import drop_stdout, flush_stdout, prepare_streams, say_error
from tilewright.isa.error import TilewrightError

# The commands in the order of the help, each a module of this room with `add_parser(subparsers)`, which
# returns its parser, and `run(args)`, which returns the exit code. Such a module imports numpy and the other
# rooms inside of functions only: the help must come at once.
COMMANDS: tuple[str, ...] = (
    "run",
    "compile",
    "tune",
    "explain",
    "accuracy",
    "finetune",
    "cotune",
    "asm",
    "disasm",
    "check",
    "verilog",
    "fpga",
    "regmap",
    "configs",
    "doctor",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 success, 1 an error of the input, 2 wrong usage.

    An error of the input is one line on stderr, without a traceback; wrong usage leaves through
    SystemExit(2), as argparse has it. So is what the operating system refuses: a file, a full disk, memory, a
    stream that cannot be written. Anything else that is raised is a mistake in Tilewright and keeps its
    traceback.
    """
    prepare_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except TilewrightError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # The reader of our output has gone: leave quietly.
        drop_stdout()
        return 1
    except OSError as error:
        return _fail(_describe_os_error(error))
    except MemoryError as error:
        return _fail(f"not enough memory: {error}" if str(error) else "not enough memory")
    except KeyboardInterrupt:
        return 130


def _run(arguments: Sequence[str]) -> int:
    """The exit code of the command, with all of its output written."""
    try:
        args = build_parser(_named_commands(arguments)).parse_args(arguments)
        code = int(args.run(args))
    finally:
        flush_stdout()
    return code


def build_parser(commands: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser of the command line with the named commands (default: all)."""
    parser = argparse.ArgumentParser(
        prog="tilewright", description=metadata.metadata("tilewright")["Summary"]
    )
    parser.add_argument("--version", action="version", version=f"tilewright {metadata.version('tilewright')}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in commands:
        module = load_command(name)
        module.add_parser(subparsers).set_defaults(run=module.run)
    return parser


def load_command(name: str) -> ModuleType:
    """The module of the command `name`."""
    return importlib.import_module(f"tilewright.cli.{name}")


def _named_commands(arguments: Sequence[str]) -> tuple[str, ...]:
    """The one command that is asked for, so that no other is loaded; all of them for help and errors."""
    return tuple(name for name in COMMANDS if name in arguments[:1]) or COMMANDS


def _fail(message: str) -> int:
    # What is left for stdout cannot be written: the error says so, and the exit would say it again.
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        drop_stdout()
    say_error(message)
    return 1


def _describe_os_error(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return reason
    # A descriptor has no name to tell.
    return f"{os.fsdecode(error.filename)}: {reason}" if isinstance(error.filename, str | bytes) else reason


if __name__ == "__main__":
    sys.exit(main())
