"""Files are written whole or not at all, links lead to what they name, and devices stay devices."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tilewright.isa import output_file
from tilewright.isa.output_file import write_files


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names():
    return sorted(path.name for path in Path().iterdir())


def test_a_file_gets_its_bytes_and_keeps_its_mode():
    Path("a").write_bytes(b"old")
    Path("a").chmod(0o640)
    write_files({"a": b"new", "b": b"other"})
    assert (Path("a").read_bytes(), Path("b").read_bytes()) == (b"new", b"other")
    assert stat.S_IMODE(Path("a").stat().st_mode) == 0o640
    assert names() == ["a", "b"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_leads_to_the_file_it_names(there):
    Path("sub").mkdir()
    if there:
        Path("sub/target").write_bytes(b"old")
    Path("link").symlink_to("sub/target")
    Path("further").symlink_to("link")
    write_files({"further": b"new"})
    assert all(Path(name).is_symlink() for name in ("link", "further"))
    assert Path("sub/target").read_bytes() == b"new"


def test_a_pipe_gets_the_bytes_and_stays_a_pipe():
    os.mkfifo("pipe")
    data, read = bytes(range(256)) * 1000, []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    write_files({"pipe": data, "a": b"beside"})
    reader.join()
    assert read == [data]
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    assert Path("a").read_bytes() == b"beside"


@pytest.mark.parametrize("minor", [pytest.param(3, id="null"), pytest.param(7, id="full")])
def test_a_device_stays_a_device(minor):
    try:
        os.mknod("device", 0o600 | stat.S_IFCHR, os.makedev(1, minor))
        Path("device").open("wb").close()
    except PermissionError:
        pytest.skip("devices cannot be made or opened here")
    Path("a").write_bytes(b"old")
    if minor == 3:
        write_files({"device": b"new"})
    else:
        with pytest.raises(OSError, match="No space left on device: 'device'"):
            write_files({"a": b"new", "device": b"new"})
        assert Path("a").read_bytes() == b"old"
    assert stat.S_ISCHR(Path("device").stat().st_mode)
    assert names() == ["a", "device"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_leaves_the_old_contents_and_nothing_else(step, monkeypatch):
    Path("a").write_bytes(b"old")

    def fail(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(output_file.os, step, fail)
    with pytest.raises(OSError, match="No space left on device: 'a'"):
        write_files({"a": b"new"})
    assert Path("a").read_bytes() == b"old"
    assert names() == ["a"]


@pytest.mark.parametrize("path", ["n" * 300, "none/a", ".", "circle"])
def test_a_path_that_can_hold_no_file_is_named(path):
    Path("circle").symlink_to("circle")
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        write_files({"a": b"new", path: b"new"})
    assert refused.value.filename == path
    assert names() == ["circle"]


def test_the_longest_name_can_be_written():
    write_files({"n" * 255: b"new"})
    assert Path("n" * 255).read_bytes() == b"new"


def test_our_own_stdout_gets_the_bytes_behind_what_was_printed():
    script = (
        "from tilewright.isa.output_file import write_files\n"
        "print('before'); write_files({'/dev/stdout': b'bytes\\n'}); print('behind')"
    )
    with open("out", "wb") as out:
        subprocess.run((sys.executable, "-c", script), check=True, stdout=out)
    assert Path("out").read_text() == "before\nbytes\nbehind\n"
