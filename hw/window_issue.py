"""The sliding window at the front of the vector engine: when it slides, and what each item does to it.

When it slides is said in `isa/sliding.py`: its functions become gates here, by way of all kernels that the
window serves. The first result of a line reads all taps of a row of the kernel, in order; a *further* one the
newest tap of each chunk.
"""

from collections.abc import Sequence
from itertools import product

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from tilewright.hw.address import Variation, one_of
from tilewright.hw.interface import record_layout
from tilewright.isa.config import Config
from tilewright.isa.instruction import ReduceMode, SourceA, SourceB, Vector, VectorOp, specs
from tilewright.isa.sliding import (
    COLUMNS_MAXIMUM,
    WINDOW_TAPS,
    WINDOWS,
    chunks_of_row,
    fits_windows,
    newest_tap,
    taps_apart,
)

_STRIDE_BITS = specs(Vector)["a_stride_3"].bits
_STEPS = range(1, len(COLUMNS_MAXIMUM) + 1)
_KERNELS = tuple(
    (columns, step)
    for columns, step in product(range(1, max(COLUMNS_MAXIMUM) + 1), _STEPS)
    if chunks_of_row(columns, step)
)
"""Columns and step of all kernels that the window can serve."""
_CHUNK_BITS = bits_for(max(chunks_of_row(*kernel) for kernel in _KERNELS))
_TAP_BITS = bits_for(max(newest_tap(*kernel) for kernel in _KERNELS))

VARIATION = Variation(loop=1, count_bits=_CHUNK_BITS)
"""How the loops of an instruction vary: along a line."""

KERNEL = data.StructLayout(
    {
        "chunks": _CHUNK_BITS,
        "newest": _TAP_BITS,
        "entry": bits_for(max(newest_tap(columns, step) + step for columns, step in _KERNELS)),
        "apart": bits_for(max(taps_apart(step) for step in _STEPS)),
        "strided": 1,
    }
)
"""What an instruction is to the window.

Members:
    chunks: of a row; 0: it does not slide.
    newest: the tap that ends the first chunk.
    entry: columns from the first tap of a line's first result to the first that the next result reads.
    apart: columns from the end of a chunk to that of the next one.
    strided: a result is 2 columns further than the one before: chunks are even and odd columns.
"""

WINDOW_CONTROL = data.StructLayout(
    {
        "slides": 1,
        "further": 1,
        "fresh": 1,
        "partial": 1,
        "chunk": range(WINDOWS),
    }
)
"""What a lane's window does with an item.

Members:
    slides: the item's input goes to its chunk, and all taps of that are multiplied.
    further: the weights are those of the chunk; else the item's own goes to it. Only where it slides.
    fresh: it is the first tap of its chunk: older weights are none of it. Where it slides and is not further.
    partial: it is not the last tap of its chunk, and nothing is multiplied. Only where it slides.
    chunk: place of its chunk among those of the kernel, where it slides.
"""


class WindowIssue(wiring.Component):
    """Says of the items of an instruction what they are to the window.

    Latency: as `VectorIssue`. Throughput: one item a cycle.

    Members:
        head: In. The instruction; followed while `ready`.
        ready: In. Nothing of the one before is left to issue.
        stride: In. a_stride_3 of the instruction that issues, from the cycle behind `ready` on.
        item, leave: In. From `VectorSlots`.
        further: In. From the nest: the item is one of a further result.
        row_ends: In. It is the last one of a row of the kernel.
        result_ends: In. It is the last one of a result.
        chunks: Out. Chunks of a row of the kernel of `head`, 0 if nothing slides.
        entry_stride, further_stride: Out. Strides of a for `LoopNest`, registers: right from the second item
            on; no further result comes before `WINDOW_TAPS` items.
        control: Out. What issued in the cycle before, a register.
    """

    def __init__(self, config: Config) -> None:
        self.interval = config.requant_interval
        super().__init__(
            {
                "head": In(record_layout(Vector)),
                "ready": In(1),
                "stride": In(signed(_STRIDE_BITS)),
                "item": In(1),
                "leave": In(1),
                "further": In(1),
                "row_ends": In(1),
                "result_ends": In(1),
                "chunks": Out(_CHUNK_BITS),
                "entry_stride": Out(signed(_STRIDE_BITS)),
                "further_stride": Out(signed(_STRIDE_BITS)),
                "control": Out(WINDOW_CONTROL),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        given, kernel = (Signal(KERNEL, name=name) for name in ("given", "kernel"))
        m.d.comb += [given.eq(_kernel_of(self.head, self.interval)), self.chunks.eq(given.chunks)]
        with m.If(self.ready):
            m.d.sync += kernel.eq(given)
        m.d.sync += self.entry_stride.eq(_multiple(self.stride, kernel.entry))
        m.d.sync += self.further_stride.eq(_multiple(self.stride, kernel.apart))
        row_begins = Signal()
        complete = self._elaborate_complete(m, kernel, row_begins)
        fresh = self._elaborate_fresh(m, kernel, row_begins, complete)
        chunk = self._elaborate_chunk(m, kernel, complete)
        slides = self.item & kernel.chunks.any()
        m.d.sync += [
            self.control.slides.eq(slides),
            self.control.further.eq(self.further),
            self.control.fresh.eq(fresh),
            self.control.partial.eq(slides & ~complete),
            self.control.chunk.eq(chunk),
        ]
        return m

    def _elaborate_complete(self, m: Module, kernel: data.View, row_begins: Signal) -> Value:
        """Whether the item is the last tap of its chunk, by counting down to it."""
        counted = Signal(_TAP_BITS)
        left = Mux(row_begins, kernel.newest, counted)
        again = Mux(kernel.strided, 0, WINDOW_TAPS - 1)
        with m.If(self.ready | self.leave):
            m.d.sync += row_begins.eq(self.ready | self.row_ends)
            m.d.sync += counted.eq(Mux(left == 0, again, left - 1))
        return self.further | (left == 0)

    def _elaborate_fresh(self, m: Module, kernel: data.View, row_begins: Signal, complete: Value) -> Value:
        """Whether the item, of a first result, is the first tap of its chunk.

        It then comes behind the last one of another; chunks of even and of odd columns begin with the first
        two taps of the row.
        """
        begins = Signal()
        with m.If(self.ready | self.leave):
            behind = Mux(kernel.strided, row_begins, complete)
            m.d.sync += begins.eq(self.ready | self.row_ends | behind)
        return begins

    def _elaborate_chunk(self, m: Module, kernel: data.View, complete: Value) -> Value:
        """The item's chunk: the next one behind a complete one, or every other one."""
        low, high = Signal(), Signal(range(WINDOWS // 2))
        with m.If(self.ready | (self.leave & self.result_ends)):
            m.d.sync += Cat(low, high).eq(0)
        with m.Elif(self.leave & kernel.strided):
            m.d.sync += [low.eq(~self.row_ends & ~low), high.eq(high + self.row_ends)]
        with m.Elif(self.leave):
            m.d.sync += Cat(low, high).eq(Cat(low, high) + complete)
        # An odd number of columns begins with one of the second chunk.
        turned = kernel.strided & kernel.newest[0] & ~self.further
        return Cat(low ^ turned, high)


def _kernel_of(head: data.View, requant_interval: int) -> Value:
    """KERNEL of an instruction: all zero where no window slides."""
    hits, kernels = [], []
    steps = _steps_of(head)
    for columns, step in _KERNELS:
        chunks, newest = chunks_of_row(columns, step), newest_tap(columns, step)
        fits = _fits(head.n_2, chunks, requant_interval)
        hits.append(steps[step - 1] & (head.n_3 == columns) & fits)
        constants = {"chunks": chunks, "newest": newest, "entry": newest + step}
        constants |= {"apart": taps_apart(step), "strided": int(step > 1)}
        kernels.append(C(KERNEL.const(constants).as_bits(), KERNEL.size))
    return one_of(hits, kernels)


def _steps_of(head: data.View) -> Sequence[Value]:
    """Whether the columns of the kernel move by 1 from result to result, if the window could slide; by 2."""
    serves = (head.op == VectorOp.MULTIPLY) & (head.reduce == ReduceMode.ADD)
    moves = (head.b_stride_0 != 0) | (head.b_stride_1 != 0)
    serves &= (head.a_from == SourceA.ACTIVATION) & ((head.b_from == SourceB.CONSTANT) | ~moves)
    by_one = head.a_stride_1 == head.a_stride_3
    by_two = head.a_stride_1 == head.a_stride_3 << 1
    return serves & by_one, serves & by_two & ~by_one


def _fits(rows: Value, chunks: int, requant_interval: int) -> Value:
    """`fits_windows`: of all rows from one to another."""
    fitting = [count for count in range(1, WINDOWS + 1) if fits_windows(count, chunks, requant_interval)]
    return (rows >= fitting[0]) & (rows <= fitting[-1])


def _multiple(value: Value, factor: Value) -> Value:
    rows = [Mux(bit, value << place, 0) for place, bit in enumerate(factor)]
    return sum(rows[1:], start=rows[0])
