"""No command writes over a file that it reads, whatever the file is called."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_file import X, save_network
from tilewright.cli.main import main
from tilewright.isa.config import PRESETS

PROGRAM = ".config machine.toml\n.region 0 64\nfinish\n".replace("64", '64 "r"')
COMPILE = "compile net.onnx --config machine.toml --calibrate c.npz"
FULL = f"{COMPILE} --input x.npz --labels y.npy --schedule old.txt -o net.twx"
RUN = "run net.onnx --config machine.toml --calibrate c.npz --input x.npz --labels y.npy"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_network("net.onnx")
    onnx.save(onnx.load("net.onnx"), "apart.onnx", save_as_external_data=True, size_threshold=0, location="w")
    np.savez("x.npz", x=X)
    np.savez("c.npz", x=X)
    np.save("y.npy", np.zeros(len(X), np.int64))
    Path("old.txt").write_text("")
    Path("machine.toml").write_text(PRESETS["tiny"].to_toml())
    Path("p.s").write_text(PROGRAM)
    Path("memory").write_bytes(bytes(64))
    return tmp_path


CASES = [
    *((f"{COMPILE} -o", name) for name in ("net.onnx", "machine.toml", "c.npz")),
    *((f"{FULL} {option}", "x.npz") for option in ("--output", "--report", "--trace", "--schedules")),
    *((f"{FULL} --output", name) for name in ("net.onnx", "y.npy", "c.npz", "old.txt", "machine.toml")),
    *((f"{RUN} {option}", "net.onnx") for option in ("--output", "--report", "--trace")),
    *((f"{RUN} --report", name) for name in ("y.npy", "c.npz", "x.npz", "machine.toml")),
    ("asm p.s -o", "p.s"),
    ("asm p.s -o", "machine.toml"),
    ("verilog --config machine.toml -o", "machine.toml"),
    ("run p.s --memory 0=memory --trace", "p.s"),
    ("run p.s --memory 0=memory --trace", "memory"),
    ("compile apart.onnx --calibrate c.npz -o", "w"),
    ("run apart.onnx --calibrate c.npz --input x.npz --report", "w"),
]


@pytest.mark.parametrize("alias", ["plain", "dotted", "link", "hard link"])
@pytest.mark.parametrize(("command", "name"), CASES)
def test_an_output_over_an_input_is_refused(command, name, alias, capsys):
    before = Path(name).read_bytes()
    path = name
    if alias == "dotted":
        path = f"../{Path().absolute().name}/./{name}"
    elif alias == "link":
        Path("other").symlink_to(name)
        path = "other"
    elif alias == "hard link":
        os.link(name, "other")
        path = "other"
    assert main([*command.split(), path]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"tilewright: error: {path}: must not be written, it is read as ")
    assert err.count("\n") == 1
    assert Path(name).read_bytes() == before


def test_a_dump_over_the_memory_is_refused(capsys):
    assert main(["run", "p.s", "--memory", "0=memory", "--dump", "0=./memory"]) == 1
    assert "./memory: must not be written, it is read as memory" in capsys.readouterr().err


def test_two_names_of_one_file_are_one_output(capsys):
    Path("a").write_text("old")
    Path("b").symlink_to("a")
    assert main([*FULL.split(), "--output", "a", "--report", "b"]) == 1
    assert "b: must be named for one output, not several" in capsys.readouterr().err
    assert Path("a").read_text() == "old"
