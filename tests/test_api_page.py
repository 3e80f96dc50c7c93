"""The page of the Python API is what its examples print."""

import re
import subprocess
import sys

import pytest
from examples import page

from repository import ROOT

FOLDER = ROOT / "examples" / "api"
UPDATE = "python examples/page.py api writes the page anew; read what changed, the text may no longer fit"
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def folder(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


def text():
    return page.page_of("api").read_text(encoding="utf-8")


def test_the_page_is_what_the_code_prints():
    assert page.rendered("api", text(), remeasure=False).splitlines() == text().splitlines(), UPDATE


def test_every_block_of_the_page_is_compared():
    assert re.findall(r"^```(\w+)", page.PLACE.sub("", text()), re.MULTILINE) == []


def test_every_example_is_on_the_page():
    from digits import EXAMPLES

    shown = re.findall(r"<!-- prints digits: (\w+)\(\) -->", text())
    assert {"explained", *shown} == {each.__name__ for each in EXAMPLES}


def test_the_command_runs_them_all():
    script = str(FOLDER / "digits.py")
    found = subprocess.run([sys.executable, script], capture_output=True, text=True, encoding="utf-8")
    assert found.returncode == 0, found.stderr
    assert "74,749 cycles a picture on sim" in found.stdout
