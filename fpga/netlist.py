"""A synthesised netlist: cells by name, and who drives and who reads each net."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MULTIPLIER = "MULT18X18D"
"""The type of a cell that multiplies."""
Bit = int | str
"""A net by number, or a constant: "0", "1", "x"."""


@dataclass(frozen=True)
class Pin:
    """One port bit of a cell."""

    cell: str
    port: str
    bit: int


class Netlist:
    """The top module of a netlist in the JSON of yosys, edited in place.

    Members:
        document: all of it, as read.
        cells: the cells of the top module by name.
        drivers: the pin that drives each net; nets of input ports have none.
        readers: the pins that read each net.
        ports: nets of the ports of the top module.
    """

    def __init__(self, document: dict[str, Any], top: str) -> None:
        self.document = document
        module = document["modules"][top]
        self.cells: dict[str, dict[str, Any]] = module["cells"]
        self.ports = {bit for port in module["ports"].values() for bit in port["bits"]}
        self.drivers: dict[Bit, Pin] = {}
        self.readers: dict[Bit, set[Pin]] = defaultdict(set)
        for name in self.cells:
            self._index(name)

    def _index(self, name: str) -> None:
        for pin, net in self.pins(name):
            if self.is_output(pin):
                self.drivers[net] = pin
            else:
                self.readers[net].add(pin)

    def pins(self, name: str) -> Iterator[tuple[Pin, Bit]]:
        """The connected pins of a cell and their nets."""
        for port, bits in self.cells[name]["connections"].items():
            yield from ((Pin(name, port, place), net) for place, net in enumerate(bits))

    def is_output(self, pin: Pin) -> bool:
        """Whether the cell drives this pin."""
        return bool(self.cells[pin.cell]["port_directions"][pin.port] == "output")

    def names(self, kind: str) -> list[str]:
        """The cells of a type."""
        return [name for name, cell in self.cells.items() if cell["type"] == kind]

    def count(self) -> dict[str, int]:
        """How many cells there are of each type."""
        return dict(Counter(str(cell["type"]) for cell in self.cells.values()))

    def connect(self, pin: Pin, net: Bit) -> None:
        """Connect a pin to another net; a pin that was not connected is made."""
        bits = self.cells[pin.cell]["connections"].setdefault(pin.port, ["x"])
        old, bits[pin.bit] = bits[pin.bit], net
        if self.is_output(pin):
            if self.drivers.get(old) == pin:
                del self.drivers[old]
            self.drivers[net] = pin
        else:
            self.readers[old].discard(pin)
            self.readers[net].add(pin)

    def remove(self, name: str) -> None:
        """Remove a cell; its nets stay."""
        for pin, net in self.pins(name):
            if not self.is_output(pin):
                self.readers[net].discard(pin)
            elif self.drivers.get(net) == pin:
                del self.drivers[net]
        del self.cells[name]
