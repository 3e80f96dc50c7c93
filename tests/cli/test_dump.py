"""`tilewright compile --dump` shows every level of the compiler as text."""

import numpy as np
import pytest

from split_network import X, save_split
from tilewright.cli.dump import PASSES
from tilewright.cli.main import main
from tilewright.compiler.pipeline import STAGES
from tilewright.compiler.targets.accel.compile import PASSES as LAYER_PASSES


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a network of two programs and inputs."""
    monkeypatch.chdir(tmp_path)
    save_split("net.onnx")
    np.savez("x.npz", x=X)
    return tmp_path


def test_the_help_lists_the_passes_that_there_are():
    assert PASSES == STAGES


def compile_network(*arguments):
    options = ["--calibrate", "x.npz", "--config", "tiny"]
    return main(["compile", "net.onnx", "-o", "net.twx", *options, *arguments])


def file_names(*stages):
    return [f"{STAGES.index(stage):02}_{stage}.txt" for stage in stages]


def dumped(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.txt")}


def test_every_pass_is_there_with_its_text(folder):
    assert compile_network("--dump", "all") == 0
    files = dumped(folder / "net.twx.dump")
    layers = [f"accelerator_{2 * n}/000_{name}" for n, name in enumerate(("first", "second"))]
    whole = file_names("input", "simplify", "partition")
    parts = [f"accelerator_{n}/{name}" for n in (0, 2) for name in file_names("integers")]
    inner = [f"{layer}/{name}" for layer in layers for name in file_names(*LAYER_PASSES)]
    assert sorted(files) == sorted([*whole, *parts, *inner])
    assert "softmax" in files["00_input.txt"]
    assert "kernel" in files["04_partition.txt"]
    assert "qconv2d" in files["accelerator_0/05_integers.txt"]
    assert "matrix" in files[f"{layers[0]}/08_tensorise.txt"]
    assert "weight: " in files[f"{layers[0]}/09_tasks.txt"]
    assert files[f"{layers[1]}/10_assembler.txt"].startswith("load ")


def test_the_assembler_text_is_the_program(folder, capsys):
    assert compile_network("--dump", "assembler", "--dump-folder", "seen", "--json") == 0
    files = dumped(folder / "seen")
    assert len(files) == 2
    count = sum(len(text.splitlines()) for text in files.values())
    # Each program has a finish besides.
    assert f'"instructions": {count + 2},' in capsys.readouterr().out


def test_one_pass_alone(folder):
    assert compile_network("--dump", "simplify", "--dump", "partition") == 0
    assert sorted(dumped(folder / "net.twx.dump")) == file_names("simplify", "partition")


def test_a_wrong_pass_lists_those_there_are(folder, capsys):
    before = sorted(folder.iterdir())
    assert compile_network("--dump", "loops") == 1
    message = capsys.readouterr().err
    assert message == (
        "tilewright: error: --dump must be one of input, simplify, fold, recompose, partition, integers, "
        "lower, schedule, tensorise, tasks, assembler, all, not 'loops'\n"
    )
    assert sorted(folder.iterdir()) == before


def test_where_nothing_can_be_written_nothing_is_left(folder, capsys):
    before = sorted(folder.iterdir())
    assert compile_network("--dump", "all", "-o", "no/net.twx", "--dump-folder", "seen/deep") == 1
    assert "no/net.twx: No such file or directory" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_a_network_of_floats_has_passes_too(folder):
    assert main(["compile", "net.onnx", "--float", "-o", "net.twx", "--dump", "all"]) == 0
    names = file_names("input", "simplify", "fold", "recompose", "partition")
    assert sorted(dumped(folder / "net.twx.dump")) == names
