import csv
import json
import os
from pathlib import Path

import pytest

from tilewright.fpga import flow, synthesise
from tilewright.fpga.flow import SYNTHESISER, FlowError, find_tools, tool_version
from tilewright.fpga.row import append_row
from tilewright.fpga.synthesise import FAMILIES, main, synthesise_machine
from tilewright.isa.config import PRESETS
from tilewright.isa.error import TilewrightError

COUNTS = {
    "xc7": {"LUT1": 1, "LUT6": 10, "INV": 2, "RAM64M": 3, "SRL16E": 5, "FDRE": 7, "FDSE": 1, "MUXF7": 9}
    | {"DSP48E1": 4, "RAMB18E1": 2, "RAMB36E1": 6, "CARRY4": 8},
    "ecp5": {"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7, "PFUMX": 9, "MULT18X18D": 4}
    | {"DP16KD": 5, "PDPW16KD": 1},
}


@pytest.fixture
def stub(monkeypatch):
    """A synthesiser that counts the same cells whatever the machine."""
    monkeypatch.setattr(synthesise, "synthesise_machine", lambda config, family, folder: COUNTS[family])
    monkeypatch.setattr(synthesise, "tool_version", lambda name: "Stub 1.0")


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_cells_are_counted_as_a_designer_does():
    cells = FAMILIES["xc7"].cells(COUNTS["xc7"])
    assert (cells.logic_lut, cells.ram_lut, cells.ff, cells.dsp) == (13, 17, 8, 4)
    assert (cells.ramb18, cells.ramb36, cells.dp16kd) == (2, 6, 0)
    cells = FAMILIES["ecp5"].cells(COUNTS["ecp5"])
    assert (cells.logic_lut, cells.ram_lut, cells.ff, cells.dsp, cells.dp16kd) == (16, 12, 7, 4, 6)


def test_each_configuration_is_a_line_with_its_sizes(stub, tmp_path, capsys):
    path = tmp_path / "runs.csv"
    arguments = ["--family", "ecp5", "--append", os.fspath(path), "--build-dir", os.fspath(tmp_path)]
    assert main([*arguments, "--config", "tiny", "ecp5-85f"]) == 0
    assert main([*arguments, "--config", "reference", "--held-out"]) == 0
    found = rows(path)
    assert [(row["name"], row["held_out"]) for row in found] == [
        ("tiny", "0"),
        ("ecp5-85f", "0"),
        ("reference", "1"),
    ]
    assert found[1]["rows"] == str(PRESETS["ecp5-85f"].rows)
    assert (found[0]["dsp"], found[0]["tool"]) == ("4", "Stub 1.0")
    assert "name=tiny" in capsys.readouterr().out.splitlines()[0]


def test_nothing_runs_if_one_configuration_is_unknown(stub, tmp_path, capsys):
    arguments = ["--family", "xc7", "--build-dir", os.fspath(tmp_path)]
    assert main([*arguments, "--config", "tiny", "no-such"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("tilewright: error: config must be")


def test_a_file_of_other_columns_is_not_appended_to(tmp_path):
    path = tmp_path / "runs.csv"
    append_row(path, {"name": "tiny", "lut": 1})
    before = path.read_text()
    with pytest.raises(TilewrightError, match="columns name, ff: give its lines"):
        append_row(path, {"name": "tiny", "ff": 1})
    assert path.read_text() == before


def test_a_file_that_cannot_be_written_is_one_line(stub, tmp_path, capsys):
    arguments = ["--family", "xc7", "--config", "tiny", "--build-dir", os.fspath(tmp_path)]
    assert main([*arguments, "--append", os.fspath(tmp_path)]) == 1
    assert "must be a file that can be written" in capsys.readouterr().err


def test_a_missing_tool_is_named_without_the_router(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.setattr(flow.sys, "executable", os.fspath(tmp_path / "python"))
    assert main(["--family", "xc7", "--config", "tiny"]) == 1
    error = capsys.readouterr().err
    assert flow.SYNTHESISER in error
    assert flow.ROUTER not in error


@pytest.mark.slow
def test_synthesis_counts_the_cells_of_the_whole_machine(tmp_path, monkeypatch):
    """The real tool, on the machine after its first steps: all of them take minutes."""
    try:
        find_tools((SYNTHESISER,))
    except FlowError as error:
        pytest.skip(str(error))
    assert tool_version(SYNTHESISER).startswith("Yosys ")
    family = FAMILIES["xc7"]
    short = type(family)(
        script=f"read_rtlil design.il\nhierarchy -top {synthesise.TOP_NAME}\nflatten\n", weights={}
    )
    monkeypatch.setattr(synthesise, "FAMILIES", {"xc7": short})
    counts = synthesise_machine(PRESETS["tiny"], "xc7", tmp_path)
    # The products of the array and of the requantisers.
    assert counts["$mul"] >= 20
    assert json.loads(Path(tmp_path / "cells.json").read_text())
