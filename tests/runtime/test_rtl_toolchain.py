"""Verilator and compiler are found, old ones are not taken, and what they say when they fail is passed on."""

import pytest

from tilewright.runtime import rtl_toolchain
from tilewright.runtime.rtl_toolchain import RtlBuildError, Toolchain, find_toolchain, require_toolchain


def install(folder, name, *lines):
    """A program that prints `lines`."""
    program = folder / name
    program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    program.chmod(0o755)
    return program


@pytest.fixture
def path(monkeypatch, tmp_path):
    """A machine whose PATH is one folder, without the Python distribution of Verilator."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(rtl_toolchain, "_packaged_verilator", lambda: None)
    return tmp_path


def test_a_machine_without_verilator_has_no_toolchain(path):
    install(path, "g++", "g++ 12")
    assert find_toolchain() is None
    with pytest.raises(RtlBuildError, match="tilewright doctor --for rtl"):
        require_toolchain()


@pytest.mark.parametrize(("version", "found"), [("5.006", False), ("5.036", True), ("6.001", True)])
def test_verilator_on_path_must_be_new_enough(path, version, found):
    install(path, "g++", "g++ 12")
    install(path, "verilator", f"Verilator {version} 2024-01-01")
    assert (find_toolchain() is not None) == found


def test_a_machine_without_compiler_has_no_toolchain(path):
    install(path, "verilator", "Verilator 5.036")
    assert find_toolchain() is None


def test_the_compiler_is_the_one_that_cxx_names(path, monkeypatch):
    install(path, "verilator", "Verilator 5.036")
    install(path, "g++", "other")
    monkeypatch.setenv("CXX", str(install(path, "mine", "mine 1")))
    assert find_toolchain().compiler == path / "mine"


def test_a_failure_says_why(tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 1\n")
    compiler.chmod(0o755)
    toolchain = Toolchain(verilator=compiler, root=tmp_path, compiler=compiler, version="")
    with pytest.raises(RtlBuildError, match="cc must compile the gates, but failed: … no such thing"):
        toolchain.compile(["-c"], tmp_path)
