"""The repository as the tests of the house see it."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pyproject() -> dict[str, Any]:
    """The contents of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages() -> dict[str, Path]:
    """Each package of the distribution and its folder."""
    table = pyproject()["tool"]["setuptools"]
    return {name: ROOT / table["package-dir"][name] for name in table["packages"]}


def rooms() -> tuple[str, ...]:
    """The top-level packages, by their short names."""
    return tuple(name.split(".")[1] for name in packages() if name.count(".") == 1)


def tracked_files() -> tuple[Path, ...]:
    """What is committed or about to be, without what is deleted in the working tree or is no plain file."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    listing = subprocess.run(("git", "ls-files", "-z"), cwd=ROOT, check=True, capture_output=True, text=True)
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file() and not path.is_symlink())


def room_modules() -> tuple[Path, ...]:
    """Every Python file of the rooms."""
    return tuple(sorted(path for room in rooms() for path in (ROOT / room).rglob("*.py")))
