"""The door of the command line: one module for each command, one line for each error of the input."""

import argparse
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from types import ModuleType

from tilewright.isa.error import TilewrightError

# The commands in the order of the help, each a module of this room with `add_parser(subparsers)`, which
# returns its parser, and `run(args)`, which returns the exit code. Such a module imports numpy and the other
# rooms inside of functions only: the help must come at once.
COMMANDS: tuple[str, ...] = ("run", "compile", "asm", "disasm", "check", "verilog", "configs", "doctor")

# What can be wrong with a path that the user named.
_PATH_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 success, 1 an error of the input, 2 wrong usage.

    An error of the input is one line on stderr, without a traceback; wrong usage leaves through
    SystemExit(2), as argparse has it. Anything else that is raised is a mistake in Tilewright and keeps its
    traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = build_parser(_named_commands(arguments)).parse_args(arguments)
    try:
        return int(args.run(args))
    except TilewrightError as error:
        return _fail(str(error))
    except _PATH_ERRORS as error:
        return _fail(_describe_path_error(error))
    except BrokenPipeError:
        return _close_stdout()
    except KeyboardInterrupt:
        return 130


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
    print(f"tilewright: error: {message}", file=sys.stderr)
    return 1


def _describe_path_error(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename is not None else str(error)


def _close_stdout() -> int:
    """The reader of our output has gone: leave quietly, also when the interpreter flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


if __name__ == "__main__":
    sys.exit(main())
