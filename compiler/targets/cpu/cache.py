"""Machine code that was made once: files named by all that they depend on, complete or absent."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


def cache_folder() -> Path:
    """Where code is kept: below XDG_CACHE_HOME, else ~/.cache. It can be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tilewright" / "cpu"


def cached(produce: Callable[[], bytes], *depends_on: str) -> bytes:
    """The result of `produce`, taken from the cache if it was stored for the same texts before."""
    data = stored(*depends_on)
    if data is None:
        data = produce()
        # Where nothing can be kept, it is made each time.
        with suppress(OSError):
            _write(_path(depends_on), data)
    return data


def stored(*depends_on: str) -> bytes | None:
    """The code stored for these texts; None if there is none."""
    try:
        return _path(depends_on).read_bytes()
    except OSError:
        return None


class StoredCode(NamedTuple):
    """An object file.

    Members:
        machine: the key of the one it is for.
        data: its bytes.
    """

    machine: str
    data: bytes


class ObjectStore:
    """Machine code that is carried along: asked before the disk, it keeps a copy of all that is used.

    Texts that code depends on end with the key of the machine.

    Members:
        codes: object files by the digest of all that they depend on.
    """

    def __init__(self, codes: Mapping[str, StoredCode] | None = None) -> None:
        self.codes = dict(codes or {})

    def cached(self, produce: Callable[[], bytes], *depends_on: str) -> bytes:
        """The result of `produce`, from here or from the disk if it was stored for the same texts before."""
        data = self.stored(*depends_on)
        return self._keep(cached(produce, *depends_on), depends_on) if data is None else data

    def stored(self, *depends_on: str) -> bytes | None:
        """The code stored for these texts; None if there is none."""
        own = self.codes.get(_digest(depends_on))
        if own is not None:
            return own.data
        data = stored(*depends_on)
        return None if data is None else self._keep(data, depends_on)

    def _keep(self, data: bytes, depends_on: tuple[str, ...]) -> bytes:
        self.codes[_digest(depends_on)] = StoredCode(depends_on[-1], data)
        return data


def _path(depends_on: tuple[str, ...]) -> Path:
    return cache_folder() / f"{_digest(depends_on)}.o"


def _digest(texts: tuple[str, ...]) -> str:
    result = hashlib.sha256()
    for text in texts:
        data = text.encode()
        result.update(len(data).to_bytes(8, "little") + data)
    return result.hexdigest()[:32]


def _write(path: Path, data: bytes) -> None:
    """Under its name only when complete, so that others find all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise
