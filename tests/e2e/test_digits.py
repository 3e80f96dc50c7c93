"""A trained network, from its ONNX file to answers and cycles, by the command line alone."""

import json

import numpy as np
import pytest

from repository import ROOT
from tilewright.cli.main import main

FOLDER = ROOT / "examples" / "digits"
SAMPLES = 60


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with pictures as the network takes them, and their labels."""
    monkeypatch.chdir(tmp_path)
    with np.load(FOLDER / "pictures.npz") as arrays:
        pictures, labels = arrays["pictures"], arrays["labels"]
    x = ((pictures / 255 - 0.1307) / 0.3081).astype(np.float32)[:, None]
    np.savez("x.npz", x=x[:SAMPLES])
    np.save("labels.npy", labels[:SAMPLES])
    np.savez("calibration.npz", x=x[-100:])
    return tmp_path


@pytest.mark.slow
def test_a_trained_network_sees_digits_alike_on_simulator_and_cpu(capsys):
    network = [str(FOLDER / "lenet.onnx"), "--calibrate", "calibration.npz"]
    assert main(["compile", *network, "-o", "lenet.twx", "--json"]) == 0
    compiled = json.loads(capsys.readouterr().out)
    reports = {}
    for device in ("sim", "cpu"):
        options = ["--input", "x.npz", "--labels", "labels.npy", "--output", f"{device}.npz"]
        assert main(["run", "lenet.twx", *options, "--device", device, "--json"]) == 0
        reports[device] = json.loads(capsys.readouterr().out)
    assert reports["sim"]["top1"] == reports["cpu"]["top1"] >= 0.97
    assert reports["sim"]["instructions"] == compiled["instructions"]
    assert reports["sim"]["utilization"] > 0.3
    with np.load("sim.npz") as one, np.load("cpu.npz") as two:
        assert np.array_equal(one["y"], two["y"])
