"""Folders that are built once: named by all that they depend on, complete or absent."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Where builds are kept: below XDG_CACHE_HOME, else ~/.cache. It can be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tilewright"


def digest(*parts: str | bytes) -> str:
    """A name for a build that depends on `parts`, in this order."""
    result = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        result.update(len(data).to_bytes(8, "little") + data)
    return result.hexdigest()[:24]


def built(name: str, produce: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache; if it is absent, `produce` fills it first.

    A builder that is interrupted leaves nothing under the name, and builders of one name wait for the first.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f".{name}.lock")):
        if not folder.is_dir():
            _produce(folder, produce)
    return folder


def _produce(folder: Path, produce: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        produce(unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
