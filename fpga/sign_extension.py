"""Moves short factors to the upper bits of a multiplier, so that no wire goes to copies of their sign.

Synthesis fills a factor of 8 bits up to 18 with its sign: eleven wires to one corner of a block, where wires
are scarce. A factor times 2**k has zeros below instead, which cost no wire; the product then stands k bits
higher.
"""

from typing import Any

from tilewright.fpga.netlist import MULTIPLIER, Bit, Netlist, Pin

FACTOR_BITS, PRODUCT_BITS = 18, 36


def align_factors(netlist: Netlist) -> int:
    """Move what can be moved, in place; how many pins were freed of a wire."""
    return sum(_align(netlist, name) for name in netlist.names(MULTIPLIER))


def _align(netlist: Netlist, name: str) -> int:
    cell = netlist.cells[name]
    if not all(cell["connections"].get(f"SIGNED{factor}") == ["1"] for factor in "AB"):
        return 0
    shifts = {factor: _copies(cell, factor) for factor in "AB"}
    copies = _bits(cell, "P", PRODUCT_BITS)[PRODUCT_BITS - sum(shifts.values()) :]
    if not netlist.ports.isdisjoint(copies):
        return 0
    for factor, shift in shifts.items():
        _raise_factor(netlist, name, factor, shift)
    _raise_product(netlist, name, sum(shifts.values()))
    return sum(shifts.values())


def _bits(cell: dict[str, Any], port: str, width: int) -> list[Bit]:
    return [cell["connections"].get(f"{port}{place}", ["x"])[0] for place in range(width)]


def _copies(cell: dict[str, Any], factor: str) -> int:
    """How many bits below the sign are the same net; 0 if that is a constant, which takes no wire."""
    *rest, sign = _bits(cell, factor, FACTOR_BITS)
    if isinstance(sign, str):
        return 0
    lengths = (count for count, net in enumerate(reversed(rest)) if net != sign)
    return next(lengths, FACTOR_BITS - 1)


def _raise_factor(netlist: Netlist, name: str, factor: str, shift: int) -> None:
    bits = _bits(netlist.cells[name], factor, FACTOR_BITS)
    for place, net in enumerate(["0"] * shift + bits[: FACTOR_BITS - shift]):
        netlist.connect(Pin(name, f"{factor}{place}", 0), net)


def _raise_product(netlist: Netlist, name: str, shift: int) -> None:
    """The bits that leave at the top were copies of the sign; their nets go below, and are read no more."""
    bits = _bits(netlist.cells[name], "P", PRODUCT_BITS)
    kept, copies = bits[: PRODUCT_BITS - shift], bits[PRODUCT_BITS - shift :]
    for copy in copies:
        for reader in tuple(netlist.readers[copy]):
            netlist.connect(reader, kept[-1])
    for place, net in enumerate(copies + kept):
        netlist.connect(Pin(name, f"P{place}", 0), net)
