"""The wheel holds exactly the rooms as they are in the tree."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from repository import ROOT, packages, rooms, tracked_files


def shipped_files() -> set[str]:
    """The tracked sources, data and type markers of the rooms, under their names in the wheel."""
    relative = [path.relative_to(ROOT) for path in tracked_files()]
    inside = (path for path in relative if len(path.parts) == 1 or path.parts[0] in rooms())
    return {
        f"tilewright/{path.as_posix()}"
        for path in inside
        if path.suffix in (".py", ".cpp", ".h", ".csv", ".jsonl") or path.name == "py.typed"
    }


def build_wheel(folder: Path) -> Path:
    """Build from a copy of the tracked files, so that neither old outputs nor stray files take part."""
    source = folder / "source"
    for path in tracked_files():
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    command = (
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(source),
    )
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_the_wheel_holds_every_tracked_module_and_nothing_else(tmp_path):
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        contents = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert contents == shipped_files()


def test_every_folder_of_modules_is_a_listed_package():
    folders = {ROOT, *(path.parent for room in rooms() for path in (ROOT / room).rglob("*.py"))}
    assert folders == set(packages().values())


def test_every_package_has_a_docstring_and_a_type_marker():
    assert [folder for folder in packages().values() if not (folder / "py.typed").is_file()] == []
    assert [
        folder for folder in packages().values() if not (folder / "__init__.py").read_text().startswith('"""')
    ] == []


def test_a_package_lies_where_its_name_says():
    assert packages() == {name: ROOT.joinpath(*name.split(".")[1:]) for name in packages()}
