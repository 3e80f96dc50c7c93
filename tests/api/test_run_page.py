"""The page of a run needs nothing else, draws what the simulator counted, and says what bounds each layer."""

import base64
import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import plotly.graph_objects
import pytest

import network
from browser import told_by
from tilewright.api.run_figures import intensity, performance
from tilewright.api.run_page import RunPage
from tilewright.isa.memory import Engine
from tilewright.isa.model import CONSTANTS, INPUTS
from tilewright.runtime.engine_time import engine_spans
from tilewright.runtime.layer_time import layer_times
from tilewright.runtime.profile import profile_layers
from tilewright.runtime.sim_device import SimDevice
from tilewright.runtime.trace import timeline_of

STATES = ["busy", *(f"waits for {engine.label}" for engine in Engine), "stalled"]


@pytest.fixture(scope="module")
def run():
    model = network.make_runnable()
    sizes = {region.base: region.size_bytes for region in model.executable.regions}
    regions = {CONSTANTS: model.constants, INPUTS: bytes(sizes[INPUTS])}
    result = SimDevice(model.config).run(model.executable, regions)
    return model.executable, result, profile_layers(model, result)


def page(run, **members):
    executable, result, _ = run
    given = {
        "title": "net & </script>",
        "summary": [("cycles", f"{result.cycles:,}"), ("<device>", "sim")],
        "config": executable.config,
        "runs": [(executable, result)],
        "layers": layer_times([run]),
        "noise_db": {},
    }
    return RunPage(**{**given, **members})


@pytest.fixture(scope="module")
def html(run):
    return page(run).html()


def figures(html):
    found = re.search(r"const figures = (\{.*?\});\n", html, re.DOTALL)
    return json.loads(found[1].replace("<\\/", "</"))


def decoded(array):
    return np.frombuffer(base64.b64decode(array["bdata"]), "<" + array["dtype"]).astype(np.int64)


def rows(html):
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr data-begin.*?</tr>", html)]


def test_it_needs_nothing_else(html):
    without_plotly = re.sub(r"<script>/\*\*.*?</script>", "", html, flags=re.DOTALL)
    assert "plotly.js v" in html
    assert not re.findall(r'(?:src|href)="|https?:|@import', without_plotly)


def test_text_is_escaped(html):
    assert "<title>net &amp; &lt;/script&gt;</title>" in html
    assert "<td>&lt;device&gt;</td>" in html
    assert html.count("</script>") == html.count("<script>") == 2


def renamed(layer, name, cycles):
    profile = replace(layer.profile, layer=replace(layer.profile.layer, name=name), cycles=cycles)
    return replace(layer, profile=profile, window=(0, cycles))


def test_names_of_layers_end_no_script(run):
    layer = layer_times([run])[0]
    found = page(run, layers=[renamed(layer, "</script><b>", 5)]).html()
    assert found.count("</script>") == found.count("<script>") == 2
    assert figures(found)["bytes"]["data"][0]["hovertext"] == ["</script><b>"]
    assert '<td class="layer">&lt;/script&gt;&lt;b&gt;</td>' in found


def test_the_timeline_has_every_cycle_that_was_counted(run, html):
    _, result, _ = run
    timeline = figures(html)["timeline"]["run"]
    assert timeline["cycles"] == result.cycles
    assert [engine["name"] for engine in timeline["engines"]] == [engine.label for engine in Engine]
    for engine in timeline["engines"]:
        name = engine["name"]
        cycles = {
            state["name"]: int((decoded(state["end"]) - decoded(state["begin"])).sum())
            for state in engine["states"]
        }
        assert list(cycles) == [f"{name} busy", *STATES[1:]]
        assert cycles[f"{name} busy"] == result.counters[f"{name}_busy"]
        assert cycles["stalled"] == result.counters[f"{name}_stalled"]
        waiting = sum(count for state, count in cycles.items() if state.startswith("waits"))
        assert waiting == result.counters[f"{name}_waiting"]


def test_programs_follow_each_other(run):
    executable, result, _ = run
    both = page(run, runs=[(executable, result)] * 2, layers=layer_times([run, run]))
    one, two = (figures(each.html())["timeline"]["run"] for each in (page(run), both))
    assert two["cycles"] == 2 * result.cycles
    for single, double in zip(one["engines"], two["engines"], strict=True):
        for state, again in zip(single["states"], double["states"], strict=True):
            begin = decoded(state["begin"]).tolist()
            begins = [*begin, *(each + result.cycles for each in begin)]
            assert sorted(set(begins) - set(decoded(again["begin"]).tolist())) in ([], [result.cycles])


def test_the_band_is_the_layers_one_after_the_other(run, html):
    band = figures(html)["timeline"]["run"]["band"]
    _, _, profiles = run
    assert band["x"] == [profile.cycles for profile in profiles if profile.cycles]
    ends = [begin + length for begin, length in zip(band["base"], band["x"], strict=True)]
    assert band["base"] == [0, *ends[:-1]]


def test_the_table_says_what_bounds_layers(run, html):
    layers = layer_times([run])
    found = rows(html)
    assert [row[1] for row in found] == ["expand", "reduce"]
    assert [row[3] for row in found] == [f"{layer.profile.cycles:,}" for layer in layers]
    assert [row[10] for row in found] == [layer.bound for layer in layers]
    assert [row[11] for row in found] == [f"{layer.moved.total / 1024:,.1f}" for layer in layers]
    shares = [f"{layer.engines[Engine.LOAD].busy / layer.profile.cycles:.0%}" for layer in layers]
    assert [row[6] for row in found] == shares


def test_noise_stands_beside_layers_where_it_is_known(run):
    found = page(run, noise_db={"reduce": 31.25, "other": 3.0}).html()
    assert [row[12] for row in rows(found)] == ["", "31.2"]
    assert "SNR, dB" in found


def test_the_roofline_bounds_what_is_not_hidden(run, html):
    layers = layer_times([run])
    config = run[0].config
    roof, _, *points = figures(html)["roofline"]["data"]
    drawn = sorted(pair for each in points for pair in zip(each["x"], each["y"], strict=True))
    assert drawn == sorted((intensity(layer), performance(layer, config)) for layer in layers)
    assert max(roof["y"]) == 2 * config.peak_macs
    assert roof["y"][0] == pytest.approx(roof["x"][0] * config.bus_bytes)
    first = layers[0]
    assert intensity(first) == 2 * first.profile.layer.macs / max(first.moved.read, first.moved.results)


def test_bytes_are_those_of_the_counters(run, html):
    _, result, _ = run
    sums = {trace["name"]: sum(trace["y"]) for trace in figures(html)["bytes"]["data"]}
    assert sums["results"] == result.counters["store_bytes"]
    loaded = sums["weights"] + sums["parameters"] + sums["activations"]
    assert loaded == result.counters["load_bytes"]


def test_figures_are_what_plotly_knows(html):
    for name, figure in figures(html).items():
        drawn = plotly.graph_objects.Figure(data=figure["data"], layout=figure["layout"])
        assert len(drawn.data) > 0 or name == "timeline"
    assert plotly.graph_objects.Bar({**figures(html)["timeline"]["run"]["band"]})


def test_without_plotly_the_tables_stay_and_the_remedy_is_told(run, monkeypatch):
    monkeypatch.setattr("tilewright.api.run_page.has_plotly", lambda: False)
    found = page(run).html()
    assert "pip install &#x27;tilewright[tune]&#x27;" in found
    assert "<script" not in found
    assert len(rows(found)) == 2


def test_a_run_on_the_cpu_has_a_summary_alone(run):
    found = page(run, runs=(), layers=()).html()
    assert "<script" not in found
    assert re.findall("<h2>(.*?)</h2>", found) == ["Summary"]


def test_of_many_layers_the_text_stays_small(run):
    layers = layer_times([run])
    many = [replace(layers[0], window=(k, k + 1)) for k in range(300)]
    one, other = page(run).html(), page(run, layers=many).html()
    assert len(rows(other)) == 300
    assert len(other) - len(one) < 300 * 1500


@pytest.mark.slow
def test_a_browser_draws_every_cycle_of_any_range(run, html, tmp_path):
    executable, result, _ = run
    edges = [0, 7, result.cycles // 3, result.cycles]
    told = told_by(
        html,
        tmp_path,
        f"""told.ranges = {json.dumps(list(pairwise(edges)))}.map(([first, end]) => {{
          place.emit("plotly_relayout", {{"xaxis.range[0]": first, "xaxis.range[1]": end}});
          return place.data.filter(each => each.stackgroup).map(each => [each.stackgroup, each.name,
            each.y.slice(0, -1).reduce((sum, share, k) => sum + share * (each.x[k + 1] - each.x[k]), 0)]);
        }});
        told.buttons = [...document.querySelectorAll(".modebar-btn")].map(each => each.dataset.title);""",
    )
    assert "Zoom" in told["buttons"]
    assert not [title for title in told["buttons"] if re.search("(?i)share|cloud|upload", title)]
    for engine, spans in engine_spans(executable, timeline_of(executable, result)).items():
        busy = [
            cycles
            for drawn in told["ranges"]
            for group, name, cycles in drawn
            if (group, name) == (engine.label, f"{engine.label} busy")
        ]
        assert busy == pytest.approx(spans.busy.within(np.array(edges)).tolist(), abs=1e-6)


@pytest.mark.slow
def test_a_browser_sorts_layers_by_number(run, tmp_path):
    layer = layer_times([run])[0]
    cycles = {"b": 999, "a": 1_000_000, "c": 20_000}
    layers = [renamed(layer, name, count) for name, count in cycles.items()]
    script = """told.orders = [3, 3, 1].map(column => {
      table.querySelectorAll("th")[column].click();
      return [...table.querySelectorAll(".layer")].map(each => each.textContent).join("");
    });"""
    told = told_by(page(run, layers=layers).html(), tmp_path, script)
    assert told["orders"] == ["acb", "bca", "cba"]
