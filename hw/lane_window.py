"""The sliding window of one lane: the last inputs and the weights of every chunk, and the older products."""

from amaranth import Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.window_issue import WINDOW_CONTROL
from tilewright.isa.sliding import WINDOW_TAPS, WINDOWS

TAP_BITS = 8
"""An input, or a weight."""
OLDER_TAPS = WINDOW_TAPS - 1
OLDER_BITS = 2 * TAP_BITS + 1
"""The sum of the older products."""
OLDER_LATENCY = 3
"""From the registers of the newest input and weight to that of the older products."""

_HALF_BITS = TAP_BITS // 2
_SUM_BITS = TAP_BITS + 1

CHUNK = data.StructLayout(
    {
        "input": data.ArrayLayout(signed(TAP_BITS), OLDER_TAPS),
        "weight": data.ArrayLayout(signed(TAP_BITS), WINDOW_TAPS),
    }
)
"""What a lane keeps of a chunk, the newest first."""


class LaneWindow(wiring.Component):
    """Keeps the chunks of one lane, and multiplies all taps but the newest.

    The two older products are made together: each pair of bits of their weights picks one of the inputs,
    their sum, or nothing, which saves half of the adders.

    Latency: `right` in the same cycle, `older` OLDER_LATENCY cycles later. Throughput: one item a cycle; an
    item sees what the one before has left.

    Members:
        input: In. The newest input, a register.
        weight: In. The weight of an item that is not `further`.
        control: In. What the item does.
        right: Out. The weight of the newest input; 0 if nothing is multiplied, `weight` where nothing slides.
        older: Out. The sum of the other products, a register; 0 if nothing slides.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "input": In(signed(TAP_BITS)),
                "weight": In(signed(TAP_BITS)),
                "control": In(WINDOW_CONTROL),
                "right": Out(signed(TAP_BITS)),
                "older": Out(signed(OLDER_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chunk = self._elaborate_chunks(m)
        inputs, weights = self._elaborate_factors(m, chunk)
        both = Signal(signed(_SUM_BITS), reset_less=True)
        m.d.sync += both.eq(chunk.input[0] + chunk.input[1])
        low, high = (
            Signal(signed(_SUM_BITS + _HALF_BITS), name=name, reset_less=True) for name in ("low", "high")
        )
        halves = [[weight[:_HALF_BITS] for weight in weights], [weight[_HALF_BITS:] for weight in weights]]
        m.d.sync += low.eq(_half_products(inputs, both, halves[0], top=1))
        m.d.sync += high.eq(_half_products(inputs, both, halves[1], top=-1))
        older = Signal.like(self.older, reset_less=True)
        m.d.sync += older.eq(low + (high << _HALF_BITS))
        m.d.comb += self.older.eq(older)
        return m

    def _elaborate_chunks(self, m: Module) -> data.View:
        """The item's chunk, its weights those of this item; it is left with the newest input."""
        m.submodules.chunks = chunks = memory.Memory(shape=CHUNK, depth=WINDOWS, init=[])
        read, write = chunks.read_port(domain="comb"), chunks.write_port()
        kept, control = read.data, self.control
        chunk = Signal(CHUNK)
        m.d.comb += chunk.eq(kept)
        with m.If(~control.further):
            m.d.comb += chunk.weight[0].eq(self.weight)
            for age in range(1, WINDOW_TAPS):
                m.d.comb += chunk.weight[age].eq(Mux(control.fresh, 0, kept.weight[age - 1]))
        m.d.comb += [read.addr.eq(control.chunk), write.addr.eq(control.chunk)]
        m.d.comb += [write.en.eq(control.slides), write.data.weight.eq(chunk.weight)]
        m.d.comb += [write.data.input[0].eq(self.input), write.data.input[1].eq(kept.input[0])]
        return chunk

    def _elaborate_factors(self, m: Module, chunk: data.View) -> tuple[list[Signal], list[Signal]]:
        """The older inputs and their weights, 0 if nothing is multiplied."""
        control = self.control
        m.d.comb += self.right.eq(Mux(control.partial, 0, chunk.weight[0]))
        inputs, weights = [], []
        for age in range(OLDER_TAPS):
            value, weight = (
                Signal(signed(TAP_BITS), name=f"{name}_{age}", reset_less=True)
                for name in ("input", "weight")
            )
            m.d.sync += value.eq(chunk.input[age])
            multiplies = control.slides & ~control.partial
            m.d.sync += weight.eq(Mux(multiplies, chunk.weight[age + 1], 0))
            inputs.append(value)
            weights.append(weight)
        return inputs, weights


def _half_products(inputs: list[Signal], both: Value, weights: list[Value], *, top: int) -> Value:
    """The sum of inputs x weights of half the bits, of which the top one counts `top`."""
    rows = [
        Mux(first, Mux(second, both, inputs[0]), Mux(second, inputs[1], 0)) << place
        for place, (first, second) in enumerate(zip(*weights, strict=True))
    ]
    below = rows[0] + rows[1] + rows[2]
    return below + rows[3] if top > 0 else below - rows[3]
