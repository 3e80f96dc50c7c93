"""Texts of every kind may be damaged, endless, marked, or hold numbers of any length."""

import contextlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from onnx_file import X, save_network
from tilewright.cli.main import main
from tilewright.isa import text_file
from tilewright.isa.config import PRESETS, ConfigError, load_config
from tilewright.isa.text_file import TextError, read_text

DIGITS = "9" * 5000
HEXADECIMAL = "0x" + "f" * 5000
TINY = PRESETS["tiny"].to_toml()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(capsys, *arguments):
    """The one short line on stderr."""
    assert main(list(arguments)) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert len(err) < 500
    return err.removeprefix("tilewright: error: ").rstrip()


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("", "must give every size, also rows, cols, activation_banks, activation_vectors, weight_vectors"),
        (TINY.replace("rows = 4", ""), "must give every size, also rows"),
        (
            TINY.replace("rows = 4", f"rows = {DIGITS}"),
            "must be TOML with one size a line, such as rows = 16",
        ),
        (
            TINY.replace("rows = 4", f"rows = {HEXADECIMAL}"),
            "rows must be an integer from 4 to 128, not a num",
        ),
        (TINY.replace("rows = 4", "rows = 'é\\n'"), "rows must be an integer from 4 to 128, not 'é"),
        (
            TINY.replace("rows = 4", "rows = 9223372036854775807"),
            "rows must be an integer from 4 to 128, not 9",
        ),
        ("a = " + "[" * 5000, "must be TOML with one size a line, such as rows = 16"),
        ("rows = ", "must be TOML: "),
        ("rows = 4\x00", "must be TOML: "),
    ],
)
def test_a_damaged_configuration_is_told(capsys, toml, message):
    Path("m.toml").write_text(toml, encoding="utf-8")
    assert message in refusal(capsys, "verilog", "--config", "m.toml", "-o", "v")
    with pytest.raises(ConfigError):
        load_config("m.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"load offset={DIGITS}", "2:13: '999999999999"),
        (f"load offset={HEXADECIMAL}", "2:13: '0xffff"),
        (f'.region 0 {DIGITS} "a"', "2:11: '9999"),
        (f".config rows={HEXADECIMAL}", "2:1: .config must stand once"),
        ("a" * 100_000, "2:1: unknown instruction 'aaaa"),
        (f"load {'a' * 100_000}=1", "2:6: unknown field of load 'aaaa"),
    ],
)
def test_a_damaged_program_is_told_in_a_short_line(capsys, line, message):
    Path("p.s").write_text(f".config tiny\n{line}\n")
    assert message in refusal(capsys, "asm", "p.s", "-o", "x")


def test_of_a_text_of_something_else_the_first_thousand_lines_are_told(capsys):
    Path("p.s").write_text(".config tiny\n" + "what\n" * 100_000)
    assert main(["asm", "p.s", "-o", "x"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1001
    assert err.endswith("p.s:1001:1: further lines were not read: mend those first\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('layer "a\\q"\n', 's.txt: line 1: a name must be JSON text, not "a\\q"'),
        (f'layer "a" part {DIGITS}\n', "s.txt: line 1 must begin a section"),
        (
            f'layer "a"\nsplit loop=a factor={DIGITS} outer=b inner=c',
            "factor must be an integer of at most 18 d",
        ),
        ("split", "line 1 must begin a section"),
        ("\xff", "s.txt: must be text, as --schedules writes it"),
    ],
)
def test_a_damaged_schedule_is_told(capsys, text, message):
    save_network("net.onnx")
    np.savez("x.npz", x=X)
    Path("s.txt").write_text(text, encoding="latin-1")
    command = ("compile", "net.onnx", "--config", "tiny", "--calibrate", "x.npz", "-o", "x")
    assert message in refusal(capsys, *command, "--schedule", "s.txt")


def test_a_byte_order_mark_is_no_text():
    Path("m.toml").write_text(TINY, encoding="utf-8-sig")
    assert load_config("m.toml") == PRESETS["tiny"]
    Path("p.s").write_text(".config m.toml\r\nfinish\r\n", encoding="utf-8-sig")
    assert main(["asm", "p.s", "-o", "x"]) == 0


@pytest.mark.parametrize("command", ["asm {} -o x", "check {}", "disasm {}", "run {}", "compile {} -o x"])
def test_a_file_without_an_end_is_refused(capsys, command):
    if not Path("/dev/zero").exists():
        pytest.skip("there is no /dev/zero here")
    assert "/dev/zero: " in refusal(capsys, *command.format("/dev/zero").split())


@pytest.mark.parametrize("command", ["asm {} -o x", "disasm {}"])
def test_a_pipe_without_an_end_is_refused(capsys, command):
    os.mkfifo("pipe")
    writer = threading.Thread(target=write_for_ever, args=("pipe",))
    writer.start()
    assert "pipe: " in refusal(capsys, *command.format("pipe").split())
    writer.join(timeout=60)
    assert not writer.is_alive()


def write_for_ever(path):
    """Until nobody reads any more."""
    with contextlib.suppress(BrokenPipeError), open(path, "wb", buffering=0) as pipe:
        while True:
            pipe.write(b"finish\n" * 10_000)


def test_a_text_has_a_greatest_size(monkeypatch):
    monkeypatch.setattr(text_file, "TEXT_LIMIT_BYTES", 3)
    Path("a").write_text("abc")
    assert read_text("a") == "abc"
    Path("a").write_text("abcd")
    with pytest.raises(TextError, match="a: must be text in UTF-8 of at most"):
        read_text("a")
