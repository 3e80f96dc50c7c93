"""Programs as files: the code, the configuration it was made for, its regions, and whatever tools add.

The format is in docs/executable.md.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tilewright.isa.config import Config
from tilewright.isa.encoding import decode_program, encode_program
from tilewright.isa.error import TilewrightError
from tilewright.isa.instruction import ISA_VERSION, Instruction
from tilewright.isa.output_file import write_files
from tilewright.isa.region import Region, require_distinct

MAGIC = b"TLWX\r\n\x1a\n"
"""First bytes of the file; damaged by transfers that treat it as text."""
FORMAT_VERSION = 1
CODE = "code"
"""Name of the section that holds the program."""

_PREFIX = struct.Struct("<8sIQQ")
"""Magic, format version, bytes of the file, bytes of the header."""
_DIGEST_BYTES = hashlib.sha256().digest_size


class ExecutableError(TilewrightError):
    """A file that is no executable, or not one for this version."""


@dataclass(frozen=True)
class Executable:
    """A program with what a machine and its host must know to run it.

    Members:
        code: its instructions, encoded.
        config: the machine it was made for.
        regions: the memory it expects behind base registers, one a register.
        sections: further contents, by name.

    Raises:
        RegionError: if two regions have one base register.
        ExecutableError: if a section is named like the code's.
    """

    code: bytes
    config: Config
    regions: tuple[Region, ...] = ()
    sections: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_distinct(self.regions)
        if CODE in self.sections:
            raise ExecutableError(f"a section must not be named {CODE!r}: that is the program itself")
        object.__setattr__(self, "sections", MappingProxyType(dict(self.sections)))

    @classmethod
    def of(
        cls,
        program: Sequence[Instruction],
        config: Config,
        regions: Sequence[Region] = (),
        sections: Mapping[str, bytes] = MappingProxyType({}),
    ) -> "Executable":
        """The executable of a program."""
        return cls(encode_program(program), config, tuple(regions), sections)

    @property
    def config_digest(self) -> bytes:
        """8 bytes that the machine's `config_digest` register must equal."""
        return self.config.digest()

    def program(self) -> list[Instruction]:
        """Its instructions.

        Raises:
            InstructionError: if some have no meaning.
        """
        return decode_program(self.code)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file: whole, or not at all; through links and devices.

        Raises:
            OSError: if the file cannot be written.
        """
        write_files({os.fspath(path): self.to_bytes()})

    def to_bytes(self) -> bytes:
        """The contents of its file."""
        return _to_bytes(self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Executable":
        """Read it from a file.

        Raises:
            ExecutableError: if the file is foreign, newer, cut short, altered, or of another ISA version.
            OSError: if the file cannot be read.
        """
        try:
            with Path(path).open("rb") as file:
                first = file.read(_PREFIX.size)
                _check_prefix(first)
                return _from_bytes(first + file.read())
        except TilewrightError as error:
            raise ExecutableError(f"{os.fspath(path)}: {error}") from None


# --- writing -----------------------------------------------------------------------------------------------


def _to_bytes(executable: Executable) -> bytes:
    sections = {CODE: executable.code, **executable.sections}
    header = {
        "isa_version": ISA_VERSION,
        "config": asdict(executable.config),
        "config_digest": executable.config_digest.hex(),
        "regions": [asdict(region) for region in executable.regions],
        "sections": [{"name": name, "bytes": len(data)} for name, data in sections.items()],
    }
    text = json.dumps(header, ensure_ascii=False).encode()
    payload = b"".join(sections.values())
    size = _PREFIX.size + len(text) + len(payload) + _DIGEST_BYTES
    body = _PREFIX.pack(MAGIC, FORMAT_VERSION, size, len(text)) + text + payload
    return body + hashlib.sha256(body).digest()


# --- reading -----------------------------------------------------------------------------------------------


def _from_bytes(data: bytes) -> Executable:
    header_bytes = _check_frame(data)
    text = data[_PREFIX.size : _PREFIX.size + header_bytes]
    payload = data[_PREFIX.size + header_bytes : -_DIGEST_BYTES]
    with _malformed():
        header = json.loads(text)
        if header["isa_version"] != ISA_VERSION:
            version = header["isa_version"]
            raise ExecutableError(f"is for instruction set {version}, not {ISA_VERSION}: build it anew")
        config = _config(header["config"], header["config_digest"])
        regions = tuple(Region(**region) for region in header["regions"])
        sections = _cut(payload, _sizes(header["sections"]))
        return Executable(sections.pop(CODE), config, regions, sections)


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
        raise ExecutableError(f"has format {version}, this version of Tilewright reads {FORMAT_VERSION}")


@contextmanager
def _malformed() -> Iterator[None]:
    """Errors of a header with the right digest and the wrong contents."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, ExecutableError):
            raise
        raise ExecutableError(f"has a header that does not follow the format: {error!r}") from None


def _config(sizes: Mapping[str, Any], digest: str) -> Config:
    config = Config(**sizes)
    if config.digest().hex() != digest:
        raise ExecutableError(f"names configuration {digest}, but holds the sizes of {config.digest().hex()}")
    return config


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
