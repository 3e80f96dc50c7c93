"""Lays a program and the bytes behind its base registers out in one memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.checker import check
from tilewright.isa.config import Config
from tilewright.isa.encoding import ProgramTable, decode_table
from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Opcode
from tilewright.isa.region import Region
from tilewright.isa.register import BASE_REGISTERS

ALIGNMENT_BYTES = 4096
"""Where programs and regions begin: no burst crosses such an address."""


class LoadError(TilewrightError):
    """A program that cannot be loaded with these bytes on this device, with every reason at once."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A memory from address 0 with a program and its regions.

    Members:
        dram: uint8, a multiple of 4096 long; programs change it in place.
        program_address: first byte of the program.
        bases: one address for each base register, 0 where there is no region.
        sizes: bytes of each region, by base register.
    """

    dram: NDArray[np.uint8]
    program_address: int
    bases: tuple[int, ...]
    sizes: Mapping[int, int]

    def region(self, base: int) -> bytes:
        """The bytes of a region as they are now."""
        first = self.bases[base]
        return self.dram[first : first + self.sizes[base]].tobytes()

    def regions(self) -> dict[int, bytes]:
        """The bytes of all regions as they are now."""
        return {base: self.region(base) for base in self.sizes}

    def write(self, regions: Mapping[int, bytes]) -> None:
        """Put bytes into regions, each as many as the region has.

        Raises:
            LoadError: if a region is not there, or has another size.
        """
        for base, data in regions.items():
            if len(data) != self.sizes.get(base, 0):
                size = self.sizes.get(base, 0)
                raise LoadError(f"region {base} must be given its {size} bytes, not {len(data)}")
            self.dram[self.bases[base] :][: len(data)] = np.frombuffer(data, np.uint8)


def load(executable: Executable, given: Mapping[int, bytes], config: Config) -> Image:
    """The memory that `executable` starts with.

    Args:
        executable: the program.
        given: the bytes of regions by base register; a declared region without any is all 0, and one that
            is given more than declared is so much longer.
        config: of the device.

    Raises:
        LoadError: if the program is for another configuration, if a base register that it uses has neither
            region nor bytes, or a region has too few bytes, or none although the program only reads it.
    """
    declared = {region.base: region for region in executable.regions}
    problems = [*_config_problems(executable, config), *_region_problems(executable, declared, given)]
    if problems:
        raise LoadError("; ".join(problems))
    sizes = {base: region.size_bytes for base, region in declared.items()}
    sizes |= {base: max(len(data), sizes.get(base, 0)) for base, data in given.items()}
    return _lay_out(executable.code, sizes, given)


def require_sound(executable: Executable, image: Image) -> None:
    """Refuse a program that is undefined, racy, stuck, or leaves its regions.

    Raises:
        CheckError, InstructionError: with everything that is wrong.
    """
    check(executable.program(), executable.config, region_bytes=image.sizes).raise_for_problems()


def _lay_out(code: bytes, sizes: Mapping[int, int], given: Mapping[int, bytes]) -> Image:
    bases, end = [0] * BASE_REGISTERS, _aligned(len(code))
    for base, size in sorted(sizes.items()):
        bases[base] = end
        end += _aligned(size)
    dram = np.zeros(max(end, ALIGNMENT_BYTES), np.uint8)
    for first, data in [(0, code), *((bases[base], data) for base, data in given.items())]:
        dram[first : first + len(data)] = np.frombuffer(data, np.uint8)
    return Image(dram=dram, program_address=0, bases=tuple(bases), sizes=MappingProxyType(dict(sizes)))


def _aligned(size: int) -> int:
    return size + -size % ALIGNMENT_BYTES


# --- what does not fit -------------------------------------------------------------------------------------


def _config_problems(executable: Executable, config: Config) -> list[str]:
    if executable.config_digest == config.digest():
        return []
    return [
        f"the program must be for configuration {config.digest().hex()} of the device, "
        f"not {executable.config_digest.hex()}: build it anew, or choose its configuration"
    ]


def _region_problems(
    executable: Executable, declared: Mapping[int, Region], given: Mapping[int, bytes]
) -> list[str]:
    table = decode_table(executable.code)
    read, written = (_bases_of(table, opcode) for opcode in (Opcode.LOAD, Opcode.STORE))
    problems = []
    for base in sorted((read | written) - declared.keys() - given.keys()):
        problems.append(f"base register {base} is used: give its bytes with --memory {base}=FILE")
    for base in sorted((read - written) & declared.keys() - given.keys()):
        problems.append(f"{_name(declared[base])} is read: give its bytes with --memory {base}=FILE")
    for base in sorted(declared.keys() & given.keys()):
        if len(given[base]) < declared[base].size_bytes:
            size = declared[base].size_bytes
            problems.append(f"{_name(declared[base])} must have {size} bytes, not {len(given[base])}")
    return problems


def _bases_of(table: ProgramTable, opcode: Opcode) -> set[int]:
    """The base registers that instructions of one class use."""
    return {int(base) for base in np.unique(table.classes[opcode].fields["base"])}


def _name(region: Region) -> str:
    return f"region {region.base} ({region.name})" if region.name else f"region {region.base}"
