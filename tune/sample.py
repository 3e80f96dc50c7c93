"""The synthesised and routed machines that models of area and clock are fitted to: data/*.csv."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from tilewright.isa.config import Config
from tilewright.tune.error import TuneError

_CONFIG_FIELDS = tuple(field.name for field in fields(Config))


@dataclass(frozen=True, kw_only=True)
class Synthesised:
    """What `python -m tilewright.fpga.synthesise` counted for one machine.

    Members:
        family: `xc7` or `ecp5`.
        name, config: the machine.
        held_out: nobody who chose the form of a model has seen it, and no model is fitted to it.
        lut, ff, dsp: look-up tables in all uses, registers, multipliers.
        ram_lut: the look-up tables that are memories or shift registers.
        blocks: block RAMs by name: `ramb18` and `ramb36`, or `dp16kd`.
    """

    family: str
    name: str
    config: Config
    held_out: bool
    lut: int
    ram_lut: int
    ff: int
    dsp: int
    blocks: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Routed:
    """The clock that `python -m tilewright.fpga.route` reached for one machine.

    Members:
        name, config: the machine.
        part: `datapath` or `machine`.
        mhz: the clock.
    """

    name: str
    config: Config
    part: str
    mhz: float


FAMILY_BLOCKS: Mapping[str, tuple[str, ...]] = {"xc7": ("ramb18", "ramb36"), "ecp5": ("dp16kd",)}
"""The kinds of block RAM of a family."""
FAMILIES = tuple(FAMILY_BLOCKS)


@cache
def synthesised(family: str) -> tuple[Synthesised, ...]:
    """All machines synthesised for a family.

    Raises:
        TuneError: for a family that has none.
    """
    rows = [row for row in _rows("synthesis.csv") if row["family"] == family]
    if not rows:
        raise TuneError(f"family must be one of {', '.join(FAMILY_BLOCKS)}, not {family!r}")
    return tuple(_synthesised(row) for row in rows)


def _synthesised(row: Mapping[str, str]) -> Synthesised:
    return Synthesised(
        family=row["family"],
        name=row["name"],
        config=_config(row),
        held_out=row["held_out"] == "1",
        lut=int(row["logic_lut"]) + int(row["ram_lut"]),
        ram_lut=int(row["ram_lut"]),
        ff=int(row["ff"]),
        dsp=int(row["dsp"]),
        blocks={name: int(row[name]) for name in FAMILY_BLOCKS[row["family"]]},
    )


@cache
def routed() -> tuple[Routed, ...]:
    """All machines and datapaths routed."""
    return tuple(
        Routed(name=row["name"], config=_config(row), part=row["part"], mhz=float(row["mhz"]))
        for row in _rows("routing.csv")
    )


def _config(row: Mapping[str, str]) -> Config:
    """The machine of a line. A field that came later has its default: the line is from before it."""
    return Config(**{name: int(row[name]) for name in _CONFIG_FIELDS if name in row})


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = (files("tilewright.tune") / "data" / name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())
