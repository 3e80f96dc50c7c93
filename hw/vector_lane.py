"""One lane of the vector engine from its operands to the biased sum of a reduction."""

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from tilewright.hw.lane_window import OLDER_LATENCY, LaneWindow
from tilewright.hw.window_issue import WINDOW_CONTROL
from tilewright.isa.instruction import ReduceMode, VectorOp
from tilewright.isa.timing import WINDOW_SUM

LANE_BITS = 32
LEFT_BITS = 16
"""The left factor of a product, saturated."""
RIGHT_BITS = 8
"""The right factor of a product, saturated."""
NIBBLE_BITS = RIGHT_BITS // 2

LANE_LATENCY = 6
"""From the registers of the sources to the register of the biased sum, without a sliding window."""
FACTOR_STAGE = 1
"""From the registers of the sources to those of the operands, from which factors and the window are."""

OP_BITS = bits_for(max(VectorOp))
REDUCE_BITS = bits_for(max(ReduceMode))

SOURCES = data.StructLayout(
    {
        "a_activation": signed(8),
        "a_accumulator": signed(LANE_BITS),
        "b_activation": signed(8),
        "b_accumulator": signed(LANE_BITS),
        "parameter": signed(LANE_BITS),
        "constant": signed(LANE_BITS),
    }
)
"""What a lane gets: its element of each vector that was read; everything that is not an operand is 0."""

LANE_CONTROL = data.StructLayout(
    {
        "valid": 1,
        "parameter": 1,
        "bias": 1,
        "add_bias": 1,
        "first": 1,
        "op": OP_BITS,
        "reduce": REDUCE_BITS,
    }
)
"""How lanes treat what is in one of their stages.

Members:
    valid: something is there: an item or a parameter vector.
    parameter: it is a parameter vector; it passes through (op pass, first of its reduction).
    bias: it is the bias of the items that follow.
    add_bias: it is an item to which the bias is added.
    first: it begins a reduction.
    op, reduce: of the instruction.
"""


def saturated(value: Value, bits: int) -> Value:
    """The nearest value that `bits` signed bits hold."""
    value = value.as_signed()
    sign, above = value[-1], value[bits - 1 :]
    limit = Cat((~sign).replicate(bits - 1), sign)
    return Mux(above.all() | ~above.any(), value[:bits], limit).as_signed()


def lane_latency(vector_taps: int) -> int:
    """Cycles from the registers of the sources to the register of the biased sum."""
    return LANE_LATENCY + (WINDOW_SUM if vector_taps > 1 else 0)


class VectorLane(wiring.Component):
    """Operands, operation, reduction and bias of one lane.

    A product is made of adders, in two halves: the multiplier blocks of an FPGA go to the array and to
    requantisation.

    Latency: `lane_latency` cycles from `source` to `t`. Throughput: one a cycle.

    Args:
        vector_taps: of the configuration.

    Members:
        source: In. The elements read, registers.
        control: array of In. What lies in each stage, from that of `source` on.
        window: In, with a sliding window. What the item in stage FACTOR_STAGE does to it.
        t: Out. The reduction so far, biased and saturated; a parameter unchanged.
    """

    def __init__(self, vector_taps: int = 1) -> None:
        self.slides = vector_taps > 1
        members = {
            "source": In(SOURCES),
            "control": In(LANE_CONTROL).array(lane_latency(vector_taps)),
            "t": Out(signed(LANE_BITS)),
        }
        super().__init__(members | ({"window": In(WINDOW_CONTROL)} if self.slides else {}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = self._elaborate_operands(m, self.control[0])
        factor = saturated(b, RIGHT_BITS)
        if self.slides:
            window = self._elaborate_window(m, a, factor)
            factor = window.right
        left, right, less, a, b = self._elaborate_factors(m, self.control[FACTOR_STAGE], a, b, factor)
        terms = self._elaborate_terms(m, self.control[2], left, right, less, a, b)
        result = Signal(signed(LANE_BITS), reset_less=True)
        with m.If(self.control[3].valid):
            m.d.sync += result.eq(sum(terms[1:], start=terms[0]))
        if self.slides:
            result = self._elaborate_window_sum(m, self.control[FACTOR_STAGE + OLDER_LATENCY], result, window)
        last, ends = self.control[-2], self.control[-1]
        reduction = self._elaborate_reduction(m, last, result)
        bias = self._elaborate_bias(m, last, result)
        self._elaborate_sum(m, ends, reduction, bias)
        return m

    def _elaborate_window(self, m: Module, a: Value, factor: Value) -> LaneWindow:
        """The window beside the factors; an input that slides comes from the activations."""
        m.submodules.window = window = LaneWindow()
        m.d.comb += [window.control.eq(self.window), window.weight.eq(factor)]
        m.d.comb += window.input.eq(a[: len(window.input)])
        return window

    def _elaborate_window_sum(
        self, m: Module, control: data.View, result: Signal, window: LaneWindow
    ) -> Signal:
        """The result and the products that the window adds to it."""
        total = Signal.like(result, name="total", reset_less=True)
        with m.If(control.valid):
            m.d.sync += total.eq(result + window.older)
        return total

    def _elaborate_operands(self, m: Module, control: data.View) -> tuple[Signal, Signal]:
        """Operands in int32; a parameter comes as a."""
        a, b = (Signal(signed(LANE_BITS), name=name, reset_less=True) for name in ("a", "b"))
        source = self.source
        parameter = Mux(control.parameter, source.parameter, 0)
        with m.If(control.valid):
            m.d.sync += a.eq(source.a_activation | source.a_accumulator | parameter)
            m.d.sync += b.eq(source.b_activation | source.b_accumulator | source.parameter | source.constant)
        return a, b

    def _elaborate_factors(
        self, m: Module, control: data.View, a: Signal, b: Signal, factor: Value
    ) -> tuple[Signal, ...]:
        """Saturated factors, and whether a < b; in multiply-add the left factor stays the last parameter."""
        left = Signal(signed(LEFT_BITS), reset_less=True)
        right = Signal(signed(RIGHT_BITS), reset_less=True)
        less = Signal(reset_less=True)
        a_late, b_late = (Signal.like(value, reset_less=True) for value in (a, b))
        with m.If(control.valid & (control.op != VectorOp.MULTIPLY_ADD)):
            m.d.sync += left.eq(saturated(a, LEFT_BITS))
        with m.If(control.valid):
            m.d.sync += [right.eq(factor), less.eq(a < b), a_late.eq(a), b_late.eq(b)]
        return left, right, less, a_late, b_late

    def _elaborate_terms(
        self, m: Module, control: data.View, left: Signal, right: Signal, less: Signal, a: Signal, b: Signal
    ) -> list[Value]:
        """The three numbers whose sum is the result of the operation."""
        base, addend = (Signal(signed(LANE_BITS), name=name, reset_less=True) for name in ("base", "addend"))
        high = Signal(signed(LEFT_BITS + NIBBLE_BITS), reset_less=True)
        carry = Signal(reset_less=True)
        low_product = _half_product(left, right[:NIBBLE_BITS])
        high_product = _half_product(left, right[NIBBLE_BITS:].as_signed())
        with m.If(control.valid):
            m.d.sync += [base.eq(a), addend.eq(0), high.eq(0), carry.eq(0)]
            with m.Switch(control.op):
                with m.Case(VectorOp.ADD):
                    m.d.sync += addend.eq(b)
                with m.Case(VectorOp.SUBTRACT):
                    m.d.sync += [addend.eq(~b), carry.eq(1)]
                with m.Case(VectorOp.MAXIMUM):
                    m.d.sync += base.eq(Mux(less, b, a))
                with m.Case(VectorOp.MINIMUM):
                    m.d.sync += base.eq(Mux(less, a, b))
                with m.Case(VectorOp.MULTIPLY, VectorOp.MULTIPLY_ADD):
                    m.d.sync += [addend.eq(low_product), high.eq(high_product)]
            with m.If(control.op == VectorOp.MULTIPLY):
                m.d.sync += base.eq(0)
        # The carry of a subtraction has the place below the high half: one adder less.
        return [base, addend, Cat(carry, C(0, NIBBLE_BITS - 1), high).as_signed()]

    def _elaborate_reduction(self, m: Module, control: data.View, result: Signal) -> Signal:
        reduction = Signal(signed(LANE_BITS), reset_less=True)
        less = Signal()
        m.d.comb += less.eq(reduction < result)
        with m.If(control.valid):
            with m.If(control.first):
                m.d.sync += reduction.eq(result)
            with m.Elif(control.reduce == ReduceMode.ADD):
                m.d.sync += reduction.eq(reduction + result)
            with m.Elif(less == (control.reduce == ReduceMode.MAXIMUM)):
                m.d.sync += reduction.eq(result)
        return reduction

    def _elaborate_bias(self, m: Module, control: data.View, result: Signal) -> Signal:
        bias = Signal(signed(LANE_BITS), reset_less=True)
        with m.If(control.bias):
            m.d.sync += bias.eq(result)
        return bias

    def _elaborate_sum(self, m: Module, control: data.View, reduction: Signal, bias: Signal) -> None:
        t = Signal(signed(LANE_BITS), reset_less=True)
        with m.If(control.valid):
            m.d.sync += t.eq(saturated(reduction + Mux(control.add_bias, bias, 0), LANE_BITS))
        m.d.comb += self.t.eq(t)


def _half_product(left: Value, nibble: Value) -> Value:
    """left x nibble as a sum of rows; the top bit of a signed nibble counts negative."""
    rows = [Mux(bit, left << place, 0) for place, bit in enumerate(nibble)]
    below = rows[0] + rows[1] + rows[2]
    return below - rows[3] if nibble.shape().signed else below + rows[3]
