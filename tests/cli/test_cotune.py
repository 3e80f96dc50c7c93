"""`tilewright cotune` finds machines for a board, writes what a point needs, refuses what has no meaning."""

import json

import numpy as np
import pytest

from split_network import X, save_split
from tilewright.cli.main import COMMANDS, main
from tilewright.isa.config import load_config
from tilewright.tune.hardware import HardwareStudy
from tilewright.tune.record_file import RecordFile

BUDGET = ("--luts", "60000", "--dsps", "120", "--brams", "100", "--start", "tiny")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a network and inputs."""
    monkeypatch.chdir(tmp_path)
    save_split("net.onnx")
    np.savez("x.npz", x=X)
    return tmp_path


def found(capsys, *arguments):
    assert main(["cotune", "net.onnx", *BUDGET, *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_is_listed():
    assert "cotune" in COMMANDS


def test_the_front_is_measured_and_told(capsys):
    report = found(capsys, "--trials", "10", "--measure", "3")
    assert report["machines"] == 10
    assert all(point["measured"] for point in report["front"])
    assert all(point["dsp"] <= 120 for point in report["front"])
    assert [point["point"] for point in report["front"]] == list(range(len(report["front"])))
    assert "leave-one-out" in report["area"]


def test_the_table_has_the_errors_of_the_models(capsys):
    assert (
        main(["cotune", "net.onnx", *BUDGET, "--trials", "4", "--measure", "0", "--calibrate", "x.npz"]) == 0
    )
    out = capsys.readouterr().out
    assert out.splitlines()[0].split()[:5] == ["point", "net", "LUT", "DSP", "BRAM"]
    assert "model" in out
    assert "4 machines looked at; areas by a form for xc7: LUT leave-one-out error" in out


def test_the_bus_stays_where_it_is_given(capsys):
    report = found(capsys, "--trials", "8", "--measure", "0", "--bus", "16", "--fix", "queue_depth")
    assert {point["config"]["bus_bytes"] for point in report["front"]} == {16}
    assert {point["config"]["queue_depth"] for point in report["front"]} == {4}


@pytest.mark.slow
def test_a_point_is_a_machine_with_schedules_and_a_page_shows_it(folder, capsys):
    report = found(
        capsys, "--trials", "6", "--measure", "0", "-o", "out", "--point", "0", "--show", "page.html"
    )
    point = folder / "out" / "point-0"
    config = load_config(str(point / "config.toml"))
    assert vars(config) == report["front"][0]["config"]
    assert "module" in (point / "machine.v").read_text()
    assert 'layer "first"' in (point / "net.schedules").read_text()
    with RecordFile(point / "net.records.jsonl") as file:
        records = file.read().records
    assert {record.outcome.kind for record in records} == {"ok"}
    assert {record.key.machine for record in records} == {config.digest().hex()}
    assert "layer" in (folder / "page.html").read_text()
    schedules = ["--schedule", "out/point-0/net.schedules", "--config", "out/point-0/config.toml"]
    assert main(["compile", "net.onnx", "-o", "net.tw", "--calibrate", "x.npz", *schedules]) == 0


def test_a_search_goes_on_from_its_folder(capsys, monkeypatch):
    options = ("--measure", "0", "-o", "out")
    first = found(capsys, "--trials", "5", *options)
    monkeypatch.setattr(HardwareStudy, "_evaluate", _never)
    assert found(capsys, "--trials", "5", *options) == first


def _never(*_):
    raise AssertionError("nothing is left to look at")


def test_who_interrupts_keeps_what_was_found(capsys, monkeypatch):
    evaluate = HardwareStudy._evaluate

    def stopping(study, *arguments):
        if len(study.evaluated) == 3:
            raise KeyboardInterrupt
        return evaluate(study, *arguments)

    monkeypatch.setattr(HardwareStudy, "_evaluate", stopping)
    assert main(["cotune", "net.onnx", *BUDGET, "--trials", "9", "--measure", "0", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["machines"] == 3
    assert "stopped at 3 of 9 machines: what was found is kept" in err


def test_a_network_is_named_once(capsys):
    assert main(["cotune", "net.onnx", "net.onnx", *BUDGET]) == 1
    assert "'net' is given twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the budget must be known"),
        (("--luts", "9"), "the budget must be known"),
        (("--board", "zu3eg", "--luts", "9"), "--board has a budget: drop --luts"),
        (("--board", "moon"), "--board must be one of"),
        ((*BUDGET, "--trials", "0"), "--trials must be from 1, not 0"),
        ((*BUDGET, "--point", "1"), "give -o FOLDER"),
        ((*BUDGET, "--confirm"), "give --point N"),
        ((*BUDGET, "--fix", "speed"), "not speed"),
        ((*BUDGET, "--bus", "7"), "bus_bytes must be"),
        (("--luts", "9", "--dsps", "9", "--brams", "9"), "the machine to begin with must fit the board"),
        ((*BUDGET, "--trials", "2", "--measure", "0", "-o", "out", "--point", "99"), "a line of the front"),
    ],
)
def test_what_has_no_meaning_is_refused(arguments, message, capsys):
    assert main(["cotune", "net.onnx", *arguments]) == 1
    out, err = capsys.readouterr()
    assert message in err
    assert err.startswith("tilewright: ")
    assert "Traceback" not in err + out
