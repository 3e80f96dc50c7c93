"""A circuit of three pins around a unit of any size, so that it can be routed alone."""

from collections.abc import Iterator

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, In, Out

FAN_IN = 4
"""Bits that one look-up table of the output tree takes."""


def port_values(unit: wiring.Component, flow: Flow) -> Iterator[Value]:
    """The inputs or the outputs of a unit, in the order of its signature."""
    for _, member, value in unit.signature.flatten(unit):
        if member.flow is flow:
            yield Value.cast(value)


class Harness(wiring.Component):
    """Shifts bits into all inputs of a unit and folds all its outputs into one bit.

    Every input is driven by a register and every output ends in one, so neither is optimised away and no path
    to or from a pin bounds the clock.

    Latency: an input bit at position p of all inputs is driven p + 1 cycles after it was at `serial_in`; an
    output bit is in `serial_out` `depth` cycles later. Throughput: one bit a cycle.

    Members:
        serial_in: In. Goes to the first input bit, from there to the next, and so on.
        serial_out: Out. The exclusive or of all output bits of one cycle, a register.
    """

    def __init__(self, unit: wiring.Component) -> None:
        self.unit = unit
        self.inputs = list(port_values(unit, Flow.In))
        self.outputs = list(port_values(unit, Flow.Out))
        super().__init__({"serial_in": In(1), "serial_out": Out(1)})

    @property
    def depth(self) -> int:
        """Registers from an output of the unit to `serial_out`."""
        left, depth = sum(len(value) for value in self.outputs), 1
        while left > 1:
            left, depth = -(-left // FAN_IN), depth + 1
        return depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = self.unit
        self._elaborate_inputs(m)
        self._elaborate_outputs(m)
        return m

    def _elaborate_inputs(self, m: Module) -> None:
        every_input = Cat(*self.inputs)
        shifted = Signal(len(every_input), reset_less=True)
        m.d.sync += shifted.eq(Cat(self.serial_in, shifted))
        m.d.comb += every_input.eq(shifted)

    def _elaborate_outputs(self, m: Module) -> None:
        level: Value = Cat(*self.outputs)
        for age in range(self.depth):
            groups = [level[first : first + FAN_IN] for first in range(0, len(level), FAN_IN)]
            bits = [group.xor() for group in groups] if age else list(level)
            register = Signal(len(bits), name=f"folded_{age}", reset_less=True)
            m.d.sync += register.eq(Cat(*bits))
            level = register
        m.d.comb += self.serial_out.eq(level)
