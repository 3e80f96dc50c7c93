import json
import os

import pytest

from tilewright.fpga import flow
from tilewright.fpga.flow import FlowError, find_tools, synthesise
from tilewright.fpga.route import main
from tilewright.hw.memory import BankedMemory
from tilewright.isa.config import load_config
from tilewright.isa.memory import Memory


def test_missing_tools_are_named_with_the_way_to_get_them(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.setattr(flow.sys, "executable", os.fspath(tmp_path / "python"))
    assert main(["--build-dir", os.fspath(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for word in (flow.SYNTHESISER, flow.ROUTER, "pip install 'tilewright[fpga]'", "doctor"):
        assert word in error


def test_an_unknown_configuration_is_one_line(capsys, tmp_path):
    assert main(["--config", "no-such", "--build-dir", os.fspath(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("tilewright: error: config must be")


@pytest.fixture
def tools():
    try:
        return find_tools()
    except FlowError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_nothing_stands_between_a_memory_and_its_output_register(tools, tmp_path):
    """Such as what a read would see if its address were written in the same cycle, which never is."""
    memory = BankedMemory(load_config("tiny"), Memory.ACCUMULATOR, readers=2, writers=2)
    cells = synthesise(memory, tmp_path).cells.values()
    modes = [cell["parameters"]["REGMODE_B"] for cell in cells if cell["type"] == "DP16KD"]
    assert modes
    assert set(modes) == {"OUTREG"}


@pytest.mark.slow
def test_a_small_array_gets_one_multiplier_a_product(tools, tmp_path, capsys):
    arguments = ["--config", "tiny", "--part", "matrix", "--synthesis-only", "--json"]
    assert main([*arguments, "--build-dir", os.fspath(tmp_path)]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert cells["MULT18X18D"] == 16
