"""`tilewright asm` and `tilewright disasm` are each other's way back."""

import numpy as np
import pytest

from tilewright.cli.main import main
from tilewright.isa.assembly import disassemble
from tilewright.isa.config import PRESETS
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Finish
from tilewright.isa.random_program import random_config, random_program
from tilewright.isa.region import Region

TEXT = '.config tiny\n.region 1 64 "in"\nload base=1 n_x=4 stride_x=4\nfinish\n'


@pytest.fixture
def files(tmp_path):
    return tmp_path / "program.s", tmp_path / "program.tlwx"


def refusal(capsys, files, text, *options):
    source, output = files
    source.write_text(text)
    assert main(["asm", str(source), "-o", str(output), *options]) == 1
    assert not output.exists()
    return capsys.readouterr().err.removeprefix("tilewright: error: ").replace(str(source), "program.s")


def test_text_goes_to_an_executable_and_back(capsys, files):
    source, output = files
    source.write_text(TEXT)
    assert main(["asm", str(source), "-o", str(output)]) == 0
    assert Executable.load(output).regions == (Region(1, 64, "in"),)
    assert main(["disasm", str(output)]) == 0
    assert capsys.readouterr().out == TEXT


def test_a_random_program_survives_the_way(capsys, files):
    rng = np.random.default_rng(5)
    config = random_config(rng)
    text = disassemble(random_program(rng, config, instructions=30, memory_bytes=4096), config)
    source, output = files
    source.write_text(text)
    assert main(["asm", str(source), "-o", str(output)]) == 0
    assert main(["disasm", str(output)]) == 0
    assert capsys.readouterr().out == text


def test_the_configuration_may_come_from_the_command_line(files):
    source, output = files
    source.write_text("finish\n")
    assert main(["asm", str(source), "-o", str(output), "--config", "reference"]) == 0
    assert Executable.load(output) == Executable.of([Finish()], PRESETS["reference"])


def test_a_program_without_or_with_two_machines_is_refused(capsys, files):
    assert refusal(capsys, files, "finish").startswith("program.s: must name its machine: add .config NAME")
    expected = "program.s: is made for another machine than --config reference: drop one\n"
    assert refusal(capsys, files, TEXT, "--config", "reference") == expected


def test_wrong_text_is_refused_with_every_place(capsys, files):
    error = refusal(capsys, files, "laod\nfinish wiat=load\n", "--config", "tiny")
    assert error == (
        "program.s:1:1: unknown instruction 'laod': did you mean 'load'?\n"
        "program.s:2:8: unknown field of finish 'wiat': did you mean 'wait'?\n"
    )


def test_undefined_instructions_are_refused_with_their_lines(capsys, files):
    error = refusal(capsys, files, "\nload offset=2\n# comment\nstore address=1024", "--config", "tiny")
    assert error == (
        "program.s:2: offset must be a multiple of 4 bytes (a vector or the bus), not 2\n"
        "program.s:4: the last instruction must be finish: add one; "
        "address must be below 1024, the end of its memory, not 1024\n"
    )


def test_nothing_and_what_is_no_text_are_refused(capsys, files):
    assert refusal(capsys, files, "", "--config", "tiny").startswith("program.s: must hold an instruction")
    files[0].write_bytes(b"\xff\xfe")
    assert main(["asm", str(files[0]), "-o", str(files[1])]) == 1
    assert "must be text in UTF-8" in capsys.readouterr().err


def test_a_file_that_is_no_executable_is_refused(capsys, files):
    files[0].write_text(TEXT)
    assert main(["disasm", str(files[0])]) == 1
    assert "is no Tilewright executable" in capsys.readouterr().err
