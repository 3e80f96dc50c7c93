"""`tilewright explain` says what runs where, and why."""

import json

import numpy as np
import pytest

from split_network import X, save_split, save_tokens
from tilewright.cli.main import COMMANDS, main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a network of two programs and inputs."""
    monkeypatch.chdir(tmp_path)
    save_split("net.onnx")
    np.savez("x.npz", x=X)
    return tmp_path


def explained(capsys, *arguments):
    assert main(["explain", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_is_listed():
    assert "explain" in COMMANDS


def test_the_table_has_every_node_and_the_reason(capsys):
    assert main(["explain", "net.onnx"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:5] == ["step", "target", "label", "operator", "macs"]
    assert [line[:3] for line in lines[2:5]] == [
        ["0", "accelerator", "first"],
        ["1", "cpu", "middle"],
        ["2", "accelerator", "second"],
    ]
    assert "there is no such operator in integers" in out
    assert "100.0% of the multiply-accumulates of a sample on the accelerator, 2 of 3 steps" in out
    assert err.startswith("tilewright: without calibration nothing is compiled")


def test_calibration_and_judging_agree_here(capsys):
    judged = explained(capsys, "net.onnx")
    compiled = explained(capsys, "net.onnx", "--calibrate", "x.npz", "--config", "tiny")
    assert (judged.pop("compiled"), compiled.pop("compiled")) == (False, True)
    assert judged == compiled
    assert judged["shares"] == {"accelerator": 1, "cpu": 0}
    assert judged["programs"] == 2


def test_a_package_explains_itself(capsys):
    options = ["--calibrate", "x.npz", "--config", "tiny"]
    assert main(["compile", "net.onnx", "-o", "net.twx", *options]) == 0
    capsys.readouterr()
    assert explained(capsys, "net.twx") == explained(capsys, "net.onnx", *options)


def test_what_stays_on_the_cpu_as_a_whole_says_so_once(capsys):
    save_tokens("tokens.onnx")
    assert main(["explain", "tokens.onnx"]) == 0
    out = capsys.readouterr().out
    assert out.count("give sizes (--size length=NUMBER)") == 1
    assert "as above" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.onnx"], "none.onnx: No such file or directory"),
        (["x.npz"], "x.npz"),
        (["net.onnx", "--config", "huge"], "huge"),
        (["net.onnx", "--size", "w=3"], "net.onnx: a size of 'net' must be one of N, not 'w'"),
        (["net.onnx", "--calibrate", "none.npz"], "none.npz: No such file or directory"),
    ],
)
def test_what_cannot_be_explained_is_one_line(capsys, arguments, message):
    assert main(["explain", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
