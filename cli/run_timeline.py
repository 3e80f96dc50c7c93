"""`tilewright run --timeline`: a run drawn as wide as the terminal."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilewright.cli.option import refuse_options

if TYPE_CHECKING:
    from tilewright.runtime.model_runner import ModelResult
    from tilewright.runtime.timeline_text import Mark
    from tilewright.runtime.trace import ProgramRun


def refuse_timeline(args: argparse.Namespace) -> None:
    """Refuse options of the timeline that have no meaning with the others.

    Raises:
        TilewrightError: naming them.
    """
    if args.json:
        refuse_options(args, ("timeline",), "--json prints one object, --trace FILE.json has the timeline")
    if not args.timeline:
        refuse_options(args, ("window",), "give --timeline with it")


def draw_timeline(
    args: argparse.Namespace, runs: "Sequence[ProgramRun]", marks: "Sequence[Mark]" = ()
) -> str:
    """A run of programs, one after the other, as text; empty if it was not asked for.

    Args:
        args: with `timeline` and `window`.
        runs: at least one.
        marks: what begins when.

    Raises:
        TilewrightError: if the run has not the cycles of the window.
    """
    if not getattr(args, "timeline", False):
        return ""
    from tilewright.runtime.timeline_text import ASCII, BLOCKS, LEAST_WIDTH, timelines_text

    width = max(LEAST_WIDTH, shutil.get_terminal_size().columns)
    glyphs = BLOCKS if _can_print("".join(BLOCKS)) else ASCII
    return timelines_text(runs, width=width, window=args.window, glyphs=glyphs, marks=marks)


def marks_of(programs: "Sequence[ModelResult]") -> "list[Mark]":
    """When the layers of programs begin."""
    from tilewright.runtime.timeline_text import Mark

    first, marks = 0, []
    for program in programs:
        marks += [Mark(profile.layer.name, first + profile.begin) for profile in program.layers]
        first += program.cycles
    return marks


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True
