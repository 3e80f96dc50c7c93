"""`tilewright accuracy`, and budgets of accuracy on the command line."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.onnx_network import OnnxNetwork

from tilewright.cli import accuracy as command
from tilewright.cli.main import main
from tilewright.compiler.network.layer_noise import ALONE_SAMPLES

SHAPE = (3, 8, 8)


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A network that integers ruin by its second layer, one that they do not, and data."""
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=np.random.default_rng(1).normal(0, 1, (6, *SHAPE)).astype(np.float32))
    for name, factor in (("ruined.onnx", 1e7), ("sound.onnx", 1.0)):
        rng, made = np.random.default_rng(3), OnnxNetwork({"x": (1, *SHAPE)})
        x = made.add("Relu", made.add("Conv", "x", rng.normal(0, 0.5, (8, 3, 3, 3)), pads=[1] * 4))
        weight, last = rng.normal(0, 0.5, (8, 8, 1, 1)), rng.normal(0, 0.5, (4, 8, 3, 3))
        weight[0], last[:, 0] = factor * weight[0], 0.0
        x = made.add("Conv", made.add("Relu", made.add("Conv", x, weight)), last, pads=[1] * 4)
        onnx.save(made.model(x), name)


def test_the_table_has_a_line_for_each_layer_and_one_for_the_outputs(capsys):
    assert main(["accuracy", "sound.onnx", "--calibrate", "x.npz", "--config", "tiny"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "operator", "MACs", "dB", "alone,", "dB"]
    assert [line.split()[0] for line in lines[2:5]] == ["n0", "n2", "n4"]
    assert lines[-1].startswith("outputs: ")
    assert lines[-1].endswith(" of the answers the same, in 6 samples")


def test_the_object_has_the_same(capsys):
    assert main(["accuracy", "ruined.onnx", "--calibrate", "x.npz", "--config", "tiny", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == 6
    assert found["snr_db"] < 10
    layers = {each["label"]: each for each in found["layers"]}
    assert layers.keys() == {"n0", "n2", "n4"}
    assert layers["n2"]["alone_snr_db"] < 10 < layers["n0"]["alone_snr_db"]


def test_the_page_of_time_has_the_noise_of_each_layer_beside_it(capsys):
    options = ["--calibrate", "x.npz", "--config", "tiny", "--json"]
    assert main(["accuracy", "sound.onnx", *options, "--report", "page.html"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    page = Path("page.html").read_text()
    assert "SNR, dB" in page
    rows = re.findall(r"<tr data-begin.*?</tr>", page, re.DOTALL)
    assert len(rows) == len(layers) == 3
    for row, layer in zip(rows, layers, strict=True):
        assert f">{layer['label']}<" in row
        assert f"{layer['snr_db']:.1f}</td></tr>" in row
    assert main(["accuracy", "sound.onnx", *options, "--report", "x.npz"]) == 1
    assert "x.npz: must not be written" in capsys.readouterr().err


def test_data_are_asked_for(capsys):
    assert main(["accuracy", "sound.onnx"]) == 1
    assert "give typical inputs with --calibrate FILE" in capsys.readouterr().err


def test_samples_alone_are_those_of_the_api():
    assert command.ALONE_SAMPLES == ALONE_SAMPLES


RUN = ["--input", "x.npz", "--calibrate", "x.npz", "--config", "tiny", "--device", "cpu", "--json"]


def test_a_network_that_integers_ruin_is_noticed_with_what_helps(capsys):
    assert main(["run", "ruined.onnx", *RUN]) == 0
    noted = capsys.readouterr().err
    assert "integers ruin it" in noted
    assert "--accuracy-budget 20dB" in noted
    assert main(["run", "sound.onnx", *RUN]) == 0
    assert "ruin" not in capsys.readouterr().err


@pytest.mark.parametrize("budget", ["30dB", "0%"])
def test_a_budget_leaves_layers_in_floats_and_the_package_says_why(capsys, budget):
    given = ["--calibrate", "x.npz", "--config", "tiny", "--accuracy-budget", budget]
    assert main(["compile", "ruined.onnx", "-o", "mixed.twx", *given]) == 0
    assert "ruin" not in capsys.readouterr().err
    assert main(["explain", "mixed.twx", "--json"]) == 0
    places = {each["label"]: each for each in json.loads(capsys.readouterr().out)["placements"]}
    assert places["n2"]["target"] == "cpu"
    assert "left in floats" in places["n2"]["reason"]
    assert places["n0"]["target"] == "accelerator"


def test_a_budget_that_is_none_is_refused_before_any_work(capsys):
    assert main(["run", "sound.onnx", *RUN, "--accuracy-budget", "good"]) == 1
    assert "accuracy budget must be decibels" in capsys.readouterr().err
    assert main(["run", "sound.onnx", "--input", "x.npz", "--float", "--accuracy-budget", "1%"]) == 1
    assert "--accuracy-budget cannot be used: --float quantises nothing" in capsys.readouterr().err
