"""What boards have room for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tilewright.isa.config import Config
from tilewright.tune.area import Area


@dataclass(frozen=True, kw_only=True)
class Board:
    """An FPGA, and what of it a machine may take.

    Members:
        family: whose model of area counts for it.
        lut, ff, dsp: look-up tables, registers, multipliers.
        bram: block RAMs, in the unit of `Area.bram`.
        bus_bytes: the widths that its way to memory has.
        source: of these figures.
    """

    family: str
    lut: int
    ff: int
    dsp: int
    bram: int
    bus_bytes: tuple[int, ...]
    source: str

    def lacks(self, config: Config, area: Area) -> Iterator[str]:
        """What a machine of that area asks too much of, in words; nothing if it fits."""
        for name in ("lut", "ff", "dsp", "bram"):
            asked, there = getattr(area, name), getattr(self, name)
            if asked > there:
                yield f"{name} {asked:,} of {there:,}"
        if config.bus_bytes not in self.bus_bytes:
            yield f"bus_bytes {config.bus_bytes}, not one of {', '.join(map(str, self.bus_bytes))}"


BOARDS: Mapping[str, Board] = MappingProxyType(
    {
        "zu3eg": Board(
            # The UltraScale+ has the look-up tables of the 7 series, and a DSP48E2 holds what a DSP48E1 does.
            family="xc7",
            lut=70_560,
            ff=141_120,
            dsp=360,
            bram=216,
            bus_bytes=(8, 16),
            source="DS891 (XCZU3EG); ports S_AXI_HP of 32 to 128 bits: UG1085",
        ),
        "zynq-7020": Board(
            family="xc7",
            lut=53_200,
            ff=106_400,
            dsp=220,
            bram=140,
            bus_bytes=(8,),
            source="DS190 (XC7Z020); ports S_AXI_HP of 32 or 64 bits: UG585",
        ),
        "ecp5-85f": Board(
            family="ecp5",
            lut=83_640,
            ff=83_640,
            dsp=156,
            bram=208,
            # No hard memory controller: the width is the designer's.
            bus_bytes=(8, 16, 32),
            source="FPGA-DS-02012 (LFE5U-85); cells as nextpnr counts them",
        ),
    }
)
"""By name, the ones that there are presets for."""
