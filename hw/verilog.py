"""The machine as Verilog."""

from amaranth.back import verilog
from amaranth.lib import wiring

from tilewright.hw.top import Machine
from tilewright.isa.config import Config

TOP_NAME = "tilewright"


def emit(config: Config) -> str:
    """The whole machine for a configuration, as one Verilog file with the top module `tilewright`."""
    return emit_component(Machine(config), TOP_NAME)


def emit_component(component: wiring.Component, name: str) -> str:
    """Any component as Verilog; without source positions, so that equal machines are equal texts."""
    text: str = verilog.convert(component, name=name, strip_internal_attrs=True, emit_src=False)
    return text
