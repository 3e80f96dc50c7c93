"""Regions: the memory outside that a program expects behind its base registers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tilewright.isa.error import TilewrightError
from tilewright.isa.instruction import Load, specs
from tilewright.isa.register import BASE_REGISTERS

SIZE_LIMIT_BYTES = 1 << specs(Load)["offset"].bits
"""The most bytes behind a base register: offsets reach no farther."""
_NAME = re.compile(r'[^"\\\x00-\x1f\x7f]*')


class RegionError(TilewrightError):
    """A region that no program can have."""


@dataclass(frozen=True)
class Region:
    """The memory behind one base register.

    Members:
        base: number of the base register.
        size_bytes: bytes from the address in that register on that the program may touch.
        name: what it is for, in the text form and for hosts; printable, without quote and backslash.

    Raises:
        RegionError: if a member does not fit.
    """

    base: int
    size_bytes: int
    name: str

    def __post_init__(self) -> None:
        if not _is_integer(self.base) or not 0 <= self.base < BASE_REGISTERS:
            raise RegionError(f"base of a region must be from 0 to {BASE_REGISTERS - 1}, not {self.base!r}")
        if not _is_integer(self.size_bytes) or not 0 <= self.size_bytes <= SIZE_LIMIT_BYTES:
            raise RegionError(
                f"size of a region must be from 0 to {SIZE_LIMIT_BYTES}, not {self.size_bytes!r}"
            )
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise RegionError(f"name of a region must be printable without quote and \\, not {self.name!r}")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def require_distinct(regions: Iterable[Region]) -> None:
    """Refuse two regions behind one base register.

    Raises:
        RegionError: naming both.
    """
    seen: dict[int, Region] = {}
    for region in regions:
        if region.base in seen:
            names = f"{seen[region.base].name!r} and {region.name!r}"
            raise RegionError(f"base register {region.base} must have one region, not {names}")
        seen[region.base] = region
