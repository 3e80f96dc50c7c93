"""`tilewright regmap` prints the map, and writes it for other tools."""

import pytest

from tilewright.cli.main import main
from tilewright.isa.register import REGISTERS
from tilewright.isa.register_map import c_header, systemrdl


def test_the_table_has_one_row_for_each_register(capsys):
    assert main(["regmap"]) == 0
    _, _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == list(REGISTERS)


@pytest.mark.parametrize(("option", "text"), [("--c", c_header), ("--systemrdl", systemrdl)])
def test_forms_go_to_stdout_or_into_a_file(capsys, tmp_path, option, text):
    assert main(["regmap", option]) == 0
    assert capsys.readouterr().out == text()
    assert main(["regmap", option, "-o", str(tmp_path / "map")]) == 0
    assert (tmp_path / "map").read_text() == text()
    assert capsys.readouterr().out == ""
