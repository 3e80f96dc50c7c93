"""The standard streams of a command, whatever the caller made of them."""

import codecs
import os
import sys
from contextlib import suppress
from typing import TextIO

_PLAIN = {"×": "x", "–": "-", "−": "-", "…": "...", "·": "."}
"""What stands for characters that a terminal lacks; others are written as their numbers."""
_ERRORS = "tilewright.plain"


def prepare_streams() -> None:
    """Give every standard stream a descriptor, and stdout a way to say what its encoding lacks.

    Without it a stream that the caller closed would be that of the next file that is opened, and errors would
    go to stdout.
    """
    if sys.stdin is None:
        _occupy(0, os.O_RDONLY)
    if sys.stdout is None:
        # Not to be written: what a command has to say is lost, and it must not say that all is well.
        sys.stdout = _occupy(1, os.O_RDONLY)
    if sys.stderr is None:
        sys.stderr = _occupy(2, os.O_WRONLY)
    codecs.register_error(_ERRORS, _plain)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors=_ERRORS)


def flush_stdout() -> None:
    """Bring out what was printed.

    Raises:
        OSError: naming the stream, if it cannot be written.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        error.filename = error.filename or "standard output"
        raise


def drop_stdout() -> None:
    """Nothing more can be written there: the interpreter must not try so again at its exit."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def say_error(message: str) -> None:
    """A line on stderr, where there is one that can be written."""
    try:
        print(f"tilewright: error: {message}", file=sys.stderr, flush=True)
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _occupy(descriptor: int, flags: int) -> TextIO:
    opened = os.open(os.devnull, flags)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    return os.fdopen(descriptor, "r" if descriptor == 0 else "w", encoding="utf-8", closefd=False)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(each) or _numbered(each) for each in text), error.end


def _numbered(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()
