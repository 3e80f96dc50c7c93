"""The end of a lane: clamp to int8, look up, and the register that is written."""

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.vector_lane import LANE_BITS
from tilewright.isa.instruction import Vector, specs

ELEMENT_BITS = specs(Vector)["lo"].bits
ENTRIES = 1 << ELEMENT_BITS

TABLE_LATENCY = 3
"""From the register of y to the register that is written."""

TABLE_CONTROL = data.StructLayout(
    {
        "valid": 1,
        "narrow": 1,
        "lookup": 1,
        "write_table": 1,
        "entry": ELEMENT_BITS,
        "lo": signed(ELEMENT_BITS),
        "hi": signed(ELEMENT_BITS),
    }
)
"""What becomes of the result in a stage.

Members:
    valid: something is there.
    narrow: it is clamped to lo ... hi; else it is written as it is.
    lookup: it is replaced by its entry in the table.
    write_table: it becomes `entry` of the table.
"""


class LaneTable(wiring.Component):
    """Clamp and look-up of one lane, with its table of 256 entries, zero at power-up.

    Latency: TABLE_LATENCY cycles from `y` to `result`. Throughput: one a cycle. A result looks up what all
    results before it wrote.

    Members:
        y: In. The result, a register.
        control: array of In. What lies in each stage, from that of `y` on.
        result: Out. What is written: int32, or int8 in the low bits.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "y": In(signed(LANE_BITS)),
                "control": In(TABLE_CONTROL).array(TABLE_LATENCY),
                "result": Out(LANE_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clamped = self._elaborate_clamp(m, self.control[0])
        entry = self._elaborate_table(m, self.control[1], clamped[:ELEMENT_BITS])
        late, result = (Signal(LANE_BITS, name=name, reset_less=True) for name in ("late", "result"))
        with m.If(self.control[1].valid):
            m.d.sync += late.eq(clamped)
        with m.If(self.control[2].valid):
            m.d.sync += result.eq(Mux(self.control[2].lookup, entry, late))
        m.d.comb += self.result.eq(result)
        return m

    def _elaborate_clamp(self, m: Module, control: data.View) -> Signal:
        """min(max(y, lo), hi), which is hi wherever lo > hi."""
        clamped = Signal(LANE_BITS, reset_less=True)
        above = (self.y > control.hi) | (control.lo > control.hi)
        with m.If(control.valid):
            m.d.sync += clamped.eq(self.y)
            with m.If(control.narrow & above):
                m.d.sync += clamped.eq(control.hi)
            with m.Elif(control.narrow & (self.y < control.lo)):
                m.d.sync += clamped.eq(control.lo)
        return clamped

    def _elaborate_table(self, m: Module, control: data.View, element: Value) -> Value:
        """The entry of `element`, one cycle later; a cycle reads or writes, never both."""
        m.submodules.table = table = memory.Memory(shape=ELEMENT_BITS, depth=ENTRIES, init=[])
        read, write = table.read_port(), table.write_port()
        # Entry 0 is that of the lowest value: the sign is turned over.
        m.d.comb += [read.en.eq(control.lookup), read.addr.eq(element ^ (1 << (ELEMENT_BITS - 1)))]
        m.d.comb += [write.en.eq(control.write_table), write.addr.eq(control.entry), write.data.eq(element)]
        return read.data
