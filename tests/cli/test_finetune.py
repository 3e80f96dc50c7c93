"""`tilewright finetune` on the command line: what it prints, writes, goes on from and refuses."""

import json

import numpy as np
import onnx
import pytest
from tests.trained_network import CONFIG, inputs, layers

from tilewright.api.finetune import FinetuneOptions, Finetuning
from tilewright.cli import finetune as command
from tilewright.cli.main import main

BASE = ["finetune", "net.onnx", "-o", "tuned.onnx", "--data", "x.npz", "--config", CONFIG]
QUICK = ["--ranges", "min-max", "--batch", "8", "--epochs", "2"]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """A network, and data with labels."""
    monkeypatch.chdir(tmp_path)
    onnx.save(layers(), "net.onnx")
    labels = np.arange(24) % 4
    np.savez("x.npz", x=inputs(24), kind=labels)
    np.savez("held_out.npz", x=inputs(16, seed=8), kind=labels[:16])


def only(path):
    """A file of the inputs alone."""
    with np.load(path) as found:
        np.savez(path, x=found["x"])


@pytest.mark.slow
def test_it_prints_a_line_for_each_epoch_and_writes_what_run_takes(capsys, tmp_path):
    only("x.npz")
    only("held_out.npz")
    assert main([*BASE, *QUICK, "--validate", "held_out.npz"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("calibrated: validation ")
    assert [line.split(":")[0] for line in lines[1:3]] == ["epoch 1", "epoch 2"]
    assert all(" dB" in line and "loss " in line for line in lines[1:3])
    assert lines[3].startswith("integers before: ")
    assert lines[4].startswith("integers after:  ")
    assert sorted(path.name for path in tmp_path.glob("tuned*")) == ["tuned.onnx"]
    given = ["--input", "x.npz", "--device", "cpu", "--config", CONFIG]
    assert main(["run", "tuned.onnx", *given, "--output", "y.npz"]) == 0
    assert "calibrated on" not in capsys.readouterr().err
    with np.load("y.npz") as found:
        assert found["v12"].shape == (24, 4)


def test_the_object_has_the_epochs_and_the_figures(capsys):
    assert main([*BASE, *QUICK, "--labels", "kind", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["number"] for each in found["epochs"]] == [0, 1, 2]
    assert found["epochs"][0]["loss"] is None
    assert 0 <= found["epochs"][2]["judgement"]["right_share"] <= 1
    assert found["before"].keys() == found["after"].keys() == {"snr_db", "same_share", "right_share"}


def ended_behind(epochs, monkeypatch):
    """Training that Ctrl-C ends behind some epochs."""
    run = Finetuning.run

    def ended(self, **given):
        for epoch in run(self, **given):
            yield epoch
            if epoch.number == epochs:
                raise KeyboardInterrupt

    monkeypatch.setattr(Finetuning, "run", ended)


@pytest.mark.slow
def test_what_ctrl_c_ended_is_written_and_goes_on_to_the_same_file(capsys, monkeypatch, tmp_path):
    only("x.npz")
    whole = [*BASE, *QUICK[:-1], "3"]
    assert main(whole) == 0
    expected = (tmp_path / "tuned.onnx").read_bytes()
    with monkeypatch.context() as patch:
        ended_behind(1, patch)
        assert main(whole) == 0
    ended = capsys.readouterr()
    assert "ended early: the best epoch is written" in ended.err
    assert "1 of 3 epochs are done: --resume goes on with the others" in ended.err
    onnx.checker.check_model("tuned.onnx")
    assert (tmp_path / "tuned.onnx.checkpoint").exists()
    assert main([*whole, "--resume"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["epoch 2", "epoch 3"]
    assert (tmp_path / "tuned.onnx").read_bytes() == expected
    assert not (tmp_path / "tuned.onnx.checkpoint").exists()


def test_no_epoch_is_begun_behind_the_time(capsys):
    only("x.npz")
    assert main([*BASE, *QUICK, "--minutes", "1e-9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("calibrated: ")
    assert lines[1].startswith("integers before: ")


def test_a_new_run_forgets_the_checkpoint_of_another(tmp_path):
    only("x.npz")
    (tmp_path / "tuned.onnx.checkpoint").write_text("of something else")
    assert main([*BASE, *QUICK]) == 0


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["--resume"], "tuned.onnx.checkpoint: must be there to go on: leave --resume away"),
        ([], "x.npz: must hold inputs alone, and has kind: name labels with --labels kind"),
        (["-o", "none/tuned.onnx"], "none/tuned.onnx: must be in a folder that is there"),
        (["--labels", "class"], "x.npz: labels must be an array beside the inputs, kind, not 'class'"),
        (["--labels", "x"], "x.npz: labels must be an array beside the inputs, kind, not 'x'"),
        (["--labels", "kind", "--batch", "25"], "must have a batch of samples, 25 or more, not 24"),
        (["--labels", "kind", "--validate", "none.npz"], "none.npz: No such file"),
        (["--labels", "kind", "--size", "width=3"], "a size of 'network' must be one of N, not 'width'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(capsys, given, text):
    assert main([*BASE, *given]) == 1
    found = capsys.readouterr().err
    assert text in found
    assert found.count("\n") == 1


def test_neither_the_model_nor_the_data_is_written_over(capsys):
    assert main([*BASE, "-o", "net.onnx"]) == 1
    assert "net.onnx: must not be written" in capsys.readouterr().err
    assert main([*BASE, "-o", "x.npz"]) == 1
    assert "x.npz: must not be written" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--learning-rate", "--minutes"])
@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast"])
def test_numbers_must_be_above_0(option, text, capsys):
    with pytest.raises(SystemExit):
        main([*BASE, option, text])
    assert "must be a number above 0" in capsys.readouterr().err


def test_a_compiled_model_is_refused(capsys):
    only("x.npz")
    assert main(["compile", "net.onnx", "-o", "net.twx", "--calibrate", "x.npz", "--config", CONFIG]) == 0
    capsys.readouterr()
    assert main(["finetune", "net.twx", "-o", "tuned.onnx", "--data", "x.npz"]) == 1
    assert "must be an ONNX file, not a compiled model" in capsys.readouterr().err


def test_defaults_are_those_of_the_api():
    options = FinetuneOptions()
    found = command.EPOCHS, command.BATCH, command.LEARNING_RATE
    assert found == (options.epochs, options.batch, options.learning_rate)
