"""What commands say on stderr besides errors: notes, and progress where it is a terminal."""

import re
import shutil
import sys
import time
from collections.abc import Callable

_CELLS, _MARKS = 24, "█·"
_SECONDS = 0.05
"""Between two drawings of one step."""
_NUMBERS = re.compile(r"[\d,]+")
_drawn: dict[str, float] = {}
"""The step that was drawn last, without its numbers, and when."""


def note(text: str) -> None:
    """Say what the user should know, on a line of its own."""
    say("")
    print(f"tilewright: {text}", file=sys.stderr)


def say(text: str, share: float | None = None, /) -> None:
    """Replace the line of progress, on a terminal.

    Args:
        text: what is being done; "" where the line ends.
        share: how much of that is done, from 0 to 1, drawn as a bar; None: nobody knows.
    """
    if not sys.stderr.isatty():
        return
    now, step = time.monotonic(), _NUMBERS.sub("", text)
    if share is not None and share < 1 and now - _drawn.get(step, -_SECONDS) < _SECONDS:
        # More than an eye can see.
        return
    _drawn.clear()
    _drawn[step] = now
    room = shutil.get_terminal_size().columns - 1
    print(f"\r\x1b[K{(_bar(share) + text)[:room]}", end="", file=sys.stderr, flush=True)


def _bar(share: float | None) -> str:
    if share is None:
        return ""
    done = int(share * _CELLS)
    marks = _MARKS if (sys.stderr.encoding or "").lower().startswith("utf") else "#."
    return f"{marks[0] * done}{marks[1] * (_CELLS - done)} {share:4.0%}  "


def cycle_progress() -> Callable[[int], None] | None:
    """Says on a terminal how far a run is."""
    return (lambda cycles: say(f"{cycles:,} cycles")) if sys.stderr.isatty() else None
