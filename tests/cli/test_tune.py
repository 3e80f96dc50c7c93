"""`tilewright tune` and `--records`: what is measured is kept, printed, and taken by the compiler."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.tuned_network import three_layers

from tilewright.cli.main import main


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """A network in a file."""
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    path.write_bytes(three_layers())
    return path


def tune(network, folder, *options):
    records = folder / "records.jsonl"
    return main(["tune", str(network), "--records", str(records), "--workers", "1", *options]), records


@pytest.mark.slow
def test_what_is_measured_is_kept_printed_and_compiled(network, tmp_path, capsys):
    code, records = tune(network, tmp_path, "--trials", "20", "--json", "-o", str(tmp_path / "tuned.tile"))
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    assert sum("point" in line for line in lines) == 10
    assert sum(layer["trials"] for layer in report["layers"]) == 10
    assert [line["trials"] for line in lines if "points" in line][-1] == 10
    assert all(layer["cost"] <= layer["default_cost"] for layer in report["layers"])
    assert report["cycles"] <= report["default_cycles"]
    code, _ = tune(network, tmp_path, "--trials", "20")
    text = capsys.readouterr().out
    assert code == 0
    assert f"{report['cycles']:,} tuned" in text
    assert len(records.read_text().splitlines()) == len(lines), "all trials were made"
    np.savez(tmp_path / "x.npz", x=np.zeros((1, 16, 12, 12), np.float32))
    assert (
        main(["run", str(network), "--input", str(tmp_path / "x.npz"), "--records", str(records), "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["cycles"] == report["cycles"]
    assert main(["run", str(tmp_path / "tuned.tile"), "--input", str(tmp_path / "x.npz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cycles"] == report["cycles"]


def test_the_space_says_how_dense_good_points_lie(network, tmp_path, capsys):
    code, records = tune(network, tmp_path, "--space", "--json")
    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert not records.exists()
    assert len(found) == 3
    for each in found:
        assert 0 < each["fitting"] <= 1
        assert each["good"]["0.99"] <= each["good"]["0.9"] <= each["good"]["0.5"]
        assert each["size"] == np.prod(list(each["knobs"].values()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trials", "0"], "--trials must be above 0"),
        (["--minutes", "-1"], "--minutes must be above 0"),
        (["--workers", "0"], "--workers must be at least 1"),
        (["--workers", "2", "--cluster", "tcp://127.0.0.1:1"], "--workers cannot be used"),
        (["--float"], "--float cannot be used"),
        (["--device", "cpu", "-o", "package"], "-o must be for the accelerator"),
        (["--layers", "nothing"], "layers to tune must be of"),
        (["--config", "nothing"], "config must be"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_one_line(network, tmp_path, capsys, options, message):
    code, _ = tune(network, tmp_path, *options)
    error = capsys.readouterr().err
    assert code == 1
    assert message in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", [[], ["--float"]], ids=["integers", "floats"])
def test_the_kernels_of_the_host_are_tuned_in_seconds(network, tmp_path, capsys, kind):
    code, records = tune(network, tmp_path, "--device", "cpu", "--trials", "6", "--json", *kind)
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert code == 0
    assert len(layers) == (2 if kind else 1)
    assert sum(layer["trials"] for layer in layers) == 6
    assert {layer["unit"] for layer in layers} == {"seconds"}
    assert all(0 < layer["cost"] <= layer["default_cost"] for layer in layers)
    np.savez(tmp_path / "x.npz", x=np.ones((1, 16, 12, 12), np.float32))
    found = []
    for name in ("none", str(records)):
        package, out = str(tmp_path / "package"), tmp_path / "out.npz"
        assert main(["compile", str(network), "-o", package, "--records", name, *kind]) == 0
        options = ["--input", str(tmp_path / "x.npz"), "--device", "cpu", "--output", str(out)]
        assert main(["run", package, *options]) == 0
        found.append(dict(np.load(out)))
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-5, atol=1e-5 if kind else 0)


def test_a_file_of_something_else_is_not_appended_to(network, tmp_path, capsys):
    (tmp_path / "records.jsonl").write_text("my notes\n")
    code, records = tune(network, tmp_path, "--trials", "1")
    assert code == 1
    assert "must be a file of records" in capsys.readouterr().err
    assert records.read_text() == "my notes\n"


@pytest.mark.parametrize("names", [["none", "other.jsonl"], ["missing.jsonl"]], ids=" ".join)
def test_records_that_cannot_be_read_are_one_line(network, tmp_path, capsys, names):
    options = [option for name in names for option in ("--records", name)]
    code = main(["compile", str(network), "-o", str(tmp_path / "out"), *options])
    assert code == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
