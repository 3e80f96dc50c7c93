"""Addresses of nested affine loops: one set of loop counters, and the address registers that follow it.

Loops are numbered from the outermost, 0. An iteration is left by a *step*, which advances the innermost loop
that is not at its last pass and starts the loops inside of it anew.

A nest may *vary*: in the *further* passes of one loop, all but the first since it was started anew, the
innermost loop can have another count, and the addresses of an operand other strides.
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
class Variation:
    """How a nest can vary.

    Members:
        loop: its further passes do; not the innermost loop.
        count_bits: width of the innermost loop's count in them.
    """

    loop: int
    count_bits: int


@dataclass(frozen=True, kw_only=True)
class _Loop:
    """A loop: passes left, whether it has but one when it starts anew, whether this is the last."""

    remaining: Signal
    single: Value
    last: Signal


class LoopCounter(wiring.Component):
    """Where a nest of loops stands.

    Latency: the first iteration one cycle after `start`, the next one cycle after `step`. Throughput: one
    iteration a cycle. Last passes are known to registers beside the counters, so that no compare lies before
    an address adder.

    Args:
        count_bits: width of each loop's count, outermost first.
        variation: how it can vary; None: not at all.

    Members:
        start: In. Take the counts (each at least 1) and begin at the first iteration; wins over `step`.
        step: In. Go to the next iteration; not allowed at the last one of the nest.
        count: array of In. Passes of each loop; read with `start` only.
        advance: Out. One bit a loop: the next step advances this loop; none at the last iteration.
        ends: Out. One bit a loop: the last pass of the loop and of all inside of it. Bit 0: of the nest.
        done: Out. Bit 0 of `ends` as a register, for what is late already.
        further_count: In, with a variation. Passes of the innermost loop in further passes; 0: the nest does
            not vary. Read with `start` only.
        varies, further: Out, with a variation. Registers: the nest does; this is a further pass of it.
    """

    def __init__(self, count_bits: Sequence[int], variation: Variation | None = None) -> None:
        self.count_bits = tuple(count_bits)
        self.variation = variation
        levels = len(self.count_bits)
        members = {
            "start": In(1),
            "step": In(1),
            "count": In(max(self.count_bits)).array(levels),
            "advance": Out(levels),
            "ends": Out(levels),
            "done": Out(1),
        }
        if variation is not None:
            members |= {"further_count": In(variation.count_bits), "varies": Out(1), "further": Out(1)}
        super().__init__(members)

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
        anew: tuple[Value, Value] = (count, single)
        if self.variation is not None and level == len(self.count_bits) - 1:
            anew = self._elaborate_variation(m, self.variation, count, single)
        with m.If(self.start):
            m.d.sync += [count.eq(given), remaining.eq(given), single.eq(given == 1), last.eq(given == 1)]
        with m.Elif(self.step & self.advance[level]):
            m.d.sync += [remaining.eq(remaining - 1), last.eq(remaining == 2)]
        with m.Elif(self.step & self.ends[level]):
            m.d.sync += [remaining.eq(anew[0]), last.eq(anew[1])]
        return _Loop(remaining=remaining, single=anew[1], last=last)

    def _elaborate_variation(
        self, m: Module, variation: Variation, count: Value, single: Value
    ) -> tuple[Value, Value]:
        """Passes with which a step starts the innermost loop anew, and whether that is one.

        Where the loop that varies advances a further pass comes, where one outside of it does a first one.
        """
        further_count = Signal(variation.count_bits)
        further_single = Signal()
        outside, varying = self.advance[: variation.loop], self.advance[variation.loop]
        next_further = self.varies & (varying | (self.further & ~outside.any()))
        with m.If(self.start):
            given = self.further_count
            m.d.sync += [further_count.eq(given), further_single.eq(given == 1)]
            m.d.sync += [self.varies.eq(given != 0), self.further.eq(0)]
        with m.Elif(self.step):
            m.d.sync += self.further.eq(next_further)
        return Mux(next_further, further_count, count), Mux(next_further, further_single, single)


class LoopAddress(wiring.Component):
    """The address of one operand in a nest of loops: base + sum of pass x stride, modulo 2 ** address_bits.

    For each loop a register holds the address at which its present pass began; a step adds the stride of the
    loop that advances to that loop's register: one adder, whatever the depth.

    Latency and throughput: as `LoopCounter`, in step with it.

    Args:
        levels: loops.
        address_bits: width of addresses and strides.
        variation: of a nest whose further passes have other strides; None: all are alike.

    Members:
        start: In. Take base and strides; the address is the base in the next cycle.
        step: In. Go to the next iteration.
        advance: In. From the counter.
        base: In. First address; read with `start` only.
        stride: array of In. Step of each loop, outermost first; read with `start` only.
        address: Out. The address of this iteration, a register.
        varies, further: In, with a variation. From the counter.
        entry_stride: In, with a variation. Step of the loop that varies from its first pass to the next one,
            in a nest that varies. Not kept: it and `further_stride` must stay until the end of the nest.
        further_stride: In, with a variation. Step of the innermost loop in further passes.
    """

    def __init__(self, levels: int, address_bits: int, variation: Variation | None = None) -> None:
        self.levels = levels
        self.variation = variation
        members = {
            "start": In(1),
            "step": In(1),
            "advance": In(levels),
            "base": In(address_bits),
            "stride": In(signed(address_bits)).array(levels),
            "address": Out(address_bits),
        }
        if variation is not None:
            members |= {"varies": In(1), "further": In(1)}
            members |= {name: In(signed(address_bits)) for name in ("entry_stride", "further_stride")}
        super().__init__(members)

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

    def _elaborate_strides(self, m: Module) -> list[Value]:
        strides: list[Value] = []
        for level, given in enumerate(self.stride):
            stride = Signal.like(self.base, name=f"stride_{level}", reset_less=True)
            with m.If(self.start):
                m.d.sync += stride.eq(given)
            strides.append(stride)
        if self.variation is not None:
            entering, loop = self.varies & ~self.further, self.variation.loop
            strides[loop] = Mux(entering, self.entry_stride, strides[loop])
            strides[-1] = Mux(self.further, self.further_stride, strides[-1])
        return strides


class LoopNest(wiring.Component):
    """A counter of nested loops and the addresses of `operands` operands that follow it.

    Latency: first addresses one cycle after `start`. Throughput: one iteration a cycle.

    Args:
        count_bits: width of each loop's count, outermost first.
        address_bits: width of addresses and strides.
        operands: addresses computed side by side.
        variation: how the nest, and the strides of the first operand in it, can vary; None: not at all.

    Members:
        start: In. Take counts, bases and strides, begin at the first iteration; wins over `step`.
        step: In. Go to the next iteration; not allowed at the last one.
        count: array of In. Passes of each loop, at least 1.
        base: array of In. First address of each operand.
        stride: array of In, operands x loops. Signed steps, outermost loop first.
        address: array of Out. The address of each operand in this iteration, registers.
        ends: Out. One bit a loop: the last pass of the loop and of all inside of it. Bit 0: of the nest.
        done: Out. Bit 0 of `ends` as a register.
        further_count, further: with a variation, as in `LoopCounter`.
        entry_stride, further_stride: with a variation, as in `LoopAddress`, of the first operand.
    """

    def __init__(
        self,
        count_bits: Sequence[int],
        address_bits: int,
        *,
        operands: int = 1,
        variation: Variation | None = None,
    ) -> None:
        self.counter = LoopCounter(count_bits, variation)
        levels = len(self.counter.count_bits)
        self.operands = [
            LoopAddress(levels, address_bits, None if operand else variation) for operand in range(operands)
        ]
        members = {
            "start": In(1),
            "step": In(1),
            "count": In(max(self.counter.count_bits)).array(levels),
            "base": In(address_bits).array(operands),
            "stride": In(signed(address_bits)).array(operands, levels),
            "address": Out(address_bits).array(operands),
            "ends": Out(levels),
            "done": Out(1),
        }
        if variation is not None:
            members |= {"further_count": In(variation.count_bits), "further": Out(1)}
            members |= {name: In(signed(address_bits)) for name in ("entry_stride", "further_stride")}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.counter = self.counter
        m.d.comb += [self.counter.start.eq(self.start), self.counter.step.eq(self.step)]
        m.d.comb += [count.eq(given) for count, given in zip(self.counter.count, self.count, strict=True)]
        m.d.comb += [self.ends.eq(self.counter.ends), self.done.eq(self.counter.done)]
        for place, operand in enumerate(self.operands):
            m.submodules[f"operand_{place}"] = operand
            self._connect(m, place, operand)
            if operand.variation is not None:
                self._connect_variation(m, operand)
        return m

    def _connect_variation(self, m: Module, operand: LoopAddress) -> None:
        counter = self.counter
        m.d.comb += [counter.further_count.eq(self.further_count), self.further.eq(counter.further)]
        m.d.comb += [operand.varies.eq(counter.varies), operand.further.eq(counter.further)]
        m.d.comb += operand.entry_stride.eq(self.entry_stride)
        m.d.comb += operand.further_stride.eq(self.further_stride)

    def _connect(self, m: Module, place: int, operand: LoopAddress) -> None:
        m.d.comb += [operand.start.eq(self.start), operand.step.eq(self.step)]
        m.d.comb += [operand.advance.eq(self.counter.advance), operand.base.eq(self.base[place])]
        strides = zip(operand.stride, self.stride[place], strict=True)
        m.d.comb += [stride.eq(given) for stride, given in strides]
        m.d.comb += self.address[place].eq(operand.address)
