"""The timeline of a run as text: a lane for each engine, a column for so many cycles."""

from collections.abc import Iterator, Sequence
from string import ascii_letters
from textwrap import wrap
from typing import NamedTuple

import numpy as np

from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable
from tilewright.isa.memory import Engine
from tilewright.runtime.device import DeviceResult
from tilewright.runtime.engine_time import Cycles, spans_of
from tilewright.runtime.trace import ProgramRun, joined_timeline
from tilewright.sim.timeline import Timeline

DEFAULT_WIDTH = 100
LEAST_WIDTH = 60
_LABEL = max(len(engine.label) for engine in Engine) + 1
_SHARE = len(" 100%")
_TICK = 10
"""Columns from one mark of the axis to the next."""


class Glyphs(NamedTuple):
    """What a column is drawn with.

    Members:
        busy: by the share of its cycles in which the engine is busy, rising; the last one for all of them.
        waiting, stalled: for columns without a busy cycle.
    """

    busy: str
    waiting: str
    stalled: str


BLOCKS = Glyphs(busy="░▒▓█", waiting="·", stalled="x")
ASCII = Glyphs(busy="-=%#", waiting=".", stalled="x")


class Mark(NamedTuple):
    """Something that begins, a layer for instance."""

    name: str
    cycle: int


class Lane(NamedTuple):
    """The cycles of one engine in each column, int64[columns]; what is missing it was idle."""

    busy: Cycles
    waiting: Cycles
    stalled: Cycles


def lanes(timeline: Timeline, edges: Cycles) -> dict[Engine, Lane]:
    """What each engine did between each edge and the next.

    Args:
        timeline: of a run.
        edges: cycles, int64[columns + 1], rising.
    """
    return {engine: _lane(timeline, engine, edges) for engine in Engine}


def timeline_text(
    executable: Executable,
    result: DeviceResult,
    *,
    width: int = DEFAULT_WIDTH,
    window: tuple[int, int] | None = None,
    glyphs: Glyphs = BLOCKS,
    marks: Sequence[Mark] = (),
) -> str:
    """A picture of a run of one program, as `timelines_text` has it."""
    runs = [(executable, result)]
    return timelines_text(runs, width=width, window=window, glyphs=glyphs, marks=marks)


def timelines_text(
    runs: Sequence[ProgramRun],
    *,
    width: int = DEFAULT_WIDTH,
    window: tuple[int, int] | None = None,
    glyphs: Glyphs = BLOCKS,
    marks: Sequence[Mark] = (),
) -> str:
    """A picture of a run: an axis of cycles, a lane for each engine with its busy share, a legend.

    Args:
        runs: programs that ran one after the other on any device; one that does not see what an instruction
            waits for shows all waits alike.
        width: characters of a line, at least `LEAST_WIDTH`.
        window: first cycle, and the one behind the last; None: all.
        glyphs: `BLOCKS`, or `ASCII` for terminals without them.
        marks: what begins when, shown by letters over the lanes.

    Raises:
        TilewrightError: if the width or the window does not fit.
    """
    timeline = joined_timeline(runs)
    sees_reasons = all(result.tokens_ready is not None for _, result in runs)
    first, end = _checked(timeline.cycles, width, window)
    most = width - _LABEL - _SHARE
    step = -(-(end - first) // most)
    edges = np.minimum(np.arange(first, end + step, step), end)
    found = lanes(timeline, edges)
    head = f"{'':{_LABEL}}cycles {first:,} to {end - 1:,}, {step:,} a column"
    lines = [head, *_axis(first, step, len(edges) - 1)]
    for engine, lane in found.items():
        drawn = _drawn(lane, np.diff(edges), glyphs)
        share = f"{lane.busy.sum() / (end - first):.0%}"
        lines.append(f"{engine.label:{_LABEL}}{drawn} {share:>4}")
    shown = [mark for mark in marks if first <= mark.cycle < end]
    if shown:
        lines.insert(3, f"{'begin':{_LABEL}}{_letters(shown, first, step)}")
    legend = _legend(glyphs, sees_reasons)
    return "\n".join([*lines, *legend, *_names(shown, width)])


# --- counting ----------------------------------------------------------------------------------------------


def _lane(timeline: Timeline, engine: Engine, edges: Cycles) -> Lane:
    return Lane(*(spans.within(edges) for spans in spans_of(timeline, engine)))


# --- drawing -----------------------------------------------------------------------------------------------


def _checked(cycles: int, width: int, window: tuple[int, int] | None) -> tuple[int, int]:
    """The window, cut to the run."""
    if width < LEAST_WIDTH:
        raise TilewrightError(f"a timeline must be at least {LEAST_WIDTH} characters wide, not {width}")
    first, end = window or (0, cycles)
    if not 0 <= first < min(end, cycles):
        text = f"cycles of a timeline must be FIRST:END with 0 <= FIRST < END, FIRST below {cycles:,}"
        raise TilewrightError(f"{text}, not {first}:{end}")
    return first, min(end, cycles)


def _axis(first: int, step: int, columns: int) -> Iterator[str]:
    """Numbers over marks, as many as have room."""
    numbers, marks = "", ""
    for column in range(0, columns, _TICK):
        number = f"{first + column * step:,}"
        marks += f"{'|':{_TICK}}"
        if len(numbers) <= column and column + len(number) <= columns:
            numbers = f"{numbers:{column}}{number} "
    for line in (numbers, marks[:columns]):
        yield f"{'':{_LABEL}}{line}".rstrip()


def _drawn(lane: Lane, sizes: Cycles, glyphs: Glyphs) -> str:
    rows = zip(*(counts.tolist() for counts in lane), sizes.tolist(), strict=True)
    return "".join(_glyph(glyphs, *row) for row in rows)


def _glyph(glyphs: Glyphs, busy: int, waiting: int, stalled: int, size: int) -> str:
    if busy:
        return glyphs.busy[busy * (len(glyphs.busy) - 1) // size]
    rest = {glyphs.stalled: stalled, glyphs.waiting: waiting, " ": size - waiting - stalled}
    return max(rest, key=lambda glyph: rest[glyph])


def _legend(glyphs: Glyphs, sees_reasons: bool) -> Iterator[str]:
    few, some, most, always = tuple(glyphs.busy)
    yield f"{always} busy all the time, {most} over 2/3, {some} over 1/3, {few} less; else"
    if sees_reasons:
        yield f"{glyphs.waiting} waiting for tokens, {glyphs.stalled} for a port, blank: nothing to do"
    else:
        yield f"{glyphs.waiting} waiting, blank: nothing to do"


def _letters(marks: Sequence[Mark], first: int, step: int) -> str:
    """The letter of each mark over its column; of those that begin in one column, the first's."""
    columns: dict[int, str] = {}
    for number, mark in enumerate(marks):
        columns.setdefault((mark.cycle - first) // step, _letter(number))
    return "".join(columns.get(column, " ") for column in range(max(columns) + 1))


def _names(marks: Sequence[Mark], width: int) -> list[str]:
    named = (f"{_letter(number)}={mark.name} ({mark.cycle:,})" for number, mark in enumerate(marks))
    return wrap(", ".join(named), width, break_long_words=True)


def _letter(number: int) -> str:
    return ascii_letters[number % len(ascii_letters)]
