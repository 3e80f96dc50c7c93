"""The page of a search needs nothing else, and shows what it was given."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from tilewright.isa.config import PRESETS
from tilewright.tune.area import Area
from tilewright.tune.budget import Board
from tilewright.tune.error import TuneError
from tilewright.tune.evaluated import Costs, Evaluated
from tilewright.tune.page import Page, Shown, curve_of

BASE = PRESETS["reference"]
BOARD = Board(family="xc7", lut=50_000, ff=100_000, dsp=300, bram=150, bus_bytes=(8,), source="made up")


def machine(**sizes):
    config = replace(BASE, **sizes)
    return Evaluated(
        config=config,
        area=Area(lut=1000.0 * config.cols, ff=1.0, dsp=config.peak_macs, bram=config.chip_bytes / 4096),
        costs=Costs(cycles={"net": 10**9 // config.peak_macs}, moved_bytes={"net": 5}),
    )


EVALUATED = [
    machine(),
    machine(rows=8),
    machine(rows=8, cols=32),
    Evaluated(
        config=replace(BASE, rows=4), area=Area(lut=1, ff=1, dsp=1, bram=1), costs=None, refusal="small"
    ),
]
ROW = {
    "layer": '"<conv>"',
    "operator": "qconv2d",
    "cycles": 1000,
    **{"load": 10, "matrix": 900, "vector": 20, "store": 30},
    "bound": "matrix",
    "moved_bytes": 4096,
}


def page(**members):
    report = {
        "cycles": {"net": 1000},
        "lut": 1000.0,
        "dsp": 4,
        "bram": 2.5,
        "chip_bytes": 2048,
        "changed": {"rows": 8},
        "config": vars(replace(BASE, rows=8)),
    }
    given = {
        "title": "net & </script> on a board",
        "board": BOARD,
        "base": BASE,
        "evaluated": EVALUATED,
        "front": [Shown(report=report, layers={"net": [ROW]})],
        "curves": {"ours": [np.array([0.1, 0.2]), np.array([0.2, 0.3])], "by </script>": [np.array([0.1])]},
        "importance": {"latency": {"rows": 0.7, "cols": 0.3}},
        "notes": ("LUT within 3 %", ""),
    }
    return Page(**{**given, **members}).html()


@pytest.fixture(scope="module")
def html():
    return page()


def figures(html):
    found = re.search(r"const figures = (\{.*?\});\n", html, re.DOTALL)
    return json.loads(found[1].replace("<\\/", "</"))


def test_it_needs_nothing_else(html):
    without_plotly = re.sub(r"<script>/\*\*.*?</script>", "", html, flags=re.DOTALL)
    assert "plotly.js v" in html
    assert not re.findall(r'(?:src|href)="', without_plotly)


def test_it_offers_no_upload(html):
    assert 'showSendToCloud: false, plotlyServerURL: ""' in html


def test_text_is_escaped(html):
    assert "<title>net &amp; &lt;/script&gt; on a board</title>" in html
    assert "&lt;conv&gt;" in html
    assert "<conv>" not in html
    assert html.count("</script>") == html.count("<script>") == 2


def test_every_machine_with_costs_is_drawn(html):
    front = figures(html)["front"]
    assert [trace["name"] for trace in front["data"]][:3] == [
        "looked at, by the model",
        "where it began, by the model",
        "front",
    ]
    assert front["data"][0]["customdata"] == [0, 1, 2]
    assert "32" in front["data"][0]["hovertext"][2]


def test_curves_have_their_quartiles(html):
    lines = [trace for trace in figures(html)["hypervolume"]["data"] if trace.get("name")]
    assert [line["name"] for line in lines] == ["ours, 2 seeds", "by </script>"]
    assert lines[0]["y"] == pytest.approx([0.15, 0.25])


def test_coordinates_are_the_sizes_that_vary(html):
    (trace,) = figures(html)["coordinates"]["data"]
    labels = [dimension["label"] for dimension in trace["dimensions"]]
    assert labels == ["rows", "cols", "block RAMs", "tables", "cycles"]


def test_a_layer_says_what_bounds_it(html):
    assert '<td class="number bound">90%</td>' in html
    assert '<td class="number bound">matrix</td>' in html
    assert "LUT within 3 %" in html


def test_a_search_of_one_machine_has_a_page():
    assert "</html>" in page(
        evaluated=EVALUATED[:1], front=[], importance={}, curves={"one": [np.array([0.2])]}
    )


def test_the_curve_of_a_search_counts_refused_machines_as_calls():
    curve = curve_of(EVALUATED, BOARD)
    assert len(curve) == 4
    assert curve[3] == curve[2] >= curve[0] > 0


def test_without_plotly_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(TuneError, match=r"pip install 'tilewright\[tune\]'"):
        page()
