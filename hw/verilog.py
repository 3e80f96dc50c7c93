"""The machine as Verilog."""

import re

from amaranth.back import verilog
from amaranth.lib import wiring

from tilewright.hw.registers import WORD_BITS
from tilewright.hw.top import Machine
from tilewright.isa.config import Config

TOP_NAME = "tilewright"

# Members of a layout that take no bits, as the bank in a memory of one: in Verilog `[-1:0]` would be
# two bits. Nothing refers to them.
_NO_BITS = re.compile(r"^ *wire \[-1:0\] \S+ ?;\n", re.MULTILINE)

_HEADER = """\
// A Tilewright accelerator; its sizes are those of the configuration with the digest {digest}.
//
// clk        the one clock; everything happens at its rising edge
// rst        synchronous reset, active high, one cycle or more; memories on the chip keep their contents
// s_axi_*    AXI4-Lite slave, {host_bits} bits of data: the host's registers (docs/isa.md)
// m_axi_*    AXI4 master, {bus_bits} bits of data: programs and data
// interrupt  output, active high, a register: up from a program's end until the host acknowledges it
"""
_TRACE_HEADER = "// trace_*    outputs: what starts and finishes in this cycle\n"


def emit(config: Config, *, trace: bool = False) -> str:
    """The whole machine for a configuration, as one Verilog file with the top module `tilewright`.

    Args:
        config: its sizes.
        trace: with the outputs `trace_*` of `Machine`.
    """
    header = _HEADER.format(digest=config.digest().hex(), host_bits=WORD_BITS, bus_bits=8 * config.bus_bytes)
    text = emit_component(Machine(config, trace=trace), TOP_NAME)
    return f"{header}{_TRACE_HEADER if trace else ''}\n{text}"


def emit_component(component: wiring.Component, name: str) -> str:
    """Any component as Verilog; without source positions, so that equal machines are equal texts."""
    text: str = verilog.convert(component, name=name, strip_internal_attrs=True, emit_src=False)
    return _NO_BITS.sub("", text)
