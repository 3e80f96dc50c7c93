"""The pins of the AXI4 master, by the names that AXI gives them."""

from enum import IntEnum
from types import MappingProxyType

from amaranth import Module
from amaranth.lib.wiring import Component, In, Member, Out

from tilewright.hw.interface import MEMORY_ADDRESS_BITS
from tilewright.isa.config import Config

ID_BITS = 1


class ReadId(IntEnum):
    """Who asked for a read burst; the answer carries it back."""

    LOAD = 0
    FETCH = 1


class Response(IntEnum):
    """An answer of the memory outside; bit 1 says error."""

    OKAY = 0
    SLVERR = 2


ERROR_BIT = 1
"""The bit of a response that says error, whichever it is."""

_BURST_FIELDS = MappingProxyType(
    {
        "id": ID_BITS,
        "addr": MEMORY_ADDRESS_BITS,
        "len": 8,
        "size": 3,
        "burst": 2,
        "lock": 1,
        "cache": 4,
        "prot": 3,
        "qos": 4,
    }
)
_CONSTANTS = MappingProxyType({"burst": 0b01, "cache": 0b0011})
"""What every burst says: incrementing addresses, normal memory. Lock, protection and quality of service
are 0."""


def read_pins(config: Config) -> dict[str, Member]:
    """The pins of the read channels, directions as the master sees them."""
    return _burst_pins("ar") | {
        "rid": In(ID_BITS),
        "rdata": In(8 * config.bus_bytes),
        "rresp": In(2),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def write_pins(config: Config) -> dict[str, Member]:
    """The pins of the write channels, directions as the master sees them."""
    return _burst_pins("aw") | {
        "wdata": Out(8 * config.bus_bytes),
        "wstrb": Out(config.bus_bytes),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(ID_BITS),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
    }


def master_pins(config: Config) -> dict[str, Member]:
    """All pins of the master, directions as the master sees them."""
    return write_pins(config) | read_pins(config)


def slave_pins(config: Config) -> dict[str, Member]:
    """All pins of the master, directions as the memory outside sees them."""
    return {name: member.flip() for name, member in master_pins(config).items()}


def drive_constants(m: Module, master: Component, channel: str) -> None:
    """Drive those pins of an address channel ("ar" or "aw") that are the same in every burst."""
    m.d.comb += [getattr(master, channel + name).eq(value) for name, value in _CONSTANTS.items()]


def _burst_pins(channel: str) -> dict[str, Member]:
    fields = {f"{channel}{name}": Out(bits) for name, bits in _BURST_FIELDS.items()}
    return fields | {f"{channel}valid": Out(1), f"{channel}ready": In(1)}
