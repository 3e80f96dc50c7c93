"""Schedules as text: what is printed parses back; each mistake is told with its line and column."""

from dataclasses import fields
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.compiler import schedule
from tilewright.compiler.schedule import Primitive, ScheduleError, Split
from tilewright.compiler.schedule.text import PRIMITIVES
from tilewright.compiler.tir.buffer import MemoryScope

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
FIELDS = {
    str: NAMES,
    int: st.integers(-(1 << 40), 1 << 40),
    MemoryScope: st.sampled_from(MemoryScope),
    tuple[str, ...]: st.lists(NAMES, max_size=4).map(tuple),
    tuple[int, ...]: st.lists(st.integers(-9, 1 << 40), max_size=4).map(tuple),
}


def primitive(kind):
    """A strategy for all values of a primitive, derived from its fields."""
    types = get_type_hints(kind)
    return st.builds(kind, **{item.name: FIELDS[types[item.name]] for item in fields(kind)})


@pytest.mark.parametrize("kind", PRIMITIVES)
@given(data=st.data())
def test_every_primitive_parses_back(kind, data):
    steps = tuple(data.draw(st.lists(primitive(kind), min_size=1, max_size=3)))
    assert schedule.parse_schedule(schedule.print_schedule(steps)) == steps


def test_table_holds_every_primitive():
    def all_kinds(kind):
        return {kind}.union(*map(all_kinds, kind.__subclasses__()))

    public = {getattr(schedule, name) for name in schedule.__all__}
    assert {kind for kind in all_kinds(Primitive) if kind in public} - {Primitive} == set(PRIMITIVES)
    assert len({kind.verb() for kind in PRIMITIVES}) == len(PRIMITIVES)


def test_empty_lines_and_comments_say_nothing():
    text = "\n# first\n  split  loop=a factor=2   outer=b inner=c # then\n"
    assert schedule.parse_schedule(text) == (Split("a", 2, "b", "c"),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("join loop=a", "line 1: the verb must be one of cache_read, .*, not 'join'.*column 1"),
        ("\n  splt loop=a", "line 2: the verb must be split, not 'splt'.*column 3"),
        (
            "split loop=a factor=2 outer=b",
            "line 1: split must have loop, factor, outer, inner: add inner=….*column 30",
        ),
        ("split", "line 1: .*: add loop=…, factor=…, outer=…, inner=….*column 6"),
        (
            "split loop=a loop=a factor=2 outer=b inner=c",
            "line 1: loop must be given once: leave this one out.*column 14",
        ),
        ("split lop=a", "line 1: split must have loop, not 'lop'.*column 7"),
        ("split loop", "line 1: 'loop' must be name=value.*column 7"),
        ("split =a", "line 1: '=a' must be name=value.*column 7"),
        ("split loop=a factor=two", "line 1: factor must be an integer, not 'two'.*column 21"),
        ("split loop=a factor=--2", "line 1: factor must be an integer, not '--2'.*column 21"),
        ("split loop=3", "line 1: loop must be a name, not '3'.*column 12"),
        (
            "set_scope scope=attic",
            "line 1: scope must be one of global, activation, .*, not 'attic'.*column 17",
        ),
        ("set_scope scope=wight", "scope must be weight, not 'wight'"),
        ("reorder loops=a,,b", "line 1: loops must be names with commas between them.*column 15"),
    ],
)
def test_mistake_is_told_with_line_column_and_what_would_be_right(text, reason):
    with pytest.raises(ScheduleError, match=reason):
        schedule.parse_schedule(text)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ScheduleError) as caught:
        schedule.parse_schedule("inline blok=a\ninline block=b\nunroll loop=1")
    assert str(caught.value).splitlines() == [
        "line 1: inline must have block, not 'blok' (column 8)",
        "line 3: loop must be a name, not '1' (column 13)",
    ]
