import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from tilewright.isa.config import PRESETS
from tilewright.isa.container import FORMAT_VERSION, MAGIC, ExecutableError
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Finish, Load, Nop
from tilewright.isa.random_program import random_config, random_program
from tilewright.isa.region import Region, RegionError

PROGRAM = [Load(base=2, offset=64), Nop(), Finish()]
EXECUTABLE = Executable.of(
    PROGRAM,
    PRESETS["tiny"],
    [Region(2, 4096, "input é"), Region(7, 0, "")],
    {"weights": b"\0\1", "empty": b""},
)
HEADER_FROM = 8 + 4 + 8 + 8


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "program.tlwx"
    EXECUTABLE.save(path)
    return path


def rewrite(path, change):
    """Change the header of a file and make frame and digest fit again."""
    data = path.read_bytes()
    size = int.from_bytes(data[20:28], "little")
    header = json.loads(data[HEADER_FROM : HEADER_FROM + size])
    change(header)
    text = json.dumps(header).encode()
    payload = data[HEADER_FROM + size : -32]
    total = (HEADER_FROM + len(text) + len(payload) + 32).to_bytes(8, "little")
    body = data[:12] + total + len(text).to_bytes(8, "little") + text + payload
    path.write_bytes(body + hashlib.sha256(body).digest())


def refusal(path):
    with pytest.raises(ExecutableError) as error:
        Executable.load(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_a_file_reads_back_exactly(path):
    executable = Executable.load(path)
    assert executable == EXECUTABLE
    assert executable.program() == PROGRAM
    assert executable.config_digest == PRESETS["tiny"].digest()


@pytest.mark.parametrize("seed", range(8))
def test_any_program_reads_back(path, seed):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    program = random_program(rng, config, instructions=5, memory_bytes=1024)
    executable = Executable.of(program, config, sections={str(seed): rng.bytes(seed), "é \n": b""})
    executable.save(path)
    assert Executable.load(path) == executable


def test_equal_executables_have_equal_bytes(path, tmp_path):
    Executable.load(path).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF" + bytes(100)])
def test_a_foreign_file_is_refused(path, data):
    path.write_bytes(data)
    assert refusal(path) == "is no Tilewright executable: its first bytes are others"


def test_a_file_cut_anywhere_is_refused(path):
    data = path.read_bytes()
    for length in range(1, len(data)):
        path.write_bytes(data[:length])
        assert refusal(path).startswith("is cut short: it has")


def test_a_file_altered_anywhere_is_refused(path):
    data = path.read_bytes()
    for place in range(20, len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert refusal(path) == "was altered after it was written: its contents do not fit its digest"
    path.write_bytes(data + b"\n")
    assert refusal(path).startswith("was altered")


@pytest.mark.parametrize("version", [FORMAT_VERSION - 1, FORMAT_VERSION + 1])
def test_another_format_is_refused_by_name(path, version):
    data = path.read_bytes()
    path.write_bytes(MAGIC + version.to_bytes(4, "little") + data[12:])
    reads = f"this version of Tilewright reads {FORMAT_VERSION}"
    assert refusal(path) == f"has format {version}, {reads}: build it anew"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda h: h.update(isa_version=1), "is for instruction set 1, not 2: compile it again"),
        (lambda h: h.update(config_digest="00" * 8), "names configuration 0000000000000000, but holds"),
        (lambda h: h["config"].update(rows=3), "has a header that does not follow the format: ConfigError"),
        (lambda h: h["config"].update(colour=3), "has a header that does not follow the format: TypeError"),
        *(
            (
                lambda h, size=size: h["sections"][0].update(bytes=size),
                f"must have a section 'code' of whole bytes, not {size!r}",
            )
            for size in (float("inf"), 64.0, "64", True, None)
        ),
        (
            lambda h: h["sections"].append(h["sections"][0]),
            "must have sections of different names, not 'code'",
        ),
        (lambda h: h["sections"][0].update(name=3), "must have sections of different names, not 3"),
        (lambda h: h.pop("regions"), "has a header that does not follow the format: KeyError('regions')"),
        (
            lambda h: h["regions"][0].update(base=9),
            "has a header that does not follow the format: RegionError",
        ),
        (lambda h: h["sections"][0].update(bytes=1), "has sections of 3 bytes in 194 bytes"),
        (
            lambda h: h["sections"][0].update(name="x"),
            "has a header that does not follow the format: KeyError",
        ),
    ],
)
def test_a_header_that_does_not_fit_is_refused(path, change, text):
    rewrite(path, change)
    assert refusal(path).startswith(text)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*program.tlwx'"):
        replace(EXECUTABLE, code=b"").save(path)
    assert Executable.load(path) == EXECUTABLE
    assert [entry.name for entry in path.parent.iterdir()] == ["program.tlwx"]


def test_a_missing_folder_is_named_by_the_path_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        EXECUTABLE.save(tmp_path / "nowhere" / "a")
    assert error.value.filename == str(tmp_path / "nowhere" / "a")


def test_regions_and_sections_that_no_file_can_have_are_refused():
    with pytest.raises(RegionError, match="base register 1 must have one region, not 'a' and 'b'"):
        Executable(b"", PRESETS["tiny"], (Region(1, 1, "a"), Region(1, 2, "b")))
    with pytest.raises(ExecutableError, match="must not be named 'code'"):
        Executable(b"", PRESETS["tiny"], (), {"code": b""})
    with pytest.raises(RegionError, match="size of a region must be from 0 to"):
        Region(1, -1, "a")
    with pytest.raises(RegionError, match="name of a region must be printable"):
        Region(1, 1, 'a"')
