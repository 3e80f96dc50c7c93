"""Files that are written whole or not at all, and devices that are written through."""

import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_files(contents: Mapping[str, bytes]) -> None:
    """Write each file, by its path.

    A link leads to the file it names. What is no regular file (a device, a pipe) stays what it is and gets
    the bytes. All regular files are written beside their places first and take these at the end, so that
    nobody ever sees a part, and a full disk or a wrong path changes none of them.

    Raises:
        OSError: naming the path that cannot be written.
    """
    regular = {path: Path(os.path.realpath(path)) for path in contents if _is_regular(path)}
    parts = {path: place.with_name(f".{secrets.token_hex(8)}.part") for path, place in regular.items()}
    try:
        for path, part in parts.items():
            with _named(path):
                _write_part(regular[path], part, contents[path])
        for path in contents.keys() - regular.keys():
            with _named(path):
                _write_through(path, contents[path])
        for path, part in parts.items():
            with _named(path):
                os.replace(part, regular[path])
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _is_regular(path: str) -> bool:
    """Whether a path names a file that can be replaced, or that is not there yet.

    Raises:
        OSError: if it can name none: a folder, too long a name, links in a circle.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return True
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, os.strerror(21), path)
    return stat.S_ISREG(status.st_mode) and _own_stream(status) is None


def _own_stream(status: os.stat_result) -> int | None:
    """Our stdout or stderr, where a path names one of them: /dev/stdout > file."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if os.path.samestat(status, os.fstat(descriptor)):
                return descriptor
    return None


def _write_part(place: Path, part: Path, data: bytes) -> None:
    with open(part, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if place.exists():
        shutil.copymode(place, part)


def _write_through(path: str, data: bytes) -> None:
    with _opened(path) as file:
        file.write(data)


def _opened(path: str) -> BinaryIO:
    """The device, or our own stream behind what was printed already."""
    stream = _own_stream(os.stat(path))
    if stream is None:
        return open(path, "wb")
    printed = {1: sys.stdout, 2: sys.stderr}[stream]
    if printed is not None:
        printed.flush()
    return open(os.dup(stream), "wb")


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Errors name the path as the user did."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise
