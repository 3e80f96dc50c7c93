"""What commands say on stderr besides errors: notes, and progress where it is a terminal."""

import sys
from collections.abc import Callable


def note(text: str) -> None:
    """Say what the user should know, on a line of its own."""
    say("")
    print(f"tilewright: {text}", file=sys.stderr)


def say(text: str) -> None:
    """Replace the line of progress, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def cycle_progress() -> Callable[[int], None] | None:
    """Says on a terminal how far a run is."""
    return (lambda cycles: say(f"{cycles:,} cycles")) if sys.stderr.isatty() else None
