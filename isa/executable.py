"""Programs as files: the code, the configuration it was made for, its regions, and whatever tools add.

The format is in docs/executable.md.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from tilewright.isa.config import Config
from tilewright.isa.container import ExecutableError, pack, read_file, unpack, well_formed
from tilewright.isa.encoding import decode_program, encode_program
from tilewright.isa.error import TilewrightError
from tilewright.isa.instruction import ISA_VERSION, Instruction
from tilewright.isa.output_file import write_files
from tilewright.isa.region import Region, require_distinct

CODE = "code"
"""Name of the section that holds the program."""
PACKAGE = "package"
"""Key of the header of a file that holds several programs; its value is the format of these."""


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
    def from_bytes(cls, data: bytes) -> "Executable":
        """The executable of the contents of its file.

        Raises:
            ExecutableError: as `load`.
        """
        return _from_bytes(data)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Executable":
        """Read it from a file.

        Raises:
            ExecutableError: if the file is foreign, newer, cut short, altered, or of another ISA version.
            OSError: if the file cannot be read.
        """
        try:
            return _from_bytes(read_file(path))
        except TilewrightError as error:
            raise ExecutableError(f"{os.fspath(path)}: {error}") from None


# --- files -------------------------------------------------------------------------------------------------


def _to_bytes(executable: Executable) -> bytes:
    header = {
        "isa_version": ISA_VERSION,
        "config": asdict(executable.config),
        "config_digest": executable.config_digest.hex(),
        "regions": [asdict(region) for region in executable.regions],
    }
    return pack(header, {CODE: executable.code, **executable.sections})


def _from_bytes(data: bytes) -> Executable:
    header, sections = unpack(data)
    with well_formed():
        if PACKAGE in header:
            raise ExecutableError(
                "is a package of programs, not one program: tilewright run and explain take it, and "
                "tilewright compile --dump assembler writes the programs of a network"
            )
        check_isa(header["isa_version"])
        config = config_of(header["config"], header["config_digest"])
        regions = tuple(Region(**region) for region in header["regions"])
        return Executable(sections.pop(CODE), config, regions, sections)


def check_isa(version: int) -> None:
    """Refuse what was made for another instruction set.

    Raises:
        ExecutableError: naming both versions.
    """
    if version != ISA_VERSION:
        raise ExecutableError(f"is for instruction set {version}, not {ISA_VERSION}: compile it again")


def config_of(sizes: Mapping[str, Any], digest: str) -> Config:
    """The configuration of these sizes.

    Raises:
        ExecutableError: if its digest is another one.
    """
    config = Config(**sizes)
    if config.digest().hex() != digest:
        raise ExecutableError(f"names configuration {digest}, but holds the sizes of {config.digest().hex()}")
    return config
