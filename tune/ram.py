"""Which cells a memory becomes: the choice that the synthesiser makes, in closed form.

The costs are those of yosys 0.70: `memory_libmap` (passes/memory/memory_libmap.cc) with the libraries
techlibs/xilinx/{brams_xc4v,lutrams_xc5v}.txt and techlibs/lattice/{brams_16kd,lutrams_trellis}.txt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

_SELECTION = 0.5
"""The price of a bit of multiplexer behind several cells for one range of addresses, or of an enable."""
_PORT = 2.0
"""The price of a read port that is not the write port: that of every memory here."""


@dataclass(frozen=True, kw_only=True)
class Ram:
    """A kind of cell.

    Members:
        name: the counter that it goes to: a block RAM by name, `lut` or `ff`.
        address_bits: of its narrowest shape.
        widths: of a word; each doubles the one before, bits of parity aside, and halves the words.
        byte: bits written together; a word is filled up to whole ones. 0: a word.
        cost: of a cell.
        scaled: the part of the cost that only used bits have.
        counted: what a cell adds to the counter.
    """

    name: str
    address_bits: int
    widths: tuple[int, ...]
    byte: int = 0
    cost: int
    scaled: int = 0
    counted: int = 1

    def uses(self, *, depth: int, width: int) -> "list[RamUse]":
        """A memory in this cell at each of its shapes."""
        return [self._use(place, depth, width) for place in range(len(self.widths))]

    def _use(self, place: int, depth: int, width: int) -> "RamUse":
        unit = self.widths[place]
        byte = min(self.byte, unit) or unit
        filled = -(-width // byte) * byte
        ranges = -(-depth // (1 << (self.address_bits - place)))
        cells = -(-ranges * filled // unit)
        cost = (self.cost - self.scaled) * cells + self.scaled * ranges * width / unit + _PORT
        selected = (ranges - 1) * width
        if ranges > 1:
            cost += _SELECTION * (selected + ranges)
        return RamUse(name=self.name, count=cells * self.counted, selected_bits=selected, cost=cost)


@dataclass(frozen=True, kw_only=True)
class RamUse:
    """A memory in cells.

    Members:
        name: the counter of Ram.
        count: what it adds up to there.
        selected_bits: bits of two-to-one multiplexers behind it.
        cost: as the synthesiser counts.
    """

    name: str
    count: int
    selected_bits: int = 0
    cost: float


DISTRIBUTED: Mapping[str, tuple[Ram, ...]] = MappingProxyType(
    {
        "xc7": (
            Ram(name="lut", address_bits=5, widths=(6,), cost=8, scaled=7, counted=4),
            Ram(name="lut", address_bits=6, widths=(3,), cost=8, scaled=7, counted=4),
            # Two ports of one bit are two tables, of 128 words four.
            Ram(name="lut", address_bits=5, widths=(1,), cost=2, scaled=2, counted=2),
            Ram(name="lut", address_bits=6, widths=(1,), cost=4, scaled=4, counted=2),
            Ram(name="lut", address_bits=7, widths=(1,), cost=8, scaled=8, counted=4),
        ),
        # With the write port, which takes the two tables beside it.
        "ecp5": (Ram(name="lut", address_bits=4, widths=(4,), cost=4, counted=6),),
    }
)
"""Memories of look-up tables, by family."""
BLOCK: Mapping[str, tuple[Ram, ...]] = MappingProxyType(
    {
        "xc7": (
            Ram(name="ramb18", address_bits=14, widths=(1, 2, 4, 9, 18, 36), byte=9, cost=129),
            Ram(name="ramb36", address_bits=15, widths=(1, 2, 4, 9, 18, 36, 72), byte=9, cost=257),
        ),
        "ecp5": (Ram(name="dp16kd", address_bits=14, widths=(1, 2, 4, 9, 18, 36), byte=9, cost=128),),
    }
)
"""Block RAMs, by family."""


@cache
def ram_use(family: str, *, depth: int, width: int) -> RamUse:
    """The cells of a memory with one write and one read port, of `depth` words of `width` bits.

    Both of its ports know their clock; one that reads at once is never in block RAM: `tables_use`.
    """
    kinds = (DISTRIBUTED[family], BLOCK[family])
    return _cheapest([_best(kind, depth, width) for kind in kinds], depth * width)


@cache
def tables_use(family: str, *, depth: int, width: int) -> RamUse:
    """The same of a memory that is read in the cycle of its address."""
    return _cheapest([_best(DISTRIBUTED[family], depth, width)], depth * width)


def _best(kinds: tuple[Ram, ...], depth: int, width: int) -> RamUse:
    return min(
        (use for kind in kinds for use in kind.uses(depth=depth, width=width)), key=lambda use: use.cost
    )


def _cheapest(uses: list[RamUse], bits: int) -> RamUse:
    """Registers unless something costs less; of two kinds the first, unless the second costs less."""
    registers = RamUse(name="ff", count=bits, cost=bits)
    return min((registers, *uses), key=lambda use: use.cost)
