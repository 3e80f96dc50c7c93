"""The command line: exit codes, one line for an error of the input, and help that comes at once."""

import argparse
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from tilewright.cli import main as door
from tilewright.isa.error import TilewrightError


def install_command(monkeypatch, run):
    """Make `probe` the only command; it does what `run` does."""

    def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
        return subparsers.add_parser("probe")

    monkeypatch.setattr(door, "COMMANDS", ("probe",))
    monkeypatch.setattr(door, "load_command", lambda name: SimpleNamespace(add_parser=add_parser, run=run))


def raiser(error):
    def run(args):
        raise error

    return run


@pytest.mark.parametrize("command", door.COMMANDS)
def test_the_help_of_a_command_says_what_it_does(command, capsys):
    with pytest.raises(SystemExit) as leaving:
        door.main([command, "--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out.split("\n\n")
    assert text[0].startswith(f"usage: tilewright {command}")
    assert text[1].endswith(".")


def test_the_exit_code_is_the_commands(monkeypatch):
    install_command(monkeypatch, lambda args: 7)
    assert door.main(["probe"]) == 7


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (TilewrightError("rows must be 4, not 5"), "rows must be 4, not 5"),
        (FileNotFoundError(2, "No such file or directory", "a.s"), "a.s: No such file or directory"),
        (IsADirectoryError(21, "Is a directory", "b"), "b: Is a directory"),
        (PermissionError(13, "Permission denied", "c"), "c: Permission denied"),
        (OSError(28, "No space left on device", "d"), "d: No space left on device"),
        (OSError(30, "Read-only file system", b"e"), "e: Read-only file system"),
        (OSError(36, "File name too long", "f"), "f: File name too long"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError("cannot be read"), "cannot be read"),
        (MemoryError("Unable to allocate 1 TiB"), "not enough memory: Unable to allocate 1 TiB"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_an_error_of_the_input_is_one_line_and_exit_code_1(monkeypatch, capsys, error, line):
    install_command(monkeypatch, raiser(error))
    assert door.main(["probe"]) == 1
    assert capsys.readouterr() == ("", f"tilewright: error: {line}\n")


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    install_command(monkeypatch, raiser(ValueError("ours")))
    with pytest.raises(ValueError, match="ours"):
        door.main(["probe"])


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["doctor", "--nothing"]])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as leaving:
        door.main(arguments)
    assert leaving.value.code == 2
    assert "usage: tilewright" in capsys.readouterr().err


def test_the_version_is_the_distributions(capsys):
    with pytest.raises(SystemExit) as leaving:
        door.main(["--version"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out == f"tilewright {metadata.version('tilewright')}\n"


def test_help_names_every_command_and_loads_nothing_heavy():
    script = (
        "import sys; from tilewright.cli.main import build_parser; print(build_parser().format_help());"
        "print('heavy:', sorted({'numpy', 'numba', 'amaranth'} & sys.modules.keys()))"
    )
    finished = subprocess.run((sys.executable, "-c", script), check=True, capture_output=True, text=True)
    assert finished.stdout.endswith("heavy: []\n")
    assert all(f"    {name} " in finished.stdout for name in door.COMMANDS)
