"""The front of the vector engine: which item issues in which cycle, and from where it reads."""

from itertools import product

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.address import LoopNest
from tilewright.hw.interface import EngineControl, read_layout, record_layout
from tilewright.hw.lane_table import ELEMENT_BITS
from tilewright.hw.requantise import ZERO_POINT_BITS
from tilewright.hw.request import BankRequest
from tilewright.hw.vector_lane import LANE_BITS, OP_BITS, REDUCE_BITS
from tilewright.hw.window_issue import VARIATION, WINDOW_CONTROL, WindowIssue
from tilewright.isa.config import Config
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Destination, SourceA, SourceB, Vector, VectorOp, specs
from tilewright.isa.memory import Memory
from tilewright.isa.operand import DESTINATION, PARAMETER_VECTORS, SOURCES, parameters_used
from tilewright.isa.timing import item_interval, requantiser_rest

ADDRESS_BITS = specs(Vector)["a"].bits
COUNT_BITS = tuple(specs(Vector)[f"n_{loop}"].bits for loop in range(4))
REDUCED_LEVEL = len(DESTINATION.loops)
"""The first of the loops that are reduced."""
OPERANDS = tuple(row.address for row in (*SOURCES, DESTINATION))
"""The operands that follow the loops, in the order of their addresses."""

ITEM = data.StructLayout(
    {
        "valid": 1,
        "parameter": 1,
        "bias": 1,
        "scale": 1,
        "first": 1,
        "last": 1,
        "op": OP_BITS,
        "reduce": REDUCE_BITS,
        "constant": signed(LANE_BITS),
        "add_bias": 1,
        "requantise": 1,
        "zero_point": signed(ZERO_POINT_BITS),
        "narrow": 1,
        "lo": signed(ELEMENT_BITS),
        "hi": signed(ELEMENT_BITS),
        "lookup": 1,
        "write_table": 1,
        "entry": ELEMENT_BITS,
    }
)
"""An item, or a parameter vector, on its way through the engine.

Members:
    valid: there is one.
    parameter, bias, scale: it is a parameter vector; the bias; the scale.
    first: it begins a reduction.
    last: it is the instruction's last.
    constant: b, if that is the immediate, else 0.
    add_bias, requantise, narrow, lookup: what becomes of it and of its result.
    write_table: the result goes to `entry` of the table.
"""

REQUESTS = {
    "a_activation": Memory.ACTIVATION,
    "a_accumulator": Memory.ACCUMULATOR,
    "b_activation": Memory.ACTIVATION,
    "b_accumulator": Memory.ACCUMULATOR,
    "parameter": Memory.PARAMETER,
    "to_activation": Memory.ACTIVATION,
    "to_accumulator": Memory.ACCUMULATOR,
}
"""What an item asks of the memories: the members of `VectorIssue`, and whose banks they name."""


class VectorSlots(wiring.Component):
    """What every cycle of an instruction is for.

    Parameters take a slot each, in their order; then an item takes `requant_interval` slots if the
    requantiser needs them, else one, and issues in the first.

    Latency: the first slot is one cycle after `start`. Throughput: one slot a cycle; the next start comes in
    the last slot or later.

    Members:
        start: In. `head` begins.
        head: In. The instruction; followed while `ready`, because a start is known late in its cycle.
        end: In. This item is the instruction's last.
        parameter: Out. One bit a parameter (bias, scale, factor): it issues.
        last_parameter: Out. It is the last one.
        item: Out. An item issues.
        leave: Out. This is the item's last slot.
        ready: Out. Nothing is left to issue behind this slot.
    """

    def __init__(self, config: Config) -> None:
        self.interval = config.requant_interval
        super().__init__(
            {
                "start": In(1),
                "head": In(record_layout(Vector)),
                "end": In(1),
                "parameter": Out(len(PARAMETER_VECTORS)),
                "last_parameter": Out(1),
                "item": Out(1),
                "leave": Out(1),
                "ready": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        busy = Signal()
        resting = Signal()
        in_parameters = self._elaborate_parameters(m, busy)
        in_items = busy & ~in_parameters & ~resting
        first, last = self._elaborate_phase(m, in_items)
        m.d.comb += [self.item.eq(in_items & first), self.leave.eq(in_items & last)]
        ends = self.leave & self.end
        over = ends
        if requantiser_rest(1, self.interval, self.interval):
            over = self._elaborate_rest(m, ends, resting)
        m.d.comb += self.ready.eq(~busy | over)
        with m.If(self.start):
            m.d.sync += busy.eq(1)
        with m.Elif(self.ready):
            m.d.sync += busy.eq(0)
        return m

    def _elaborate_rest(self, m: Module, ends: Value, resting: Signal) -> Value:
        """Leaves the requantiser the slots it needs behind close items; whether the last of all ends."""
        slots = requantiser_rest(1, self.interval, self.interval)
        left = Signal(range(slots + 1))
        close = Signal()
        with m.If(self.ready):
            m.d.sync += close.eq(self.head.requantise & ~self._items_apart())
        with m.If(ends & close):
            m.d.sync += left.eq(slots)
        with m.Elif(resting):
            m.d.sync += left.eq(left - 1)
        m.d.comb += resting.eq(left != 0)
        return (ends & ~close) | (left == 1)

    def _elaborate_parameters(self, m: Module, busy: Value) -> Signal:
        """Whether there are parameters to issue, from a register: `ready` is what starts wait for."""
        pending, some = Signal(len(PARAMETER_VECTORS)), Signal()
        others = pending & (pending - 1)
        m.d.comb += [
            self.parameter.eq(Mux(busy, pending & ~others, 0)),
            self.last_parameter.eq(busy & some & ~others.any()),
        ]
        used = used_parameters(self.head)
        m.d.sync += pending.eq(Mux(self.ready, used, others))
        m.d.sync += some.eq(Mux(self.ready, used.any(), others.any()))
        return some

    def _elaborate_phase(self, m: Module, in_items: Value) -> tuple[Value, Value]:
        """Whether this is the first slot of an item, and whether it is the last."""
        if self.interval == 1:
            return C(1), C(1)
        apart = Signal()
        phase = Signal(range(self.interval))
        with m.If(self.ready):
            m.d.sync += [apart.eq(self._items_apart()), phase.eq(0)]
        with m.Elif(apart & in_items):
            m.d.sync += phase.eq(phase + 1)
        return phase == 0, ~apart | (phase == self.interval - 1)

    def _items_apart(self) -> Value:
        """Whether the reductions are too short for the requantiser: n_2 x n_3 < requant_interval."""
        short = C(0)
        for n_2, n_3 in product(range(1, self.interval), repeat=2):
            if item_interval(1, n_2 * n_3, self.interval) > 1:
                short |= (self.head.n_2 == n_2) & (self.head.n_3 == n_3)
        return self.head.requantise & short


def used_parameters(head: data.View) -> Value:
    """One bit for each of `PARAMETER_VECTORS`: the instruction has it."""
    return Cat(*parameters_used(head.__getitem__))


class VectorIssue(wiring.Component):
    """Issues the parameters and items of instructions, and asks the memories for them.

    While nothing is left to issue, all registers follow `head`: a start, which is known late in its cycle,
    then only lets what they hold go on.

    Latency: the first issue is one cycle after `start`; what has issued is in registers one cycle later.
    Throughput: one item a cycle.

    Members:
        head, start, ready, fault: as in `EngineControl`.
        item: Out. What issued in the cycle before, a register.
        a_activation, a_accumulator, b_activation, b_accumulator, parameter: Out. Its reads, registers.
        to_activation, to_accumulator: Out. Where its result goes, registers; not enabled if it has none.
        window: Out, with a sliding window. What the item is to it, a register.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        control = EngineControl(Vector).members
        requests = {name: Out(read_layout(config, memory)) for name, memory in REQUESTS.items()}
        members = {name: control[name] for name in ("head", "start", "ready", "fault")}
        self.slides = config.vector_taps > 1
        window = {"window": Out(WINDOW_CONTROL)} if self.slides else {}
        super().__init__(members | {"item": Out(ITEM)} | requests | window)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current = Signal(record_layout(Vector), reset_less=True)
        with m.If(self.ready):
            m.d.sync += current.eq(self.head)
        m.submodules.slots = slots = VectorSlots(self.config)
        nest = self._elaborate_nest(m, slots)
        if self.slides:
            self._elaborate_window(m, current, slots, nest)
        self._elaborate_item(m, current, slots, nest)
        outside = [
            *self._elaborate_reads(m, current, slots, nest),
            self._elaborate_parameter_read(m, current, slots, nest),
            *self._elaborate_writes(m, current, slots, nest),
        ]
        m.d.sync += [self.fault.valid.eq(Cat(outside).any()), self.fault.index.eq(current.index)]
        m.d.comb += self.fault.cause.eq(Cause.ADDRESS)
        return m

    def _elaborate_nest(self, m: Module, slots: VectorSlots) -> LoopNest:
        variation = VARIATION if self.slides else None
        nest = LoopNest(COUNT_BITS, ADDRESS_BITS, operands=len(OPERANDS), variation=variation)
        m.submodules.nest = nest
        m.d.comb += [slots.start.eq(self.start), slots.head.eq(self.head), slots.end.eq(nest.done)]
        m.d.comb += [self.ready.eq(slots.ready), nest.start.eq(self.ready)]
        m.d.comb += nest.step.eq(slots.leave & ~nest.done)
        m.d.comb += [count.eq(self.head[f"n_{loop}"]) for loop, count in enumerate(nest.count)]
        for base, strides, name in zip(nest.base, nest.stride, OPERANDS, strict=True):
            m.d.comb += base.eq(self.head[name])
            for loop in range(REDUCED_LEVEL if name == "destination" else len(COUNT_BITS)):
                m.d.comb += strides[loop].eq(self.head[f"{name}_stride_{loop}"])
        return nest

    def _elaborate_window(self, m: Module, current: data.View, slots: VectorSlots, nest: LoopNest) -> None:
        m.submodules.window = window = WindowIssue(self.config)
        m.d.comb += [window.head.eq(self.head), window.ready.eq(self.ready)]
        m.d.comb += [window.item.eq(slots.item), window.leave.eq(slots.leave)]
        m.d.comb += [window.further.eq(nest.further), window.stride.eq(current.a_stride_3)]
        m.d.comb += [window.row_ends.eq(nest.ends[-1]), window.result_ends.eq(nest.ends[REDUCED_LEVEL])]
        m.d.comb += nest.further_count.eq(window.chunks)
        m.d.comb += nest.entry_stride.eq(window.entry_stride)
        m.d.comb += nest.further_stride.eq(window.further_stride)
        m.d.comb += self.window.eq(window.control)

    def _reads_b(self, slots: VectorSlots, nest: LoopNest) -> Value:
        """Whether an item issues that reads b: those of further results find it in the window."""
        return slots.item & ~nest.further if self.slides else slots.item

    def _elaborate_item(self, m: Module, current: data.View, slots: VectorSlots, nest: LoopNest) -> None:
        item, in_parameters = self.item, slots.parameter.any()
        reduction_ends = nest.ends[REDUCED_LEVEL]
        first, entry = Signal(), Signal(ELEMENT_BITS)
        with m.If(self.ready | slots.leave):
            m.d.sync += first.eq(self.ready | reduction_ends)
            m.d.sync += entry.eq(Mux(self.ready, 0, entry + reduction_ends))
        result = slots.item & reduction_ends
        constant = current.b_from == SourceB.CONSTANT
        narrow = current.to != Destination.ACCUMULATOR
        m.d.sync += [
            item.valid.eq(slots.item | in_parameters),
            item.parameter.eq(in_parameters),
            Cat(item.bias, item.scale).eq(slots.parameter),
            item.first.eq(first),
            item.last.eq(slots.item & nest.done),
            item.op.eq(Mux(in_parameters, VectorOp.PASS, current.op)),
            item.constant.eq(Mux(constant, current.immediate, 0)),
            item.add_bias.eq(slots.item & current.bias),
            item.requantise.eq(result & current.requantise),
            item.narrow.eq(narrow),
            item.lookup.eq(narrow & current.lookup),
            item.write_table.eq(result & (current.to == Destination.TABLE)),
            item.entry.eq(entry),
        ]
        m.d.sync += [item[name].eq(current[name]) for name in ("reduce", "zero_point", "lo", "hi")]

    def _elaborate_reads(
        self, m: Module, current: data.View, slots: VectorSlots, nest: LoopNest
    ) -> list[Value]:
        """The reads of a and b but for parameters; whether each is outside."""
        reads_b = self._reads_b(slots, nest)
        reads = (
            ("a_activation", "a", slots.item & (current.a_from == SourceA.ACTIVATION)),
            ("a_accumulator", "a", slots.item & (current.a_from == SourceA.ACCUMULATOR)),
            ("b_activation", "b", reads_b & (current.b_from == SourceB.ACTIVATION)),
            ("b_accumulator", "b", reads_b & (current.b_from == SourceB.ACCUMULATOR)),
        )
        return [self._request(m, name, operand, valid, nest) for name, operand, valid in reads]

    def _elaborate_writes(
        self, m: Module, current: data.View, slots: VectorSlots, nest: LoopNest
    ) -> list[Value]:
        """The writes of results; whether each is outside."""
        result = slots.item & nest.ends[REDUCED_LEVEL]
        writes = (
            ("to_activation", "destination", current.to == Destination.ACTIVATION),
            ("to_accumulator", "destination", current.to == Destination.ACCUMULATOR),
        )
        return [self._request(m, name, operand, result & used, nest) for name, operand, used in writes]

    def _request(self, m: Module, name: str, operand: str, valid: Value, nest: LoopNest) -> Value:
        request = self._bank_request(m, name)
        m.d.comb += [
            request.start.eq(self.ready),
            request.base.eq(self.head[operand]),
            request.valid.eq(valid),
        ]
        m.d.comb += request.address.eq(nest.address[OPERANDS.index(operand)])
        return request.outside

    def _elaborate_parameter_read(
        self, m: Module, current: data.View, slots: VectorSlots, nest: LoopNest
    ) -> Value:
        """The reads of parameters, then those of b; whether one is outside."""
        request = self._bank_request(m, "parameter")
        address = Signal(ADDRESS_BITS, reset_less=True)
        m.d.sync += address.eq(Mux(self.ready, self.head.parameter, address + 1))
        first = Mux(used_parameters(self.head).any(), self.head.parameter, self.head.b)
        in_parameters, reads_b = slots.parameter.any(), self._reads_b(slots, nest)
        m.d.comb += [
            request.start.eq(self.ready | slots.last_parameter),
            request.base.eq(Mux(self.ready, first, current.b)),
            request.valid.eq(in_parameters | (reads_b & (current.b_from == SourceB.PARAMETER))),
            request.address.eq(Mux(in_parameters, address, nest.address[OPERANDS.index("b")])),
        ]
        return request.outside

    def _bank_request(self, m: Module, name: str) -> BankRequest:
        request = BankRequest(self.config, REQUESTS[name], address_bits=ADDRESS_BITS)
        m.submodules[name] = request
        m.d.comb += getattr(self, name).eq(request.request)
        return request
