"""The house style, where a machine can hold it."""

import ast
import itertools
import re
from collections.abc import Iterator

import pytest

from repository import ROOT, room_modules, tracked_files

FUNCTION_LINES = 60
FILE_LINES = 500

# An absolute path of somebody's machine. (Written so that this file does not match itself.)
MACHINE_PATH = re.compile(r"(?<![\w.~<>-])/(?:root|work|tmp|home)(?=[/\s\"'`)]|$)", re.MULTILINE)
REGISTRY = re.compile(r"pypi[.]org|pythonhosted[.]org|crates[.]io|registry[.]npmjs|proxy[.]golang")


def long_functions(source: str) -> Iterator[str]:
    """Name and length of each function in `source` that is longer than allowed, decorators not counted."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.name} has {lines} lines"


def undocumented_dependencies(text: str) -> list[str]:
    """The lines of dependency lists in a pyproject.toml that no comment line stands above."""
    lines = [line.strip() for line in project_tables(text).splitlines()]
    pairs = itertools.pairwise(lines)
    return [line for above, line in pairs if line.startswith('"') and not above.startswith("#")]


def project_tables(text: str) -> str:
    """The part of a pyproject.toml that lists dependencies."""
    match = re.search(r"^dependencies = .*?(?=^\[project\.scripts\])", text, re.DOTALL | re.MULTILINE)
    assert match is not None
    return match.group()


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of every tracked file that is text."""
    for path in tracked_files():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text()
        except UnicodeDecodeError:
            continue


def test_no_function_is_too_long():
    found = [f"{path}: {line}" for path in room_modules() for line in long_functions(path.read_text())]
    assert not found, "\n".join(found)


def test_no_file_is_too_long():
    lengths = {path: len(path.read_text().splitlines()) for path in room_modules()}
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_every_dependency_has_its_reason_above():
    assert undocumented_dependencies((ROOT / "pyproject.toml").read_text()) == []


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["machine path", "registry"])
def test_no_file_names_a_machine(pattern):
    found = [f"{name}: {match.group()}" for name, text in texts() for match in pattern.finditer(text)]
    assert not found, "\n".join(found)


def test_a_long_function_is_found():
    body = "\n".join(["    pass"] * FUNCTION_LINES)
    assert list(long_functions(f"def build():\n{body}\n")) == [f"build has {FUNCTION_LINES + 1} lines"]


def test_a_dependency_without_a_reason_is_found():
    text = 'dependencies = [\n  # Why.\n  "a",\n  "b",\n]\n[project.scripts]\n'
    assert undocumented_dependencies(text) == ['"b",']


@pytest.mark.parametrize("folder", ["root", "work", "tmp", "home"])
def test_a_machine_path_is_found(folder):
    assert MACHINE_PATH.search(f"see /{folder}/someone/file")
    assert MACHINE_PATH.search(f"under '/{folder}'")
    assert not MACHINE_PATH.search(f"the tests/{folder}/ and {folder}_path")
