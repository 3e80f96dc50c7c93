"""A copy of the working tree, in which one mutant at a time stands."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]


class StaleError(Exception):
    """The text that a mutant replaces is not in its file exactly once."""


def mutated(text: str, mutant: Mutant) -> str:
    """`text` with the mistake in it.

    Raises:
        StaleError: if the text to replace is gone or not unique.
    """
    count = text.count(mutant.old)
    if count != 1:
        raise StaleError(f"{mutant.file} must have the old text once, not {count} times: adjust the row")
    return text.replace(mutant.old, mutant.new)


class Tree:
    """The copy: tracked files and those that are neither tracked nor ignored.

    One copy serves all mutants, so that what is compiled from files that a mutant does not touch is kept.

    Raises:
        RuntimeError: if Python in the copy would not import from the copy.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listing = subprocess.run(
            ("git", "ls-files", "-coz", "--exclude-standard"),
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in sorted(set(listing.stdout.split("\0")) - {""}):
            if os.path.lexists(ROOT / name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
        self._hold_imports()

    def python(self, *arguments: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
        """Run Python in the copy, which imports from the copy.

        Raises:
            subprocess.TimeoutExpired: after `seconds`.
        """
        paths = os.pathsep.join((str(self.folder / ".typing"), str(self.folder)))
        environment = os.environ | {"PYTHONPATH": paths, "AMARANTH_USE_YOSYS": "builtin"}
        command = (sys.executable, *arguments)
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=seconds
        )

    def _hold_imports(self) -> None:
        rooms = (
            "isa.config",
            "hw.core",
            "sim.core",
            "numerics.requantise",
            "runtime.device",
            "compiler.dtype",
        )
        lines = (f"import tilewright.{room} as room; print(room.__file__)" for room in rooms)
        seen = self.python("-c", "\n".join(lines))
        places = [Path(line).resolve() for line in seen.stdout.splitlines()]
        inside = [place.is_relative_to(self.folder.resolve()) for place in places]
        if len(inside) != len(rooms) or not all(inside):
            raise RuntimeError(f"imports must come from {self.folder}, not {seen.stdout}{seen.stderr}")

    @contextmanager
    def mutant(self, mutant: Mutant) -> Iterator[None]:
        """The copy with the mistake in it; afterwards the file is as it was, its time included.

        Raises:
            StaleError: if the mutant does not fit its file.
        """
        path = self.folder / mutant.file
        original, status = path.read_text(), path.stat()
        path.write_text(mutated(original, mutant))
        try:
            yield
        finally:
            path.write_text(original)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
