"""Streams that are closed, full or of few characters: one line where one can be said, and exit code 1."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tilewright.cli.stream import flush_stdout
from tilewright.isa.error import TilewrightError
from tilewright.runtime.build_cache import built

CONFIGS = ("configs",)
REFUSED = ("asm", "none.s", "-o", "x")
LINE = "tilewright: error: none.s: No such file or directory\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(arguments, redirection="", *, unbuffered=False, **variables):
    """The command in a shell of its own: exit code, stdout, stderr."""
    env = {**os.environ, **variables}
    env.pop("PYTHONUNBUFFERED", None)
    if unbuffered:
        env["PYTHONUNBUFFERED"] = "1"
    command = f'exec "$0" -m tilewright.cli.main {" ".join(arguments)} {redirection}'
    finished = subprocess.run(
        ("sh", "-c", command, sys.executable), env=env, capture_output=True, text=True, check=False
    )
    return finished.returncode, finished.stdout, finished.stderr


@pytest.mark.parametrize("arguments", [CONFIGS, ("--help",)])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_stdout_is_an_error(arguments):
    line = "tilewright: error: standard output: No space left on device\n"
    assert run(arguments, ">/dev/full") == (1, "", line)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_so_is_one_without_a_buffer():
    code, _, err = run(CONFIGS, ">/dev/full", unbuffered=True)
    assert (code, err) == (1, "tilewright: error: No space left on device\n")


def test_a_closed_stdout_is_an_error():
    assert run(CONFIGS, ">&-") == (1, "", "tilewright: error: standard output: Bad file descriptor\n")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "2>&- <&-"])
def test_an_error_that_nobody_can_read_goes_nowhere_else(redirection):
    assert run(REFUSED, redirection) == (1, "", "")


def test_an_error_does_not_need_stdout():
    assert run(REFUSED, ">&- <&-") == (1, "", LINE)


def test_a_reader_that_has_gone_is_no_error():
    code, _, err = run(CONFIGS, "| true; exit 0")
    assert (code, err) == (0, "")


def test_characters_that_a_terminal_lacks_are_spelt():
    code, out, err = run(CONFIGS, PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert re.search("\ntiny +4x4  ", out)


def test_a_program_of_other_characters_is_told_by_their_numbers():
    Path("p.s").write_text('.config tiny\n.region 0 64 "é×"\nfinish\n', encoding="utf-8")
    assert run(("asm", "p.s", "-o", "p.twx"))[0] == 0
    assert '"\\xe9x"' in run(("disasm", "p.twx"), PYTHONIOENCODING="ascii")[1]


def test_a_cache_that_cannot_be_written_is_told_with_the_remedy(monkeypatch):
    Path("cache").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    with pytest.raises(
        TilewrightError, match=r"cache/tilewright: .*: set XDG_CACHE_HOME to a folder that can"
    ):
        built("thing", lambda folder: None)


def test_what_was_printed_is_brought_out(capsys):
    print("text")
    flush_stdout()
    assert capsys.readouterr().out == "text\n"
