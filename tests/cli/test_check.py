"""`tilewright check` reads text and executables, and prints each problem with its place."""

import json

import pytest

from tilewright.cli.main import COMMANDS, main
from tilewright.isa.assembly import assemble
from tilewright.isa.config import PRESETS
from tilewright.isa.executable import Executable

GOOD = """\
.config tiny
.region 0 4 "input"
.region 1 4 "output"
load signal=store
store base=1 bytes=4 wait=load
finish
"""
RACY = GOOD.replace(" signal=store", "").replace(" wait=load", "")


@pytest.fixture
def file(tmp_path):
    """Writes a program and returns its path."""

    def write(text):
        path = tmp_path / "program.s"
        path.write_text(text)
        return str(path)

    return write


def test_the_command_is_listed():
    assert "check" in COMMANDS


def test_a_good_program_has_no_problems(file, capsys):
    assert main(["check", file(GOOD)]) == 0
    assert capsys.readouterr().out == "no problems\n"


def test_a_problem_is_printed_with_its_line(file, capsys):
    path = file(RACY)
    assert main(["check", path]) == 1
    out = capsys.readouterr().out
    assert out.startswith(
        f"{path}:5: hazard: instruction 1 (store base=1 bytes=4) reads vector 0 of activation"
    )
    assert len(out.splitlines()) == 1


def test_regions_of_the_program_bound_its_accesses(file, capsys):
    assert main(["check", file(GOOD.replace('1 4 "output"', '1 3 "output"'))]) == 1
    assert "region: instruction 1" in capsys.readouterr().out


def test_an_executable_is_checked_alike(tmp_path, capsys):
    assembly = assemble(RACY)
    path = tmp_path / "program.tlw"
    Executable.of(assembly.program, assembly.config, assembly.regions).save(path)
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().out.startswith(f"{path}: hazard: instruction 1")
    assert main(["check", str(path), "--config", "reference"]) == 1
    assert "is made for another machine than --config reference" in capsys.readouterr().err


def test_json_is_one_object_with_every_problem(file, capsys):
    assert main(["check", file(RACY), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["instructions"] == 3
    assert printed["config"] == PRESETS["tiny"].digest().hex()
    assert [(each["kind"], each["instructions"]) for each in printed["problems"]] == [("hazard", [0, 1])]


def test_the_machine_comes_from_the_text_or_the_option(file, capsys):
    text = "load address=1030\nfinish\n"
    assert main(["check", file(text), "--config", "reference"]) == 0
    assert main(["check", file(GOOD), "--config", "tiny"]) == 0
    assert main(["check", file(text), "--config", "tiny"]) == 1
    assert (
        "undefined: instruction 0 (load address=1030): address must be below 1024" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("options", "text", "message"),
    [
        ([], "finish", "must name its machine: add .config NAME, or give --config NAME"),
        (["--config", "reference"], GOOD, "is made for another machine than --config reference: drop one"),
    ],
)
def test_no_machine_and_two_machines_are_refused(file, capsys, options, text, message):
    assert main(["check", file(text), *options]) == 1
    assert message in capsys.readouterr().err


def test_a_file_that_is_neither_is_refused_in_one_line(tmp_path, capsys):
    path = tmp_path / "picture"
    path.write_bytes(b"\xff\xfe\x00")
    assert main(["check", str(path)]) == 1
    assert "must be an executable or text in UTF-8" in capsys.readouterr().err
