"""Addresses of nested affine loops: one set of loop counters, and the address registers that follow it.

Loops are numbered from the outermost, 0. An iteration is left by a *step*, which advances the innermost loop
that is not at its last pass and starts the loops inside of it anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


def one_of(hits: Sequence[Value], values: Sequence[Value]) -> Value:
    """The value whose hit is up, 0 if none; at most one is: AND-OR, shallower than a priority chain."""
    result, *others = [Mux(hit, value, 0) for hit, value in zip(hits, values, strict=True)]
    for value in others:
        result = result | value
    return result


@dataclass(frozen=True, kw_only=True)
class _Loop:
    """Registers of a loop: passes left, whether it has but one, whether this is the last."""

    remaining: Signal
    single: Signal
    last: Signal


class LoopCounter(wiring.Component):
    """Where a nest of loops stands.

    Latency: the first iteration one cycle after `start`, the next one cycle after `step`. Throughput: one
    iteration a cycle. Last passes are known to registers beside the counters, so that no compare lies before
    an address adder.

    Args:
        count_bits: width of each loop's count, outermost first.

    Members:
        start: In. Take the counts (each at least 1) and begin at the first iteration; wins over `step`.
        step: In. Go to the next iteration; not allowed at the last one of the nest.
        count: array of In. Passes of each loop; read with `start` only.
        advance: Out. One bit a loop: the next step advances this loop; none at the last iteration.
        ends: Out. One bit a loop: the last pass of the loop and of all inside of it. Bit 0: of the nest.
        done: Out. Bit 0 of `ends` as a register, for what is late already.
    """

    def __init__(self, count_bits: Sequence[int]) -> None:
        self.count_bits = tuple(count_bits)
        levels = len(self.count_bits)
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "count": In(max(self.count_bits)).array(levels),
                "advance": Out(levels),
                "ends": Out(levels),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inner: Value | int = 1
        loops: list[Value] = []
        for level in reversed(range(len(self.count_bits))):
            loop = self._elaborate_loop(m, level)
            m.d.comb += self.advance[level].eq(~loop.last & inner)
            m.d.comb += self.ends[level].eq(loop.last & inner)
            inner = self.ends[level]
            loops.insert(0, loop)
        self._elaborate_done(m, loops)
        return m

    def _elaborate_done(self, m: Module, loops: Sequence["_Loop"]) -> None:
        """A step leads to the last iteration if the loop that advances comes to its last pass, those outside
        of it are there, and those inside of it, which start anew, have but one."""
        leads = [
            Cat(
                self.advance[level],
                loop.remaining == 2,
                *(outer.last for outer in loops[:level]),
                *(inner.single for inner in loops[level + 1 :]),
            ).all()
            for level, loop in enumerate(loops)
        ]
        with m.If(self.start):
            m.d.sync += self.done.eq(Cat(given == 1 for given in self.count).all())
        with m.Elif(self.step):
            m.d.sync += self.done.eq(Cat(*leads).any())

    def _elaborate_loop(self, m: Module, level: int) -> "_Loop":
        """The counter of one loop."""
        bits = self.count_bits[level]
        count = Signal(bits, name=f"count_{level}")
        remaining = Signal(bits, name=f"remaining_{level}")
        single = Signal(name=f"single_{level}")
        last = Signal(name=f"last_{level}")
        given = self.count[level]
        with m.If(self.start):
            m.d.sync += [count.eq(given), remaining.eq(given), single.eq(given == 1), last.eq(given == 1)]
        with m.Elif(self.step & self.advance[level]):
            m.d.sync += [remaining.eq(remaining - 1), last.eq(remaining == 2)]
        with m.Elif(self.step & self.ends[level]):
            m.d.sync += [remaining.eq(count), last.eq(single)]
        return _Loop(remaining=remaining, single=single, last=last)


class LoopAddress(wiring.Component):
    """The address of one operand in a nest of loops: base + sum of pass x stride, modulo 2 ** address_bits.

    For each loop a register holds the address at which its present pass began; a step adds the stride of the
    loop that advances to that loop's register: one adder, whatever the depth.

    Latency and throughput: as `LoopCounter`, in step with it.

    Members:
        start: In. Take base and strides; the address is the base in the next cycle.
        step: In. Go to the next iteration.
        advance: In. From the counter.
        base: In. First address; read with `start` only.
        stride: array of In. Step of each loop, outermost first; read with `start` only.
        address: Out. The address of this iteration, a register.
    """

    def __init__(self, levels: int, address_bits: int) -> None:
        self.levels = levels
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "advance": In(levels),
                "base": In(address_bits),
                "stride": In(signed(address_bits)).array(levels),
                "address": Out(address_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        outer = [
            Signal.like(self.address, name=f"pass_{level}", reset_less=True)
            for level in range(self.levels - 1)
        ]
        strides = self._elaborate_strides(m)
        passes = [*outer, self.address]
        moved = Signal.like(self.address)
        m.d.comb += moved.eq(one_of(self.advance, passes) + one_of(self.advance, strides))
        for level, register in enumerate(passes):
            with m.If(self.start | (self.step & self.advance[: level + 1].any())):
                m.d.sync += register.eq(Mux(self.start, self.base, moved))
        return m

    def _elaborate_strides(self, m: Module) -> list[Signal]:
        strides = []
        for level, given in enumerate(self.stride):
            stride = Signal.like(self.base, name=f"stride_{level}", reset_less=True)
            with m.If(self.start):
                m.d.sync += stride.eq(given)
            strides.append(stride)
        return strides


class LoopNest(wiring.Component):
    """A counter of nested loops and the addresses of `operands` operands that follow it.

    Latency: first addresses one cycle after `start`. Throughput: one iteration a cycle.

    Args:
        count_bits: width of each loop's count, outermost first.
        address_bits: width of addresses and strides.
        operands: addresses computed side by side.

    Members:
        start: In. Take counts, bases and strides, begin at the first iteration; wins over `step`.
        step: In. Go to the next iteration; not allowed at the last one.
        count: array of In. Passes of each loop, at least 1.
        base: array of In. First address of each operand.
        stride: array of In, operands x loops. Signed steps, outermost loop first.
        address: array of Out. The address of each operand in this iteration, registers.
        ends: Out. One bit a loop: the last pass of the loop and of all inside of it. Bit 0: of the nest.
        done: Out. Bit 0 of `ends` as a register.
    """

    def __init__(self, count_bits: Sequence[int], address_bits: int, *, operands: int = 1) -> None:
        self.counter = LoopCounter(count_bits)
        levels = len(self.counter.count_bits)
        self.operands = [LoopAddress(levels, address_bits) for _ in range(operands)]
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "count": In(max(self.counter.count_bits)).array(levels),
                "base": In(address_bits).array(operands),
                "stride": In(signed(address_bits)).array(operands, levels),
                "address": Out(address_bits).array(operands),
                "ends": Out(levels),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.counter = self.counter
        m.d.comb += [self.counter.start.eq(self.start), self.counter.step.eq(self.step)]
        m.d.comb += [count.eq(given) for count, given in zip(self.counter.count, self.count, strict=True)]
        m.d.comb += [self.ends.eq(self.counter.ends), self.done.eq(self.counter.done)]
        for place, operand in enumerate(self.operands):
            m.submodules[f"operand_{place}"] = operand
            self._connect(m, place, operand)
        return m

    def _connect(self, m: Module, place: int, operand: LoopAddress) -> None:
        m.d.comb += [operand.start.eq(self.start), operand.step.eq(self.step)]
        m.d.comb += [operand.advance.eq(self.counter.advance), operand.base.eq(self.base[place])]
        strides = zip(operand.stride, self.stride[place], strict=True)
        m.d.comb += [stride.eq(given) for stride, given in strides]
        m.d.comb += self.address[place].eq(operand.address)
