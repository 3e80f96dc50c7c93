"""`tilewright run --timeline`: a run drawn as wide as the terminal."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilewright.cli.option import refuse_options

if TYPE_CHECKING:
    from tilewright.isa.executable import Executable
    from tilewright.runtime.device import DeviceResult
    from tilewright.runtime.profile import LayerProfile


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
    args: argparse.Namespace,
    executable: "Executable",
    result: "DeviceResult",
    layers: Sequence["LayerProfile"] = (),
) -> str:
    """A run as text, with the beginnings of its layers; empty if it was not asked for.

    Raises:
        TilewrightError: if the run has not the cycles of the window.
    """
    if not getattr(args, "timeline", False):
        return ""
    from tilewright.runtime.timeline_text import ASCII, BLOCKS, LEAST_WIDTH, Mark, timeline_text

    width = max(LEAST_WIDTH, shutil.get_terminal_size().columns)
    glyphs = BLOCKS if _can_print("".join(BLOCKS)) else ASCII
    marks = [Mark(profile.layer.name, profile.begin) for profile in layers]
    return timeline_text(executable, result, width=width, window=args.window, glyphs=glyphs, marks=marks)


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True
