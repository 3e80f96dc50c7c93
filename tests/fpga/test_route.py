import json
import os

import pytest

from tilewright.fpga import flow
from tilewright.fpga.flow import FlowError, find_tools
from tilewright.fpga.route import main


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


@pytest.mark.slow
def test_a_small_array_gets_one_multiplier_a_product(tmp_path, capsys):
    try:
        find_tools()
    except FlowError as error:
        pytest.skip(str(error))
    arguments = ["--config", "tiny", "--part", "matrix", "--synthesis-only", "--json"]
    assert main([*arguments, "--build-dir", os.fspath(tmp_path)]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert cells["MULT18X18D"] == 16
