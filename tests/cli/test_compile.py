"""`tilewright compile` saves networks as packages that run like the network they were."""

import json

import numpy as np
import pytest

import tilewright
from onnx_file import X, Y, save_network
from tilewright.cli.main import COMMANDS, main
from tilewright.isa.config import PRESETS
from tilewright.isa.error import TilewrightError

CALIBRATE = ("--calibrate", "x.npz")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a network of floats and inputs."""
    monkeypatch.chdir(tmp_path)
    save_network("net.onnx")
    np.savez("x.npz", x=X)
    return tmp_path


def compile_network(*arguments):
    return main(["compile", "net.onnx", "-o", "net.twx", "--config", "tiny", *arguments])


def refusal(capsys):
    """The one line on stderr."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tilewright: error: ")
    assert err.count("\n") == 1
    return err.removeprefix("tilewright: error: ").rstrip()


def outputs(path):
    with np.load(path) as found:
        return found["y"]


def test_the_command_is_listed():
    assert "compile" in COMMANDS


def test_a_compiled_model_answers_like_its_network(capsys):
    assert compile_network(*CALIBRATE) == 0
    assert tilewright.load("net.twx").config == PRESETS["tiny"]
    for device in ("sim", "cpu"):
        assert (
            main(["run", "net.twx", "--input", "x.npz", "--device", device, "--output", f"{device}.npz"]) == 0
        )
    run = ["run", "net.onnx", "--config", "tiny", *CALIBRATE, "--input", "x.npz", "--output", "net.npz"]
    assert main(run) == 0
    assert capsys.readouterr().err == ""
    assert len(np.unique(outputs("net.npz"))) > 20
    assert np.array_equal(outputs("sim.npz"), outputs("net.npz"))
    assert np.array_equal(outputs("cpu.npz"), outputs("net.npz"))


def test_equal_networks_give_equal_files(folder):
    assert compile_network(*CALIBRATE) == 0
    first = (folder / "net.twx").read_bytes()
    assert compile_network(*CALIBRATE) == 0
    assert (folder / "net.twx").read_bytes() == first


def test_without_input_it_says_what_the_model_holds(capsys):
    assert compile_network(*CALIBRATE, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (part,) = tilewright.load("net.twx").parts.values()
    assert (found["samples"], found["cycles"], found["config"]) == (0, None, "tiny")
    assert (found["instructions"], found["macs"]) == (part.model.instructions, 6 * 3 * 16)
    assert (found["programs"], found["kernels"]) == (1, 1)
    assert compile_network(*CALIBRATE) == 0
    assert ["macs", "288"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_with_input_it_runs_as_well(capsys):
    assert (
        compile_network("--input", "x.npz", "--json", "--report", "report.html", "--trace", "trace.json") == 0
    )
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["samples"], found["device"]) == (9, "sim")
    assert found["utilization"] == pytest.approx(288 / (found["cycles"] * 16))
    assert "the first 9 inputs" in err
    assert main(["run", "net.twx", "--input", "x.npz", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cycles"] == found["cycles"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "net.onnx: a network of floats must be calibrated: give typical inputs with --calibrate FILE"),
        ([*CALIBRATE, "--report", "a"], "--report cannot be used: give --input FILE with them"),
        ([*CALIBRATE, "--input", "x.npz", "--output", "net.twx"], "net.twx: must be named for one output"),
        ([*CALIBRATE, "-o", "no/net.twx"], "no/net.twx: No such file or directory"),
        ([*CALIBRATE, "--input", "x.npz", "--output", "no/y.npz"], "no/y.npz: No such file or directory"),
        ([*CALIBRATE, "--config", "huge"], "huge"),
        ([*CALIBRATE, "--latency", "0"], "latency must be an integer from 1"),
    ],
)
def test_what_cannot_be_compiled_is_one_line_and_leaves_no_file(folder, capsys, arguments, message):
    before = sorted(folder.iterdir())
    assert compile_network(*arguments) == 1
    assert message in refusal(capsys)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("command", ["compile", "run"])
def test_what_the_machine_cannot_do_runs_on_the_cpu_and_it_says_why(capsys, monkeypatch, command):
    def refuse(*_, **__):
        raise TilewrightError("layer 'y' (qconv2d): must fit the accumulators")

    monkeypatch.setattr("tilewright.compiler.network.split.Variants", refuse)
    files = ["-o", "net.twx"] if command == "compile" else ["--input", "x.npz", "--output", "y.npz"]
    assert main([command, "net.onnx", *CALIBRATE, *files]) == 0
    reason = "layer 'y' (qconv2d): must fit the accumulators"
    assert f"nothing of it runs on the accelerator: {reason}" in capsys.readouterr().err
    if command == "run":
        np.testing.assert_allclose(outputs("y.npz"), Y, rtol=1e-5, atol=1e-6)


def test_a_compiled_model_is_not_compiled_again(capsys):
    assert compile_network(*CALIBRATE) == 0
    capsys.readouterr()
    assert main(["compile", "net.twx", "-o", "again.twx"]) == 1
    assert refusal(capsys) == "net.twx: must be an ONNX file, not a compiled model"


def test_a_program_is_not_compiled(folder, capsys):
    (folder / "a.s").write_text("finish\n")
    assert main(["compile", "a.s", "-o", "a.twx"]) == 1
    assert refusal(capsys) == "a.s: must be a network (ONNX) or a compiled model, not a program"


def test_a_file_to_write_must_be_named(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["compile", "net.onnx"])
    assert leaving.value.code == 2
    assert "-o" in capsys.readouterr().err


def test_schedules_are_printed_and_replayed(capsys):
    assert compile_network(*CALIBRATE, "--schedules", "s.txt") == 0
    with open("net.twx", "rb") as file:
        first = file.read()
    assert compile_network(*CALIBRATE, "--schedule", "s.txt", "--schedules", "t.txt") == 0
    with open("net.twx", "rb") as file:
        assert file.read() == first
    with open("s.txt", encoding="utf-8") as one, open("t.txt", encoding="utf-8") as other:
        text = one.read()
        assert other.read() == text
    assert text.startswith('layer "')
    assert "\n    cache_write block=result scope=activation name=tile\n" in text


def test_a_wrong_schedule_is_refused_in_a_line(capsys, folder):
    assert compile_network(*CALIBRATE, "--schedules", "s.txt") == 0
    text = (folder / "s.txt").read_text(encoding="utf-8")
    (folder / "net.twx").unlink()
    capsys.readouterr()
    (folder / "s.txt").write_text(text.replace("loop=tile_y", "loop=tile_w", 1), encoding="utf-8")
    assert compile_network(*CALIBRATE, "--schedule", "s.txt") == 1
    assert 'layer "' in (line := refusal(capsys))
    assert "there is no loop tile_w" in line
    (folder / "s.txt").write_text("split", encoding="utf-8")
    assert compile_network(*CALIBRATE, "--schedule", "s.txt") == 1
    assert refusal(capsys).startswith("s.txt: line 1 must begin a section")
    assert not (folder / "net.twx").exists()
