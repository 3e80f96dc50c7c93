"""What every port of the machine is for, and the attributes by which FPGA tools join ports to interfaces."""

from collections.abc import Mapping
from types import MappingProxyType

HOST, MASTER = "s_axi", "m_axi"
"""The two buses, by the first part of their ports' names."""

_CHANNEL = {
    "addr": "address in bytes",
    "len": "beats of the burst, less one",
    "size": "log2 of the bytes of a beat",
    "burst": "always incrementing",
    "lock": "always 0",
    "cache": "always normal memory, not cached, bufferable",
    "prot": "always 0; what a host says is not looked at",
    "qos": "always 0",
    "valid": "an address stands",
    "ready": "the address is taken",
}
_OTHERS = {
    "arid": "whose burst it is: 0 load, 1 fetch",
    "awid": "always 0: there is one writer",
    "wdata": "what is written",
    "wstrb": "bytes of the word that are written",
    "wlast": "the last beat of the burst",
    "wvalid": "write data stands",
    "wready": "the write data is taken",
    "bid": "whose burst is answered, as in awid",
    "bresp": "2 or 3: the write failed",
    "bvalid": "a write is answered",
    "bready": "the answer is taken; the machine's master always does",
    "rid": "whose beat it is, as in arid",
    "rdata": "what was read",
    "rresp": "2 or 3: the read failed",
    "rlast": "the last beat of the burst; the machine counts beats and does not look at it",
    "rvalid": "read data stands",
    "rready": "the read data is taken; the machine's master always does",
}
_ALONE = {
    "clk": "the one clock; everything happens at its rising edge",
    "rst": "synchronous reset, active high, one cycle or more; memories on the chip keep their contents",
    "interrupt": "active high, a register: up from a program's end until the host acknowledges it",
    "trace_running": "a program runs; cycle 0 is the first with it up",
    "trace_start": "bit e: engine e starts an instruction; the bit above: fetch dispatches one",
    "trace_finish": "bit e: the oldest instruction of engine e that runs finishes",
}


def _meaning_of_bus(bus: str) -> Mapping[str, str]:
    pins = {f"{channel}{pin}": text for channel in ("aw", "ar") for pin, text in _CHANNEL.items()} | _OTHERS
    return {f"{bus}_{pin}": text for pin, text in pins.items()}


MEANING: Mapping[str, str] = MappingProxyType(
    dict(_ALONE) | dict(_meaning_of_bus(HOST)) | dict(_meaning_of_bus(MASTER))
)
"""What a port is for, by its name; of the host's bus, AXI4-Lite has some of the pins alone."""

_PARAMETERS = {
    "clk": f"ASSOCIATED_BUSIF {HOST}:{MASTER}, ASSOCIATED_RESET rst",
    "rst": "POLARITY ACTIVE_HIGH",
    "interrupt": "SENSITIVITY LEVEL_HIGH",
}
_KINDS = {"clk": "signal:clock:1.0 clk CLK", "rst": "signal:reset:1.0 rst RST"} | {
    "interrupt": "signal:interrupt:1.0 interrupt INTERRUPT"
}


def attributes(port: str) -> str:
    """The Verilog attributes that say which interface a port belongs to; empty for a port of none.

    By these, Vivado's block designs join buses, clock, reset and interrupt as a whole; other tools pass over
    them.
    """
    bus, _, pin = port.rpartition("_")
    kind = f"interface:aximm:1.0 {bus} {pin.upper()}" if bus in (HOST, MASTER) else _KINDS.get(port)
    if kind is None:
        return ""
    found = f'X_INTERFACE_INFO = "xilinx.com:{kind}"'
    if port in _PARAMETERS:
        found += f', X_INTERFACE_PARAMETER = "{_PARAMETERS[port]}"'
    return f"(* {found} *)"
