"""The machine as Verilog."""

import re

from amaranth.back import verilog
from amaranth.lib import wiring

from tilewright.hw.port import MEANING, attributes
from tilewright.hw.top import Machine
from tilewright.isa.config import Config

TOP_NAME = "tilewright"

# Members of a layout that take no bits, as the bank in a memory of one: in Verilog `[-1:0]` would be
# two bits. Nothing refers to them.
_NO_BITS = re.compile(r"^ *wire \[-1:0\] \S+ ?;\n", re.MULTILINE)

_HEADER = """\
// A Tilewright accelerator; its sizes are those of the configuration with the digest {digest}.
//
// s_axi_*: AXI4-Lite slave, the host's registers (docs/isa.md); m_axi_*: AXI4 master, programs and data.
//
{ports}
"""
_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);$", re.MULTILINE)


def emit(config: Config, *, trace: bool = False) -> str:
    """The whole machine for a configuration, as one Verilog file with the top module `tilewright`.

    It begins with what every port is for; attributes join the ports to interfaces.

    Args:
        config: its sizes.
        trace: with the outputs `trace_*` of `Machine`.
    """
    text = emit_component(Machine(config, trace=trace), TOP_NAME)
    before, name, top = text.partition(f"module {TOP_NAME}(")
    module, end, others = top.partition("endmodule")
    ports = "\n".join(_port_line(*port.groups()) for port in _PORT.finditer(module))
    module = _PORT.sub(lambda port: f"  {attributes(port[3])}\n{port[0]}".replace("  \n", ""), module)
    header = _HEADER.format(digest=config.digest().hex(), ports=ports)
    return f"{header}\n{before}{name}{module}{end}{others}"


def _port_line(direction: str, highest_bit: str | None, name: str) -> str:
    """A port of the header: name, direction, bits, meaning."""
    return f"// {name:<15}{direction:<7}{int(highest_bit or 0) + 1:>4}  {MEANING[name]}"


def emit_component(component: wiring.Component, name: str) -> str:
    """Any component as Verilog; without source positions, so that equal machines are equal texts."""
    text: str = verilog.convert(component, name=name, strip_internal_attrs=True, emit_src=False)
    return _NO_BITS.sub("", text)
