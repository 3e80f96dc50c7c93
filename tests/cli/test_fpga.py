"""`tilewright fpga report` says what a machine takes, by models at once and by the tools if asked."""

import json

import pytest

from tilewright.cli.main import main
from tilewright.fpga import flow, route, synthesise
from tilewright.isa.config import PRESETS
from tilewright.tune.area import AreaModel


def report(capsys, *arguments):
    assert main(["fpga", "report", "--config", "reference", *arguments]) == 0
    return capsys.readouterr().out


def test_models_answer_at_once_with_their_errors_and_the_boards(capsys):
    text = report(capsys)
    assert "leave-one-out error" in text
    assert "lacks dsp 272 of 220" in text
    assert "fits" in text
    found = json.loads(report(capsys, "--json"))
    area = AreaModel.fitted("xc7").area(PRESETS["reference"])
    assert found["area"][0]["lut"] == area.lut
    assert {entry["family"] for entry in found["area"]} == {"xc7", "ecp5"}
    assert found["routed"] == []


def test_synthesis_adds_a_line_a_family(capsys, monkeypatch, tmp_path):
    asked = []

    def machine(config, family, folder):
        asked.append((config, family, folder))
        return {"LUT6": 10, "FDRE": 20, "DSP48E1": 3, "RAMB36E1": 2, "RAMB18E1": 1}

    monkeypatch.setattr(synthesise, "synthesise_machine", machine)
    monkeypatch.setattr(flow, "tool_version", lambda name: "Yosys 1")
    found = json.loads(report(capsys, "--synthesise", "xc7", "--build-dir", str(tmp_path), "--json"))
    assert asked == [(PRESETS["reference"], "xc7", tmp_path / "reference-xc7")]
    expected = {"family": "xc7", "lut": 10, "ff": 20, "dsp": 3, "bram": 2.5, "how": "synthesised by Yosys 1"}
    assert found["area"][2] == expected
    report(capsys, "--synthesise", "--build-dir", str(tmp_path))
    assert [family for _, family, _ in asked[1:]] == ["xc7", "ecp5"]


def test_of_several_seeds_all_clocks_and_the_best_path_are_shown(capsys, monkeypatch, tmp_path):
    class Routed:
        def __init__(self, mhz):
            self.achieved_mhz = mhz

        def to_json(self):
            return {"achieved_mhz": self.achieved_mhz}

        def table(self):
            return f"path of {self.achieved_mhz}"

    monkeypatch.setattr(route, "PARTS", {"vector": lambda config: config})
    monkeypatch.setattr(flow, "synthesise", lambda unit, folder: None)
    monkeypatch.setattr(flow, "route", lambda folder, target, seed: seed)
    monkeypatch.setattr("tilewright.fpga.report.parse_report", lambda raw: Routed({1: 60, 2: 72, 3: 65}[raw]))
    text = report(capsys, "--route", "vector", "--seed", "1", "2", "3", "--build-dir", str(tmp_path))
    assert "seed 1: 60, seed 2: 72, seed 3: 65 MHz" in text
    assert text.rstrip().endswith("path of 72")


@pytest.mark.parametrize("wrong", [("--config", "huge"), ("--config", "no.toml")])
def test_an_unknown_machine_is_refused(capsys, wrong):
    assert main(["fpga", "report", *wrong]) == 1
    assert "config must be a TOML file or one of" in capsys.readouterr().err


def test_a_missing_tool_is_named_with_its_remedy(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(flow, "find_tools", _nothing)
    monkeypatch.setattr(synthesise, "find_tools", _nothing)
    arguments = ["--config", "tiny", "--synthesise", "ecp5", "--build-dir", str(tmp_path)]
    assert main(["fpga", "report", *arguments]) == 1
    assert "pip install" in capsys.readouterr().err


def _nothing(names=()):
    raise flow.FlowError("yosys is missing: pip install 'tilewright[fpga]'")
