"""Schedules as text: a line a primitive, that parses back."""

from collections.abc import Sequence
from dataclasses import fields
from typing import get_type_hints

from tilewright.compiler.schedule.cache_read import CacheRead
from tilewright.compiler.schedule.cache_write import CacheWrite
from tilewright.compiler.schedule.compute_at import ComputeAt
from tilewright.compiler.schedule.decompose_reduction import DecomposeReduction
from tilewright.compiler.schedule.error import ScheduleError
from tilewright.compiler.schedule.fuse import Fuse
from tilewright.compiler.schedule.inline import Inline
from tilewright.compiler.schedule.loop_kind import Parallel, Unroll, Vectorise, VirtualThread
from tilewright.compiler.schedule.prefetch import Prefetch
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.schedule.r_factor import RFactor
from tilewright.compiler.schedule.reorder import Reorder
from tilewright.compiler.schedule.reverse_compute_at import ReverseComputeAt
from tilewright.compiler.schedule.reverse_inline import ReverseInline
from tilewright.compiler.schedule.set_scope import SetScope
from tilewright.compiler.schedule.split import Split, SplitParts
from tilewright.compiler.schedule.storage_align import StorageAlign
from tilewright.compiler.schedule.tile import Tile
from tilewright.compiler.schedule.unit_loop import UnitLoop
from tilewright.compiler.schedule.versions import Versions
from tilewright.compiler.tir.buffer import Scope

PRIMITIVES: tuple[type[Primitive], ...] = (
    CacheRead,
    CacheWrite,
    ComputeAt,
    DecomposeReduction,
    Fuse,
    Inline,
    Parallel,
    Prefetch,
    RFactor,
    Reorder,
    ReverseComputeAt,
    ReverseInline,
    SetScope,
    Split,
    SplitParts,
    StorageAlign,
    Tile,
    UnitLoop,
    Unroll,
    Vectorise,
    Versions,
    VirtualThread,
)

_BY_VERB = {kind.verb(): kind for kind in PRIMITIVES}


def print_schedule(primitives: Sequence[Primitive]) -> str:
    """The schedule, a line a primitive: `split loop=out_y factor=8 outer=yo inner=yi`."""
    return "\n".join(str(primitive) for primitive in primitives)


def parse_schedule(text: str) -> tuple[Primitive, ...]:
    """The schedule that `print_schedule` printed; empty lines and what follows a # are skipped.

    Raises:
        ScheduleError: naming the line that says nothing.
    """
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    return tuple(_parse(number, words) for number, words in enumerate(lines, 1) if words)


def _parse(number: int, words: list[str]) -> Primitive:
    kind = _BY_VERB.get(words[0])
    if kind is None:
        raise ScheduleError(f"line {number}: the verb must be one of {', '.join(_BY_VERB)}, not {words[0]!r}")
    types = get_type_hints(kind)
    names = [item.name for item in fields(kind)]
    given = dict(word.partition("=")[::2] for word in words[1:])
    if sorted(given) != sorted(names) or len(words) != len(names) + 1:
        raise ScheduleError(
            f"line {number}: {words[0]} must have {', '.join(names)}, each once as name=value"
        )
    return kind(**{name: _value(number, name, given[name], types[name]) for name in names})


def _value(number: int, name: str, text: str, kind: object) -> object:
    if kind is int:
        if not text.lstrip("-").isdecimal():
            raise ScheduleError(f"line {number}: {name} must be an integer, not {text!r}")
        return int(text)
    if kind is Scope:
        if text not in list(Scope):
            raise ScheduleError(f"line {number}: {name} must be one of {', '.join(Scope)}, not {text!r}")
        return Scope(text)
    return text if kind is str else tuple(text.split(","))
