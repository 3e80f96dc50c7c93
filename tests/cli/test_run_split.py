"""Networks of several programs: one answer on every device, one axis of cycles, one report."""

import json

import numpy as np
import pytest

from onnx_runtime import peer_outputs
from split_network import X, save_split
from tilewright.cli.main import main
from tilewright.runtime.rtl_toolchain import find_toolchain


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder with the network, its package and its inputs."""
    folder = tmp_path_factory.mktemp("split")
    save_split(folder / "net.onnx")
    np.savez(folder / "x.npz", x=X)
    options = ["--calibrate", str(folder / "x.npz"), "--config", "tiny"]
    assert main(["compile", str(folder / "net.onnx"), "-o", str(folder / "net.twx"), *options]) == 0
    return folder


@pytest.fixture(autouse=True)
def folder(shared, monkeypatch):
    monkeypatch.chdir(shared)
    monkeypatch.setenv("COLUMNS", "72")


def run(*arguments):
    return main(["run", "net.twx", "--input", "x.npz", *arguments])


def report(capsys, *arguments):
    capsys.readouterr()
    assert run("--json", *arguments) == 0
    return json.loads(capsys.readouterr().out)


def outputs(path):
    with np.load(path) as found:
        return found["y"]


def test_all_ways_give_the_same_bytes_near_the_model():
    assert run("--output", "sim.npz") == 0
    assert run("--output", "cpu.npz", "--device", "cpu") == 0
    onnx = ["run", "net.onnx", "--input", "x.npz", "--calibrate", "x.npz", "--config", "tiny"]
    assert main([*onnx, "--output", "onnx.npz"]) == 0
    assert np.array_equal(outputs("sim.npz"), outputs("cpu.npz"))
    assert np.array_equal(outputs("sim.npz"), outputs("onnx.npz"))
    assert np.abs(outputs("sim.npz") - peer_outputs("net.onnx", {"x": X})["y"]).max() < 0.03


def test_json_sums_over_programs(capsys):
    found = report(capsys)
    assert (found["programs"], found["kernels"], found["samples"]) == (2, 3, 5)
    layers = found["layers"]
    assert [each["name"] for each in layers] == ["first", "second"]
    macs = 6 * 5 * (6 * 3 * 9 + 4 * 6 * 9)
    assert sum(each["macs"] for each in layers) == found["macs"] == macs
    assert found["utilization"] == pytest.approx(macs / (found["cycles"] * 16))
    # Each program ends a few cycles behind its last layer.
    assert 0 < found["cycles"] - sum(each["cycles"] for each in layers) < 200
    assert layers[0]["end"] < layers[1]["begin"] < layers[1]["end"] < found["cycles"]
    assert found["host"]["kernels"] > 0
    assert sum(found["engines"]["matrix"].values()) <= found["cycles"]


@pytest.mark.slow
def test_simulator_and_gates_report_the_same(capsys):
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    one, two = (report(capsys, "--device", device) for device in ("sim", "rtl"))
    for name in ("device", "seconds", "host"):
        assert one.pop(name) != two.pop(name)
    assert one == two


def test_the_trace_has_the_programs_one_after_the_other(capsys):
    found = report(capsys, "--trace", "trace.json")
    with open("trace.json") as file:
        events = [event for event in json.load(file)["traceEvents"] if event["ph"] == "X"]
    # Each program ends with a finish, which no engine runs.
    assert len(events) == found["instructions"] - 2
    second = found["layers"][1]
    late = [event for event in events if event["ts"] >= second["begin"]]
    assert min(event["ts"] for event in late) == second["begin"]
    assert max(event["ts"] + event["dur"] for event in events) == second["end"] + 1


def test_the_timeline_has_one_axis(capsys):
    cycles = report(capsys)["cycles"]
    assert run("--timeline") == 0
    text = capsys.readouterr().out
    assert f"cycles 0 to {cycles - 1:,}, " in text
    assert "a=first (" in text
    assert "b=second (" in text


def test_ablation_counts_all_programs(capsys):
    cycles = report(capsys)["cycles"]
    assert main(["run", "net.twx", "--ablate", "matrix", "--json", "--config", "tiny"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cycles"] == cycles
    assert found["without"]["matrix"] < cycles


def test_schedules_of_all_programs_are_printed_and_replayed():
    base = ["compile", "net.onnx", "--calibrate", "x.npz", "--config", "tiny"]
    assert main([*base, "-o", "a.twx", "--schedules", "a.txt"]) == 0
    assert main([*base, "-o", "b.twx", "--schedule", "a.txt", "--schedules", "b.txt"]) == 0
    with open("a.txt") as one, open("b.txt") as other:
        text = one.read()
        assert text == other.read()
    assert 'layer "first"\n' in text
    assert 'layer "second"\n' in text
    with open("a.twx", "rb") as one, open("b.twx", "rb") as other:
        assert one.read() == other.read()


def test_a_schedule_of_no_layer_is_refused(capsys):
    with open("none.txt", "w") as file:
        file.write('layer "third"\n    split loop=x factor=2 outer=a inner=b\n')
    base = ["compile", "net.onnx", "--calibrate", "x.npz", "--config", "tiny", "-o", "none.twx"]
    assert main([*base, "--schedule", "none.txt"]) == 1
    assert "must be of the layers 'first', 'second', not of layer \"third\"" in capsys.readouterr().err


@pytest.mark.parametrize("length", [9, 60, 2000, -1])
def test_a_package_cut_short_is_refused(capsys, length):
    with open("net.twx", "rb") as file, open("cut.twx", "wb") as cut:
        cut.write(file.read()[:length])
    assert main(["run", "cut.twx", "--input", "x.npz"]) == 1
    assert capsys.readouterr().err.startswith("tilewright: error: cut.twx: is cut short")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--float"], "net.twx: --float cannot be used: it is compiled already"),
        (["--size", "N=2"], "net.twx: --size cannot be used: it is compiled already"),
        (["--calibrate", "x.npz"], "net.twx: --calibrate cannot be used: it is compiled already"),
        (["--config", "reference"], "net.twx: is made for another machine than --config reference"),
        (["--memory", "0=a"], "net.twx: --memory cannot be used: it is a model"),
    ],
)
def test_what_does_not_go_with_a_package_is_one_line(capsys, arguments, message):
    assert run(*arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"tilewright: error: {message}")
    assert err.count("\n") == 1
