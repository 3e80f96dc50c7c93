"""`tilewright verilog` writes the machine as one file."""

import pytest

from tilewright.cli.main import COMMANDS, main


def test_the_command_is_listed():
    assert "verilog" in COMMANDS


@pytest.mark.slow
def test_the_file_is_one_module_with_the_ports_of_the_buses(tmp_path):
    path = tmp_path / "machine.v"
    assert main(["verilog", "--config", "tiny", "-o", str(path)]) == 0
    ports = path.read_text().partition("module tilewright(")[2].partition(")")[0]
    names = {name.strip() for name in ports.split(",")}
    assert {"clk", "rst", "m_axi_arvalid", "s_axi_awvalid"} <= names


@pytest.mark.parametrize(
    ("config", "message"), [("huge", "config must be a TOML file or one of"), ("no.toml", "not 'no.toml'")]
)
def test_an_unknown_machine_is_refused_and_no_file_written(tmp_path, capsys, config, message):
    path = tmp_path / "machine.v"
    assert main(["verilog", "--config", config, "-o", str(path)]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
