"""`tilewright run` takes ONNX files: quantises them, says on what, and refuses what it cannot in one line."""

import json

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.onnx_network import OnnxNetwork

from onnx_file import WEIGHT, X, Y, save_network
from tilewright.cli.main import main
from tilewright.cli.option import RANGES
from tilewright.compiler.quantise.range_method import RangeMethod

CALIBRATED = "quantisation is calibrated on"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a network of floats and inputs."""
    monkeypatch.chdir(tmp_path)
    save_network("net.onnx")
    np.savez("x.npz", x=X)
    return tmp_path


def run(*arguments):
    return main(["run", "net.onnx", "--device", "cpu", *arguments])


def refusal(capsys):
    """The one line on stderr."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tilewright: error: ")
    assert err.count("\n") == 1
    return err.removeprefix("tilewright: error: ").rstrip()


def test_answers_are_near_those_of_floats():
    assert run("--input", "x.npz", "--calibrate", "x.npz", "--output", "y.npz") == 0
    with np.load("y.npz") as found:
        assert found["y"].shape == Y.shape
        assert np.abs(found["y"] - Y).max() < 0.05


def test_the_first_inputs_calibrate_where_nothing_else_does_and_it_says_so(capsys):
    assert run("--input", "x.npz", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["samples"] == 9
    assert err == f"tilewright: {CALIBRATED} the first 9 inputs: give other data with --calibrate FILE\n"


def test_pictures_as_answers_are_told_by_shape_and_range(capsys):
    assert run("--input", "x.npz", "--calibrate", "x.npz") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["output", "shape", "least", "most"]
    assert lines[2][:3] == ["y", "9×6×4×4", "0"]


def test_named_data_calibrate_without_a_word(capsys):
    assert run("--input", "x.npz", "--calibrate", "x.npz", "--json") == 0
    assert capsys.readouterr().err == ""


def test_ranges_are_chosen_as_the_user_says(capsys):
    found = []
    for ranges in ("min-max", "mean-square"):
        assert run("--input", "x.npz", "--calibrate", "x.npz", "--ranges", ranges, "--json") == 0
        found.append(json.loads(capsys.readouterr().out)["config"])
    assert found == ["reference"] * 2
    with pytest.raises(SystemExit):
        run("--input", "x.npz", "--ranges", "best")
    assert "invalid choice: 'best'" in capsys.readouterr().err


def test_the_ways_are_those_of_the_quantiser():
    assert tuple(RangeMethod) == RANGES


@pytest.mark.parametrize("command", ["run", "compile", "explain"])
def test_options_of_quantisation_change_nothing_where_a_network_has_scales_and_it_says_so(capsys, command):
    network = OnnxNetwork({"x": (1, 3, 4, 4)}, opset=20)
    quantised = network.add("QuantizeLinear", "x", 0.02, np.int8(0))
    read = network.add("DequantizeLinear", quantised, 0.02, np.int8(0))
    back = network.add("QuantizeLinear", network.add("Relu", read), 0.02, np.int8(-128))
    onnx.save(network.model(network.add("DequantizeLinear", back, 0.02, np.int8(-128))), "qdq.onnx")
    own = {"run": ["--input", "x.npz"], "compile": ["-o", "qdq.twx"], "explain": []}[command]
    assert main([command, "qdq.onnx", *own, "--calibrate", "x.npz", "--ranges", "mean-square"]) == 0
    expected = "qdq.onnx has scales of its own, which --calibrate and --ranges cannot change"
    assert expected in capsys.readouterr().err
    assert main([command, "qdq.onnx", *own]) == 0
    assert "scales of its own" not in capsys.readouterr().err


def test_the_cpu_needs_no_machine(capsys):
    assert run("--input", "x.npz", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["config"], found["cycles"], found["engines"]) == ("reference", None, {})
    assert found["host"]["graph"] > 0


def test_a_network_of_floats_must_be_calibrated(capsys):
    assert run() == 1
    assert refusal(capsys).startswith("net.onnx: a network of floats must be calibrated: give typical inputs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "names.npz"], "names.npz: 'X' must be an input of the model: x (3×4×4)"),
        (["--input", "x.npz", "--calibrate", "names.npz"], "names.npz: 'X' must be an input of the model"),
        (["--input", "x.npz", "--calibrate", "no.npz"], "no.npz: No such file or directory"),
        (["--input", "x.npz", "--config", "huge"], "huge"),
        (["--input", "x.npz", "--labels", "labels.npy"], "labels.npy: labels must be from 0 to 95, not 96"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_no_file(folder, capsys, arguments, message):
    np.savez("names.npz", X=X)
    np.save("labels.npy", np.full(9, 96))
    before = sorted(folder.iterdir())
    assert run(*arguments, "--output", "y.npz") == 1
    assert message in refusal(capsys)
    assert sorted(folder.iterdir()) == before


def test_labels_go_with_one_output(capsys):
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    save_network("net.onnx", nodes, ("y", "z"))
    np.save("labels.npy", np.zeros(9, int))
    assert run("--input", "x.npz", "--labels", "labels.npy") == 1
    assert "labels must go with one output, not y, z" in refusal(capsys)


@pytest.mark.parametrize("content", [b"", b"version https://", b"\x00\x01garbage", None])
def test_a_file_that_is_no_network_is_refused(folder, capsys, content):
    data = (folder / "net.onnx").read_bytes()[:-40] if content is None else content
    (folder / "net.onnx").write_bytes(data)
    assert run("--input", "x.npz") == 1
    assert refusal(capsys).startswith("net.onnx")


def test_what_the_accelerator_lacks_runs_on_the_cpu(capsys):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "first"),
        helper.make_node("Softmax", ["c"], ["s"], "middle", axis=1),
        helper.make_node("Relu", ["s"], ["y"], "last"),
    ]
    save_network("net.onnx", nodes)
    files = ["--input", "x.npz", "--calibrate", "x.npz", "--config", "tiny", "--output", "y.npz", "--json"]
    assert main(["run", "net.onnx", *files]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["programs"], found["kernels"]) == (1, 2)
    assert [each["name"] for each in found["layers"]] == ["first"]
    assert found["host"].keys() == {"quantise", "dequantise", "compile", "kernels"}
    with np.load("y.npz") as written:
        sums = np.einsum("oc,nchw->nohw", WEIGHT[:, :, 0, 0], X)
        powers = np.exp(sums)
        assert np.abs(written["y"] - powers / powers.sum(axis=1, keepdims=True)).max() < 0.05


def test_an_operator_that_nobody_knows_is_refused_by_name(capsys):
    save_network("net.onnx", [helper.make_node("Nonsense", ["x"], ["y"])])
    assert run("--input", "x.npz", "--float") == 1
    message = refusal(capsys)
    assert message.startswith("net.onnx")
    assert "Nonsense" in message
