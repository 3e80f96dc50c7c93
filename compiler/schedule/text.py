"""Schedules as text: a line a primitive, that parses back."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import get_type_hints

from tilewright.compiler.schedule.buffer_depth import BufferDepth
from tilewright.compiler.schedule.cache_read import CacheRead
from tilewright.compiler.schedule.cache_write import CacheWrite
from tilewright.compiler.schedule.compute_at import ComputeAt
from tilewright.compiler.schedule.decompose_reduction import DecomposeReduction
from tilewright.compiler.schedule.error import ScheduleError
from tilewright.compiler.schedule.fuse import Fuse
from tilewright.compiler.schedule.inline import Inline
from tilewright.compiler.schedule.loop_kind import Parallel, Unroll, Vectorise, VirtualThread
from tilewright.compiler.schedule.pipeline import Pipeline
from tilewright.compiler.schedule.prefetch import Prefetch
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.schedule.r_factor import RFactor
from tilewright.compiler.schedule.reorder import Reorder
from tilewright.compiler.schedule.reverse_compute_at import ReverseComputeAt
from tilewright.compiler.schedule.reverse_inline import ReverseInline
from tilewright.compiler.schedule.set_scope import SetScope
from tilewright.compiler.schedule.split import Split, SplitParts
from tilewright.compiler.schedule.split_first import SplitFirst
from tilewright.compiler.schedule.split_select import SplitSelect
from tilewright.compiler.schedule.storage_align import StorageAlign
from tilewright.compiler.schedule.tile import Tile
from tilewright.compiler.schedule.unit_loop import UnitLoop
from tilewright.compiler.tir.buffer import MemoryScope

PRIMITIVES: tuple[type[Primitive], ...] = (
    CacheRead,
    CacheWrite,
    ComputeAt,
    DecomposeReduction,
    Fuse,
    Inline,
    Parallel,
    Pipeline,
    Prefetch,
    RFactor,
    Reorder,
    ReverseComputeAt,
    ReverseInline,
    SetScope,
    Split,
    SplitFirst,
    SplitParts,
    SplitSelect,
    StorageAlign,
    Tile,
    UnitLoop,
    Unroll,
    Vectorise,
    BufferDepth,
    VirtualThread,
)


def print_schedule(primitives: Sequence[Primitive]) -> str:
    """The schedule, a line a primitive: `split loop=out_y factor=8 outer=yo inner=yi`."""
    return "\n".join(str(primitive) for primitive in primitives)


def parse_schedule(text: str, further: Sequence[type[Primitive]] = ()) -> tuple[Primitive, ...]:
    """The schedule that `print_schedule` printed; empty lines and what follows a # are skipped.

    Args:
        text: a line a primitive.
        further: primitives beside `PRIMITIVES`: those of a target.

    Raises:
        ScheduleError: with a line for each mistake: its line and column, and what would be right.
    """
    by_verb = {kind.verb(): kind for kind in (*PRIMITIVES, *further)}
    found: list[Primitive] = []
    mistakes: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = [_Word(match[0], match.start() + 1) for match in _WORD.finditer(line.partition("#")[0])]
        try:
            found += [_parse(words, by_verb)] if words else []
        except _Mistake as mistake:
            mistakes.append(f"line {number}: {mistake} (column {mistake.column})")
    if mistakes:
        raise ScheduleError("\n".join(mistakes))
    return tuple(found)


_SHOWN = 60
"""Characters of a word that messages show; no name is as long."""
_LONGEST_INTEGER = 18
_WORD = re.compile(r"\S+")
_INTEGER = re.compile(r"-?[0-9]+")


@dataclass(frozen=True)
class _Word:
    """A word of a line; columns count from 1."""

    text: str
    column: int

    @property
    def shown(self) -> str:
        """The word in quotes as messages show it: its beginning, if it is very long."""
        return repr(self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}…")

    @property
    def parts(self) -> tuple["_Word", "_Word"]:
        """name and value of name=value."""
        name, equals, value = self.text.partition("=")
        if not name or not equals:
            raise _Mistake(self.column, f"{self.shown} must be name=value")
        return _Word(name, self.column), _Word(value, self.column + len(name) + 1)

    @property
    def items(self) -> tuple["_Word", ...]:
        """The parts between commas; none of an empty word."""
        found: list[_Word] = []
        column = self.column
        for text in self.text.split(",") if self.text else ():
            found.append(_Word(text, column))
            column += len(text) + 1
        return tuple(found)


class _Mistake(Exception):
    """A mistake in a line, and its column."""

    def __init__(self, column: int, reason: str) -> None:
        super().__init__(reason)
        self.column = column


def _parse(words: Sequence[_Word], by_verb: Mapping[str, type[Primitive]]) -> Primitive:
    verb, *rest = words
    kind = by_verb.get(verb.text)
    if kind is None:
        raise _Mistake(verb.column, f"the verb must be {_choice(verb.text, by_verb)}, not {verb.shown}")
    types = get_type_hints(kind)
    names = [item.name for item in fields(kind)]
    values: dict[str, object] = {}
    for word in rest:
        name, value = word.parts
        if name.text in values:
            raise _Mistake(name.column, f"{name.text} must be given once: leave this one out")
        if name.text not in names:
            wanted = _choice(name.text, names)
            raise _Mistake(name.column, f"{verb.text} must have {wanted}, not {name.shown}")
        values[name.text] = _value(name.text, value, types[name.text])
    missing = [name for name in names if name not in values]
    if missing:
        end = words[-1].column + len(words[-1].text)
        wanted = ", ".join(f"{name}=…" for name in missing)
        raise _Mistake(end, f"{verb.text} must have {', '.join(names)}: add {wanted}")
    return kind(**values)


def _value(name: str, word: _Word, kind: object) -> object:
    if kind is int:
        return _integer(name, word)
    if kind == tuple[int, ...]:
        return tuple(_integer(name, part) for part in word.items)
    if kind is MemoryScope:
        if word.text not in list(MemoryScope):
            raise _Mistake(word.column, f"{name} must be {_choice(word.text, MemoryScope)}, not {word.shown}")
        return MemoryScope(word.text)
    if kind is str:
        if not word.text.isidentifier():
            raise _Mistake(word.column, f"{name} must be a name, not {word.shown}")
        return word.text
    parts = tuple(word.text.split(",")) if word.text else ()
    if not all(part.isidentifier() for part in parts):
        raise _Mistake(word.column, f"{name} must be names with commas between them, not {word.shown}")
    return parts


def _integer(name: str, word: _Word) -> int:
    if not _INTEGER.fullmatch(word.text):
        raise _Mistake(word.column, f"{name} must be an integer, not {word.shown}")
    if len(word.text) > _LONGEST_INTEGER:
        reason = f"{name} must be an integer of at most {_LONGEST_INTEGER} digits, not {word.shown}"
        raise _Mistake(word.column, reason)
    return int(word.text)


def _choice(text: str, known: Iterable[str]) -> str:
    """The remedy: the most similar name, or all names."""
    near = get_close_matches(text[:_SHOWN], list(known), n=1)
    return near[0] if near else f"one of {', '.join(known)}"
