"""The machine and the memory outside, both as gates: what runs where there is no board."""

from amaranth import ClockDomain, ClockSignal, DomainRenamer, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.axi import master_pins
from tilewright.hw.memory_model import OutsideMemory
from tilewright.hw.top import Machine
from tilewright.isa.config import Config

_MASTER = "m_axi_"
_REGISTERED = ("latency", "outstanding", "size", "silent")
"""Inputs of the memory model that act one cycle later."""


class RtlBench(wiring.Component):
    """A `Machine` whose AXI4 master is connected to a `OutsideMemory`; all other ports of both are its own.

    A compiled simulator computes all that follows combinationally from an input twice a cycle. So what can is
    registered: reset and the parameters of the memory act one cycle later.

    Members:
        reset: In. Reset both in the next cycle; at power-up they are.
        latency, outstanding, size, silent: In. As of `OutsideMemory`, in the next cycle.
        read_*, write_*: as of `OutsideMemory`.
        s_axi_*, interrupt, trace_*: as of `Machine`.
    """

    def __init__(self, config: Config) -> None:
        self._bus = master_pins(config)
        self._machine, self._memory = Machine(config, trace=True), OutsideMemory(config)
        machine, memory = self._machine.signature.members, self._memory.signature.members
        super().__init__(
            {"reset": In(1)}
            | {name: member for name, member in machine.items() if not name.startswith(_MASTER)}
            | {name: member for name, member in memory.items() if name not in self._bus}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Without the reset of the domain of the outside, which would reach every register combinationally.
        m.domains.inner = ClockDomain(reset_less=True, local=True)
        m.d.comb += ClockSignal("inner").eq(ClockSignal("sync"))
        reset = Signal(init=1)
        m.d.inner += reset.eq(self.reset)
        for name, unit in (("machine", self._machine), ("memory", self._memory)):
            m.submodules[name] = DomainRenamer("inner")(ResetInserter(reset)(unit))
        self._connect_bus(m)
        self._connect_ports(m)
        return m

    def _connect_bus(self, m: Module) -> None:
        for name, member in self._bus.items():
            master, slave = getattr(self._machine, _MASTER + name), getattr(self._memory, name)
            m.d.comb += slave.eq(master) if member.flow is Out else master.eq(slave)

    def _connect_ports(self, m: Module) -> None:
        for unit in (self._machine, self._memory):
            for name in unit.signature.members.keys() & self.signature.members.keys():
                inner, outer = getattr(unit, name), getattr(self, name)
                if self.signature.members[name].flow is Out:
                    m.d.comb += outer.eq(inner)
                else:
                    m.d["inner" if name in _REGISTERED else "comb"] += inner.eq(outer)
