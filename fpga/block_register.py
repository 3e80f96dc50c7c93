"""Moves registers into the multiplier and memory blocks that they surround.

Synthesis leaves the registers around a product, and behind a memory, in the fabric; blocks of the ECP5 have
registers of their own there, which save the wires between, and their time. Meaning and cycles stay the same.
"""

from dataclasses import dataclass
from typing import Any

from tilewright.fpga.netlist import MULTIPLIER, Bit, Netlist, Pin

CONSTANTS = frozenset(("0", "1", "x"))
MEMORY = "DP16KD"
REGISTER = "TRELLIS_FF"


@dataclass(frozen=True, kw_only=True)
class Packed:
    """How many blocks got registers at their inputs, and at their outputs."""

    multiplier_inputs: int
    multiplier_outputs: int
    memory_outputs: int


def pack_registers(netlist: Netlist) -> Packed:
    """Pack what can be packed, in place."""
    multipliers = netlist.names(MULTIPLIER)
    outputs = sum(_pack_product(netlist, name) for name in multipliers)
    inputs = sum(_pack_factors(netlist, name) for name in multipliers)
    memories = sum(_pack_memory(netlist, name) for name in netlist.names(MEMORY))
    return Packed(multiplier_inputs=inputs, multiplier_outputs=outputs, memory_outputs=memories)


def _is_unreset(cell: dict[str, Any]) -> bool:
    """Whether a cell is a register of the rising edge that starts at 0 and has no reset."""
    if cell["type"] != REGISTER:
        return False
    parameters, wires = cell["parameters"], cell["connections"]
    rising = parameters.get("CLKMUX", "CLK") == "CLK"
    unreset = parameters.get("LSRMUX", "LSR") == "LSR" and wires.get("LSR", ["0"]) == ["0"]
    return bool(rising and unreset and parameters.get("REGSET", "RESET") == "RESET")


def _enable(cell: dict[str, Any]) -> Bit | None:
    """The net that lets a register take its input, "1" if it always does, None if it is inverted."""
    mux, wire = cell["parameters"].get("CEMUX", "CE").strip(), cell["connections"].get("CE", [None])
    enables: dict[str, Bit | None] = {"CE": wire[0], "1": "1"}
    return enables.get(mux)


def _is_plain(cell: dict[str, Any]) -> bool:
    """Whether a cell is a register that takes its input at every rising edge, and nothing else."""
    return _is_unreset(cell) and _enable(cell) == "1"


# --- behind a block ----------------------------------------------------------------------------------------


def _registers_behind(netlist: Netlist, pins: list[Pin]) -> dict[Pin, str] | None:
    """The register that alone reads each of these outputs, or None; outputs without a reader are left out."""
    found = {}
    for pin in pins:
        net = netlist.cells[pin.cell]["connections"][pin.port][pin.bit]
        readers = netlist.readers[net]
        if net in netlist.ports or len(readers) > 1:
            return None
        for reader in readers:
            if reader.port != "DI" or not _is_unreset(netlist.cells[reader.cell]):
                return None
            found[pin] = reader.cell
    return found


def _absorb(netlist: Netlist, registers: dict[Pin, str]) -> Bit:
    """Let each output drive what its register drove, and remove the register; the clock of them all."""
    clock: Bit = "x"
    for pin, name in registers.items():
        wires = netlist.cells[name]["connections"]
        clock, driven = wires["CLK"][0], wires["Q"][0]
        netlist.remove(name)
        netlist.connect(pin, driven)
    return clock


def _set_clock(netlist: Netlist, name: str, places: tuple[str, ...], clock: Bit) -> None:
    """Let registers of a multiplier take their input at every edge of the clock."""
    netlist.cells[name]["parameters"].update({f"REG_{place}_CLK": "CLK0" for place in places})
    for port, net in (("CLK0", clock), ("CE0", "1"), ("RST0", "0")):
        netlist.cells[name]["port_directions"][port] = "input"
        netlist.connect(Pin(name, port, 0), net)


def _pack_product(netlist: Netlist, name: str) -> bool:
    outputs = [pin for pin, _ in netlist.pins(name) if netlist.is_output(pin) and pin.port.startswith("P")]
    registers = _registers_behind(netlist, outputs)
    if not registers or _enables(netlist, registers) != {"1"}:
        return False
    _set_clock(netlist, name, ("OUTPUT",), _absorb(netlist, registers))
    return True


def _pack_memory(netlist: Netlist, name: str) -> bool:
    outputs = [pin for pin, _ in netlist.pins(name) if netlist.is_output(pin) and pin.port.startswith("DOB")]
    registers = _registers_behind(netlist, outputs)
    cell = netlist.cells[name]
    if not registers or _clocks(netlist, registers) != {cell["connections"]["CLKB"][0]}:
        return False
    enable, *others = _enables(netlist, registers)
    if enable is None or others:
        return False
    _absorb(netlist, registers)
    cell["parameters"]["REGMODE_B"] = "OUTREG"
    cell["port_directions"]["OCEB"] = "input"
    netlist.connect(Pin(name, "OCEB", 0), enable)
    return True


def _enables(netlist: Netlist, registers: dict[Pin, str]) -> set[Bit | None]:
    return {_enable(netlist.cells[name]) for name in registers.values()}


def _clocks(netlist: Netlist, registers: dict[Pin, str]) -> set[Bit]:
    return {netlist.cells[name]["connections"]["CLK"][0] for name in registers.values()}


# --- before a block ----------------------------------------------------------------------------------------


def _pack_factors(netlist: Netlist, name: str) -> bool:
    """Both factors or none: the router knows the time of no other mix."""
    inputs = [
        (pin, net)
        for pin, net in netlist.pins(name)
        if pin.port[0] in "AB" and pin.port[1:].isdigit() and net not in CONSTANTS
    ]
    drivers = [netlist.drivers.get(net) for _, net in inputs]
    if not all(driver and _is_plain(netlist.cells[driver.cell]) for driver in drivers):
        return False
    clock: Bit = "x"
    for (pin, _), driver in zip(inputs, drivers, strict=True):
        assert driver is not None
        wires = netlist.cells[driver.cell]["connections"]
        clock = wires["CLK"][0]
        netlist.connect(pin, wires["DI"][0])
    for register in {driver.cell for driver in drivers if driver}:
        driven = netlist.cells[register]["connections"]["Q"][0]
        if not netlist.readers[driven] and driven not in netlist.ports:
            netlist.remove(register)
    _set_clock(netlist, name, ("INPUTA", "INPUTB"), clock)
    return True
