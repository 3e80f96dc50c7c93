"""Files of named sections behind a header, whole or refused; docs/executable.md has the bytes."""

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tilewright.isa.error import TilewrightError

MAGIC = b"TLWX\r\n\x1a\n"
"""First bytes of the file; damaged by transfers that treat it as text."""
FORMAT_VERSION = 2

_PREFIX = struct.Struct("<8sIQQ")
"""Magic, format version, bytes of the file, bytes of the header."""
_DIGEST_BYTES = hashlib.sha256().digest_size


class ExecutableError(TilewrightError):
    """A file that is no executable, or not one for this version."""


def pack(header: Mapping[str, Any], sections: Mapping[str, bytes]) -> bytes:
    """The bytes of a file.

    Args:
        header: what JSON can hold; `sections` is added to it.
        sections: contents by name, in the order of the file.
    """
    listed = [{"name": name, "bytes": len(data)} for name, data in sections.items()]
    text = json.dumps({**header, "sections": listed}, ensure_ascii=False).encode()
    payload = b"".join(sections.values())
    size = _PREFIX.size + len(text) + len(payload) + _DIGEST_BYTES
    body = _PREFIX.pack(MAGIC, FORMAT_VERSION, size, len(text)) + text + payload
    return body + hashlib.sha256(body).digest()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Header and sections of a file.

    Raises:
        ExecutableError: if it is foreign, of another format, cut short, altered, or malformed.
    """
    header_bytes = _check_frame(data)
    text = data[_PREFIX.size : _PREFIX.size + header_bytes]
    payload = data[_PREFIX.size + header_bytes : -_DIGEST_BYTES]
    with well_formed():
        header = json.loads(text)
        return header, _cut(payload, _sizes(header.pop("sections")))


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file that begins like one of these; others are not read.

    Raises:
        ExecutableError: if it begins otherwise.
        OSError: if it cannot be read.
    """
    with Path(path).open("rb") as file:
        first = file.read(_PREFIX.size)
        _check_prefix(first)
        return first + file.read()


@contextmanager
def well_formed() -> Iterator[None]:
    """Errors of a header with the right digest and the wrong contents become an ExecutableError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ExecutableError):
            raise
        raise ExecutableError(f"has a header that does not follow the format: {error!r}") from None


def _check_frame(data: bytes) -> int:
    """The bytes of the header of a file that is whole and unaltered."""
    _check_prefix(data)
    _, _, size, header_bytes = _PREFIX.unpack_from(data)
    if len(data) < size:
        raise ExecutableError(f"is cut short: it has {len(data)} of {size} bytes")
    if len(data) > size or hashlib.sha256(data[:-_DIGEST_BYTES]).digest() != data[-_DIGEST_BYTES:]:
        raise ExecutableError("was altered after it was written: its contents do not fit its digest")
    return int(header_bytes)


def _check_prefix(data: bytes) -> None:
    """Refuse another file, or another version, by its first bytes, before the others are read."""
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise ExecutableError("is no Tilewright executable: its first bytes are others")
    if len(data) < _PREFIX.size:
        raise ExecutableError(f"is cut short: it has {len(data)} bytes of the first {_PREFIX.size}")
    version = _PREFIX.unpack_from(data)[1]
    if version != FORMAT_VERSION:
        raise ExecutableError(
            f"has format {version}, this version of Tilewright reads {FORMAT_VERSION}: build it anew"
        )


def _sizes(parts: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The bytes of each section by its name."""
    result: dict[str, int] = {}
    for part in parts:
        name, size = part["name"], part["bytes"]
        if not isinstance(name, str) or name in result:
            raise ExecutableError(f"must have sections of different names, not {name!r}")
        if not isinstance(size, int) or isinstance(size, bool):
            raise ExecutableError(f"must have a section {name!r} of whole bytes, not {size!r}")
        result[name] = size
    return result


def _cut(payload: bytes, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """The sections of a payload, which they fill exactly."""
    if min(sizes.values(), default=0) < 0 or sum(sizes.values()) != len(payload):
        raise ExecutableError(f"has sections of {sum(sizes.values())} bytes in {len(payload)} bytes")
    result, first = {}, 0
    for name, size in sizes.items():
        result[name] = payload[first : first + size]
        first += size
    return result
