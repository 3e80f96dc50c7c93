"""Files that a command writes: all of them whole, or none."""

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path


def write_files(contents: Mapping[str, bytes]) -> None:
    """Write each file, by its path.

    All are written beside their places first, so that a full disk or a wrong path changes none of them.

    Raises:
        OSError: naming the path that cannot be written.
    """
    parts = {path: Path(f"{path}.{secrets.token_hex(4)}.part") for path in contents}
    try:
        for path, data in contents.items():
            _write_part(path, parts[path], data)
        for path, part in parts.items():
            os.replace(part, path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def require_apart(paths: Iterable[str | None]) -> None:
    """Refuse two outputs in one file: they would be one output. None stands for an output not asked for.

    Raises:
        TilewrightError: naming the path.
    """
    from tilewright.isa.error import TilewrightError

    named = [path for path in paths if path is not None]
    for path in named:
        if named.count(path) > 1:
            raise TilewrightError(f"{path}: must be named for one output, not {named.count(path)}")


def _write_part(path: str, part: Path, data: bytes) -> None:
    """Write beside `path`; errors name `path`, as the user did."""
    if Path(path).is_dir():
        raise IsADirectoryError(21, os.strerror(21), path)
    try:
        part.write_bytes(data)
    except OSError as error:
        error.filename = path
        raise
