"""`tilewright run` runs compiled models on every device, with one answer, and explains what it cannot."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from perfetto.protos.perfetto.trace import perfetto_trace_pb2
from PIL import Image

import network
from tilewright.cli.main import main
from tilewright.isa.model import Model
from tilewright.runtime.rtl_toolchain import find_toolchain

X = np.random.default_rng(3).normal(0, 30, (12, 5, 2, 3)).astype(np.float32)
Y = network.expected(X)
LABELS = np.where(np.arange(12) < 9, Y.argmax(axis=1), (Y.argmax(axis=1) + 1) % 18)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a compiled model and its inputs."""
    monkeypatch.chdir(tmp_path)
    network.make_runnable().save("model.twx")
    np.savez("x.npz", x=X)
    np.save("x.npy", X)
    np.save("labels.npy", LABELS)
    return tmp_path


def run(*arguments):
    return main(["run", "model.twx", *arguments])


def report(capsys, *arguments):
    """The object that a run prints."""
    assert run("--json", *arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def refusal(capsys):
    """The one line on stderr."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tilewright: error: ")
    assert err.count("\n") == 1
    return err.removeprefix("tilewright: error: ").rstrip()


def written(path="y.npz"):
    with np.load(path) as arrays:
        return dict(arrays)


def test_outputs_are_numpys(folder):
    assert run("--input", "x.npz", "--output", "y.npz") == 0
    assert written().keys() == {"y"}
    assert np.array_equal(written()["y"], Y)


@pytest.mark.parametrize("device", ["cpu", pytest.param("rtl", marks=pytest.mark.slow)])
def test_every_device_gives_the_same_answer(device, capsys):
    if device == "rtl" and find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    found = report(capsys, "--input", "x.npz", "--output", "y.npz", "--device", device)
    assert found["device"] == device
    assert np.array_equal(written()["y"], Y)


def test_json_has_its_keys(capsys):
    found = report(capsys, "--input", "x.npz", "--labels", "labels.npy")
    model = Model.load("model.twx")
    assert (found["device"], found["config"], found["samples"]) == ("sim", "tiny", 12)
    assert (found["instructions"], found["macs"]) == (model.instructions, model.macs)
    assert found["utilization"] == pytest.approx(model.macs / (found["cycles"] * 16))
    assert found["seconds"] > 0
    assert found["top1"] == pytest.approx(9 / 12)
    assert found["engines"].keys() == {"load", "matrix", "vector", "store"}
    assert found["engines"]["load"].keys() == {"busy", "waiting", "stalled"}
    assert found["host"].keys() == {"quantise", "dequantise"}
    assert [layer["name"] for layer in found["layers"]] == ["expand", "reduce"]
    assert "top1" not in report(capsys, "--input", "x.npz")


def test_the_cpu_has_no_cycles(capsys):
    found = report(capsys, "--input", "x.npz", "--labels", "labels.npy", "--device", "cpu")
    assert (found["cycles"], found["utilization"], found["instructions"]) == (None, None, None)
    assert (found["engines"], found["samples"]) == ({}, 12)
    assert found["top1"] == pytest.approx(9 / 12)
    assert found["host"]["graph"] > 0


@pytest.mark.slow
def test_simulator_and_gates_report_the_same(capsys):
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    one, two = (report(capsys, "--input", "x.npz", "--device", device) for device in ("sim", "rtl"))
    for name in ("device", "seconds", "host"):
        assert one.pop(name) != two.pop(name)
    assert one == two


def test_the_text_has_answers_layers_and_engines(capsys):
    cycles = report(capsys, "--input", "x.npy")["cycles"]
    assert run("--input", "x.npy", "--labels", "labels.npy") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["sample", "class", "y", "label"]
    assert lines[2] == ["0", str(Y[0].argmax()), f"{Y[0].max():.4g}", str(LABELS[0])]
    assert ["and", "2", "more", "samples"] in lines
    assert ["cycles", f"{cycles:,}"] in lines
    assert ["top1", "75.00%"] in lines
    assert [line[:2] for line in lines if line[:1] == ["reduce"]] == [["reduce", "qconv2d"]]
    assert [line for line in lines if line[:1] == ["matrix"]]


def test_without_input_the_cycles_are_told_and_that_it_saw_zeros(capsys):
    cycles = report(capsys, "--input", "x.npy")["cycles"]
    assert run("--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["cycles"] == cycles
    assert err == "tilewright: without --input FILE one sample of zeros is run: no data changes the cycles\n"


def test_the_time_alone_is_that_of_a_run(capsys):
    whole, alone = report(capsys, "--input", "x.npy"), report(capsys, "--time-only", "--trace", "a.json")
    for name in ("samples", "seconds", "host"):
        assert whole.pop(name) != alone.pop(name)
    assert whole == alone
    assert Path("a.json").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "y.npz", "--input", "x.npy"], "--output cannot be used: --time-only computes no data"),
        (["--device", "rtl"], "--time-only cannot be used: only the simulator knows the time without"),
        (["--ablate", "dma"], "--time-only cannot be used: --ablate runs for the time alone as it is"),
    ],
)
def test_the_time_alone_has_no_data_and_is_the_simulators(capsys, options, message):
    assert run("--time-only", *options) == 1
    assert message in refusal(capsys)


def test_latency_costs_cycles(capsys):
    fast, slow = (report(capsys, "--input", "x.npy", "--latency", n)["cycles"] for n in ("1", "100"))
    assert slow > fast + 4 * 99


def test_the_trace_is_of_one_sample():
    assert run("--input", "x.npy", "--trace", "trace.json") == 0
    with open("trace.json") as file:
        events = [event for event in json.load(file)["traceEvents"] if event["ph"] == "X"]
    assert len(events) == Model.load("model.twx").instructions - 1


def test_a_trace_of_perfetto_has_the_layers(capsys):
    found = report(capsys, "--input", "x.npy", "--trace", "trace.pftrace")
    with open("trace.pftrace", "rb") as file:
        packets = perfetto_trace_pb2.Trace.FromString(file.read()).packet
    tracks = {each.track_descriptor.name for each in packets if each.HasField("track_descriptor")}
    assert tracks >= {"layers", "load", "matrix", "vector", "store", "queue", "wait", "run"}
    names = {name.name for packet in packets for name in packet.interned_data.event_names}
    assert names >= {layer["name"] for layer in found["layers"]}


def test_node_data_has_a_file_for_each_kind(capsys):
    files = ("cycles.json", "utilization=use.json", "bound=why.json")
    found = report(capsys, "--input", "x.npy", *(f"--node-data={each}" for each in files))
    layers = {layer["name"]: layer for layer in found["layers"]}
    names = {"cycles": "cycles.json", "utilization": "use.json", "bound": "why.json"}
    for kind, name in names.items():
        with open(name, encoding="utf-8") as file:
            results = json.load(file)["results"]
        assert {node: each["value"] for node, each in results.items()} == pytest.approx(
            {node: layer[kind] for node, layer in layers.items()}
        )


def test_layers_say_what_bounds_them(capsys):
    found = report(capsys, "--input", "x.npy")
    moved = sum(layer["moved_bytes"] for layer in found["layers"])
    assert 0 <= found["fetch_bytes"] + found["load_bytes"] + found["store_bytes"] - moved <= 64
    assert run("--input", "x.npy") == 0
    lines = capsys.readouterr().out.splitlines()
    for layer in found["layers"]:
        assert any(line.startswith(layer["name"]) and line.endswith(layer["bound"]) for line in lines)


def test_the_report_is_one_page_that_needs_nothing_else(capsys):
    found = report(capsys, "--input", "x.npy", "--report", "report.html")
    with open("report.html", encoding="utf-8") as file:
        page = file.read()
    page = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert page.startswith("<!DOCTYPE html>")
    assert not re.search(r"https?:|src=|@import|<script|<link", page)
    assert all(f">{name}</td>" in page for name in ("expand", "reduce", "matrix", "vector"))
    assert f"{found['cycles']:,}" in page
    for tag in ("table", "tr", "td", "div", "h2"):
        assert len(re.findall(f"<{tag}[ >]", page)) == page.count(f"</{tag}>")


def test_names_in_the_report_are_text(capsys):
    page_name = "<b>&.twx"
    network.make_runnable().save(page_name)
    assert main(["run", page_name, "--input", "x.npy", "--report", "report.html"]) == 0
    with open("report.html", encoding="utf-8") as file:
        assert "<h1>&lt;b&gt;&amp;.twx</h1>" in file.read()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "missing.npz"], "missing.npz: No such file or directory"),
        (["--input", "."], ".: Is a directory"),
        (["--input", "x.npz", "--config", "reference"], "model.twx: is made for another machine than"),
        (["--input", "x.npz", "--config", "none"], "none"),
        (["--input", "x.npz", "--latency", "0"], "latency must be an integer from 1"),
        (["--input", "x.npz", "--memory", "0=a"], "--memory cannot be used: it is a model"),
        (["--input", "x.npz", "--calibrate", "x.npz"], "--calibrate cannot be used: it is compiled already"),
        (["--labels", "labels.npy"], "--labels cannot be used: give --input FILE with them"),
        (["--input", "x.npz", "--labels", "x.npy"], "labels must be 12 integers, one for each sample"),
        (["--input", "x.npz", "--labels", "high.npy"], "high.npy: labels must be from 0 to 17, not 18"),
        (["--input", "x.npz", "--labels", "x.npz"], "x.npz: must be one array (.npy)"),
        (["--input", "x.npz", "--output", "a", "--report", "a"], "a: must be named for one output"),
        (["--input", "x.npz", "--output", "no/y.npz"], "no/y.npz: No such file or directory"),
        (["--input", "x.npz", "--device", "cpu", "--node-data", "t"], "--node-data cannot be used: the CPU"),
        (
            ["--input", "x.npz", "--node-data", "a", "--node-data", "bound=a"],
            "a: must be named for one output",
        ),
        (["--input", "x.npz", "--device", "cpu", "--trace", "t"], "--trace cannot be used: the CPU has no"),
        (["--input", "names.npz"], "names.npz: 'X' must be an input of the model: x (5×2×3); input 'x' must"),
        (["--input", "shape.npy"], "shape.npy: input 'x' must be 5×2×3, or samples of that, not 12×4×2×3"),
        (["--input", "nan.npy"], "nan.npy: input 'x' must be finite numbers in float32, but 1 of 360"),
        (["--input", "text.npy"], "text.npy: input 'x' must be real numbers, not <U1"),
        (["--input", "object.npy"], "object.npy: must be a whole NumPy file"),
        (["--input", "cut.npz"], "cut.npz: must be a whole NumPy file"),
        (["--input", "cut.npy"], "cut.npy: must be a whole NumPy file"),
        (["--input", "empty"], "empty: a picture must go to an input of 1 or 3 channels"),
        (
            ["--input", "picture.png"],
            "picture.png: a picture must go to an input of 1 or 3 channels",
        ),
    ],
)
def test_what_cannot_be_run_is_one_line_and_leaves_no_file(folder, capsys, arguments, message):
    np.save("high.npy", np.full(12, 18))
    np.savez("names.npz", X=X)
    np.save("shape.npy", X[:, :4])
    np.save("nan.npy", np.where(np.arange(X.size).reshape(X.shape) == 7, np.nan, X))
    np.save("text.npy", np.full(X.shape, "a"))
    np.save("object.npy", np.full(X.shape, None), allow_pickle=True)
    for name in ("x.npz", "x.npy"):
        (folder / name.replace("x", "cut")).write_bytes((folder / name).read_bytes()[:500])
    (folder / "empty").write_bytes(b"")
    Image.new("L", (3, 2)).save("picture.png")
    before = sorted(folder.iterdir())
    assert run(*arguments) == 1
    assert message in refusal(capsys)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("length", [9, 60, 2000, -1])
def test_a_model_cut_short_is_refused(folder, capsys, length):
    data = (folder / "model.twx").read_bytes()
    (folder / "model.twx").write_bytes(data[:length])
    assert run("--input", "x.npz") == 1
    assert refusal(capsys).startswith("model.twx: is cut short")


def test_a_model_without_its_graph_cannot_run_on_the_cpu(capsys):
    network.make_model().save("model.twx")
    assert run("--input", "x.npz", "--device", "cpu") == 1
    assert refusal(capsys).startswith("model.twx: ")


def test_progress_goes_to_terminals_only(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("--input", "x.npz", "--json") == 0
    out, err = capsys.readouterr()
    assert "12 of 12 samples" in err
    assert json.loads(out)["samples"] == 12
