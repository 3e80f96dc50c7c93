"""A timeline as text says of each column what the counters say of the run, and fits its width."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from small_run import assembled_run, network_run
from tilewright.isa.assembly import assemble
from tilewright.isa.config import PRESETS
from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable
from tilewright.isa.memory import Engine
from tilewright.runtime.sim_device import SimDevice
from tilewright.runtime.timeline_text import ASCII, BLOCKS, LEAST_WIDTH, Mark, lanes, timeline_text
from tilewright.runtime.trace import timeline_of

TINY = PRESETS["tiny"]
COPY = """
.region 0 256 "in"
.region 1 256 "out"
load base=0 memory=activation n_x=64 stride_x=4 signal=store
nop runs_on=matrix
store base=1 memory=activation n_x=64 stride_x=4 bytes=4 wait=load
finish
"""
# Both read the first bank of activations, which has one port for that.
CONTEST = """
.region 0 256 "out"
store base=0 memory=activation n_x=64 stride_x=4 bytes=4
matrix n_x=64 stride_x=1
finish
"""
PICTURE = """\
       cycles 0 to 217, 5 a column
       0         50        100       150       200
       |         |         |         |         |
load         ███████████████████                     44%
matrix        ░                                       0%
vector                                                0%
store              ·············██████████████████▓  42%
█ busy all the time, ▓ over 2/3, ▒ over 1/3, ░ less; else
· waiting for tokens, x for a port, blank: nothing to do"""


@pytest.fixture(scope="module")
def device():
    return SimDevice(TINY)


@pytest.fixture(scope="module")
def copy(device):
    return assembled_run(device, COPY, {0: bytes(256)})


@pytest.fixture(scope="module")
def layers(device):
    return network_run(device)


def test_a_run_looks_like_this(copy):
    assert timeline_text(*copy, width=60) == PICTURE


def test_columns_add_up_to_the_counters(layers):
    executable, result = layers
    edges = np.array([0, 1, 5, 100, result.cycles // 2, result.cycles])
    for engine, lane in lanes(timeline_of(executable, result), edges).items():
        for name, counts in lane._asdict().items():
            assert counts.sum() == result.counters[f"{engine.label}_{name}"]


def test_an_engine_that_is_kept_by_a_port_is_told_from_one_that_waits(device):
    assembly = assemble(CONTEST)
    executable = Executable.of(assembly.program, TINY, assembly.regions)
    result = device.run(executable, {})
    assert result.counters["matrix_stalled"] > 60
    (lane,) = (line for line in timeline_text(executable, result).splitlines() if line.startswith("matrix"))
    assert lane.count("x") > 20
    edges = np.array([0, result.cycles])
    lane = lanes(timeline_of(executable, result), edges)[Engine.MATRIX]
    assert (lane.waiting.sum(), lane.stalled.sum()) == (0, result.counters["matrix_stalled"])


def test_a_column_holds_the_cycles_between_its_edges(layers):
    executable, result = layers
    timeline = timeline_of(executable, result)
    single = lanes(timeline, np.arange(result.cycles + 1))
    edges = np.unique(np.random.default_rng(0).integers(0, result.cycles, 50))
    for engine, lane in lanes(timeline, edges).items():
        for counts, each in zip(lane, single[engine], strict=True):
            assert set(each.tolist()) <= {0, 1}
            wanted = [each[a:b].sum() for a, b in pairwise(edges)]
            assert counts.tolist() == wanted
    assert {each.sum() > 0 for lane in single.values() for each in lane} == {True, False}


@pytest.mark.parametrize("width", [LEAST_WIDTH, 77, 200])
@pytest.mark.parametrize("window", [None, (3, 5), (50, 10**9)])
def test_lines_fit_the_width(layers, width, window):
    lines = timeline_text(*layers, width=width, window=window).splitlines()
    assert max(map(len, lines)) <= width
    assert len({len(line) for line in lines if line.endswith("%")}) == 1


def test_a_window_shows_its_cycles(copy):
    lines = timeline_text(*copy, width=60, window=(120, 140)).splitlines()
    assert lines[0].split() == ["cycles", "120", "to", "139,", "1", "a", "column"]
    assert lines[1].split() == ["120", "130"]
    assert lines[3].split() == ["load", "█" * 5, "25%"]


def test_a_device_that_sees_no_reasons_shows_one_kind_of_waiting(copy):
    executable, result = copy
    text = timeline_text(executable, replace(result, tokens_ready=None, engine_ready=None), width=60)
    assert "waiting, blank" in text
    assert "port" not in text
    assert text.splitlines()[:7] == PICTURE.splitlines()[:7]


def test_it_can_be_drawn_in_ascii(copy):
    text = timeline_text(*copy, width=60, glyphs=ASCII)
    assert text.isascii()
    table = str.maketrans("".join(map(str, BLOCKS)), "".join(map(str, ASCII)))
    assert text.splitlines()[:7] == [line.translate(table) for line in PICTURE.splitlines()[:7]]


def test_beginnings_are_marked_by_letters(copy):
    marks = [Mark("first layer", 30), Mark("in its column", 33), Mark("second layer", 125), Mark("gone", 999)]
    lines = timeline_text(*copy, width=60, marks=marks).splitlines()
    assert lines[3] == "begin        a                  c"
    assert lines[:3] + lines[4:10] == PICTURE.splitlines()
    assert " ".join(lines[10:]) == "a=first layer (30), b=in its column (33), c=second layer (125)"


def test_marks_outside_of_the_window_are_left_out(copy):
    marks = [Mark("before", 30), Mark("within", 125)]
    lines = timeline_text(*copy, width=60, window=(120, 140), marks=marks).splitlines()
    assert lines[3] == "begin       a"
    assert lines[-1] == "a=within (125)"
    assert timeline_text(*copy, marks=[Mark("never", 10**6)]) == timeline_text(*copy)


def test_there_may_be_more_marks_than_letters(copy):
    marks = [Mark(f"layer {number}", number) for number in range(150)]
    lines = timeline_text(*copy, width=60, marks=marks).splitlines()
    assert max(map(len, lines)) <= 60
    assert "layer 149 (149)" in " ".join(lines)


def test_every_engine_has_a_lane(copy):
    lines = timeline_text(*copy).splitlines()
    assert [line.split()[0] for line in lines[3:7]] == [engine.label for engine in Engine]


@pytest.mark.parametrize("window", [(-1, 5), (5, 5), (10**6, 10**7)])
def test_a_window_must_lie_in_the_run(copy, window):
    with pytest.raises(TilewrightError, match="cycles of a timeline must be FIRST:END"):
        timeline_text(*copy, window=window)


def test_it_needs_some_width(copy):
    with pytest.raises(TilewrightError, match="at least 60 characters wide, not 59"):
        timeline_text(*copy, width=59)
