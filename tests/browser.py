"""Pages in a browser without a window: what their scripts find."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def told_by(html: str, folder: Path, script: str) -> Any:
    """What a script puts into `told` at the end of a page. Without a browser the test is skipped.

    Args:
        html: the page.
        folder: for the page and the browser's profile.
        script: JavaScript; `told` is an object that it may fill or replace.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("needs a browser without a window: apt-get install chromium")
    path = folder / "page.html"
    script = f"""let told = {{}};
    {script}
    document.documentElement.dataset.told = JSON.stringify(told);"""
    path.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom")
    dom = subprocess.run(
        [browser, *options, f"--user-data-dir={folder / 'profile'}", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = re.search('data-told="([^"]*)"', dom)
    assert found is not None, "the script must run to its end"
    return json.loads(found[1].replace("&quot;", '"'))
