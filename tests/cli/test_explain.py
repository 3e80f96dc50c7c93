"""`tilewright explain` says what runs where, and why."""

import json

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.onnx_network import OnnxNetwork

from split_network import X, save_nodes, save_split, save_tokens
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


def save_heads(path, has_bias):
    """A product of two activations whose second one is transposed, or made so without a bias; inputs."""
    rng = np.random.default_rng(4)
    network = OnnxNetwork({"x": (1, 5, 10)}, opset=20)
    heads = []
    for order in ([0, 2, 1, 3], [0, 2, 3, 1]):
        made = network.add("MatMul", "x", rng.normal(0, 0.3, (10, 8)))
        made = network.add("Add", made, rng.normal(0, 0.3, 8)) if has_bias else made
        heads.append(
            network.add("Transpose", network.add("Reshape", made, np.array([0, 5, 2, 4])), perm=order)
        )
    onnx.save(network.model(network.add("MatMul", *heads)), path)
    np.savez("heads.npz", x=rng.normal(0, 1, (3, 5, 10)).astype(np.float32))


@pytest.mark.parametrize(
    ("config", "has_bias", "programs"),
    [("reference", True, 1), ("large-128", True, 2), ("large-128", False, 1)],
)
def test_judging_knows_which_machines_transpose(capsys, config, has_bias, programs):
    save_heads("heads.onnx", has_bias)
    judged = explained(capsys, "heads.onnx", "--config", config)
    compiled = explained(capsys, "heads.onnx", "--calibrate", "heads.npz", "--config", config)
    assert (judged.pop("compiled"), compiled.pop("compiled")) == (False, True)
    assert judged == compiled
    assert judged["programs"] == programs


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


def test_products_of_unknown_sizes_are_not_counted_as_none(capsys):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], "product")]
    ports = {"x": ("f", ("batch", "length", 4))}, {"y": ("f", ("batch", "length", 3))}
    save_nodes("open.onnx", nodes, *ports, {"w": np.ones((4, 3), np.float32)})
    (unknown,) = explained(capsys, "open.onnx")["placements"]
    assert unknown["macs"] is None
    assert main(["explain", "open.onnx"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[:5] == ["0", "cpu", "product", "dot", "?"]
    (known,) = explained(capsys, "open.onnx", "--size", "length=5")["placements"]
    assert known["macs"] == 60


def test_every_node_on_the_cpu_has_a_reason(capsys):
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"], "first", axis=1),
        helper.make_node("Relu", ["s"], ["r"], "between"),
        helper.make_node("Softmax", ["r"], ["y"], "last", axis=1),
    ]
    save_nodes("cpu.onnx", nodes, {"x": ("f", ("N", 8))}, {"y": ("f", ("N", 8))})
    reasons = {each["label"]: each["reason"] for each in explained(capsys, "cpu.onnx")["placements"]}
    assert reasons["between"] == "it could, but not without more programs, or more bytes between"
    assert reasons["first"] == reasons["last"] != reasons["between"]
    assert main(["explain", "cpu.onnx"]) == 0
    assert "all of it on the CPU, nothing on the accelerator" in capsys.readouterr().out
    assert main(["compile", "cpu.onnx", "-o", "cpu.twx", "--float"]) == 0
    capsys.readouterr()
    found = explained(capsys, "cpu.twx")["placements"]
    assert {each["reason"] for each in found} == {"compiled for the CPU alone"}


@pytest.mark.parametrize("command", ["disasm", "check"])
def test_a_package_is_no_program_and_says_who_takes_it(capsys, command):
    assert main(["compile", "net.onnx", "-o", "net.twx", "--float"]) == 0
    capsys.readouterr()
    assert main([command, "net.twx"]) == 1
    assert "net.twx: is a package of programs, not one program: tilewright run" in capsys.readouterr().err


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
