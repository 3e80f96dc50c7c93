"""Folders that are built once: named by all that they depend on, complete or absent.

A build that nobody used for `UNUSED_DAYS` goes when another one is made: each change of the gates makes new
ones.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tilewright.isa.error import TilewrightError

UNUSED_DAYS = 30
_SECONDS_A_DAY = 86_400
_BUILD = re.compile(r"\.?[\w-]*-([0-9a-f]{24})(-\w+)?")
"""Names of builds, and of what an interrupted builder left: `digest` ends them."""


class CacheError(TilewrightError):
    """A cache in which nothing can be kept."""


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

    Raises:
        CacheError: if nothing can be written there.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        # A cache that is only read can be used as it is.
        with suppress(OSError):
            os.utime(folder)
        return folder
    with _locked(folder.with_name(f".{name}.lock")):
        if not folder.is_dir():
            _produce(folder, produce)
            _remove_unused(folder.parent)
    return folder


def _produce(folder: Path, produce: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        produce(unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _remove_unused(cache: Path) -> None:
    """A folder's time is that of its last use."""
    oldest = time.time() - UNUSED_DAYS * _SECONDS_A_DAY
    for path in cache.iterdir():
        if path.is_dir() and _BUILD.fullmatch(path.name) and path.stat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise CacheError(
            f"{path.parent}: builds must be kept there, and it cannot be written ({error.strerror}): "
            "set XDG_CACHE_HOME to a folder that can"
        ) from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
