"""Bursts cover exactly the bytes of a block, in order, and none crosses a boundary of burst_bytes or 4 KB."""

from types import ModuleType

import pytest
from amaranth import Array, Cat, Mux, Signal, Value

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import burst
from tilewright.hw.interface import MEMORY_ADDRESS_BITS
from tilewright.isa.config import PRESETS, Config
from tilewright.isa.instruction import Load
from tilewright.isa.register import BASE_ALIGNMENT_BYTES

_PAGE_BYTES = 4096
"""No burst of AXI may cross a multiple of it."""
_AXES = "zyx"


class ProvenBlock:
    """The block of the instruction in hand, and the run and the beat in it that come next.

    Members:
        head: the instruction.
        wide, dense: its vectors are int32; its rows are runs.
        going: runs are to come.
        beats: of a run; `done`: those requested.
        passes: run number along z, y, x; `counts`: runs along each.
        plane, row, run: address of the first byte of each.
    """

    def __init__(self, bench: ProofBench, unit: ModuleType, dut, config: Config) -> None:
        self.bench, self.dut, self.transfers = bench, dut, dut.transfers
        head = dut.head
        starts = bench.named(dut.start & (head.n_y != 0) & (head.n_x != 0), "starts")
        self.setup = bench.past(starts, name="setup")
        self.head = Signal(head.shape(), name="block")
        self.base = Signal(MEMORY_ADDRESS_BITS, name="base")
        with bench.m.If(starts):
            bench.m.d.sync += [self.head.eq(head), self.base.eq(Array(dut.bases)[head.base])]
        self.wide = bench.named(unit.holds_wide(self.head.memory), "is_wide")
        self.dense = bench.named(self.head.stride_x == self.choose(lambda t: t.vector_bytes), "is_dense")
        vectors = Mux(self.dense, self.head.n_x, 1)
        self.beats = bench.named(self.choose(lambda t: vectors << t.vector_beats_log2), "run_beats")
        self.counts = (self.head.n_z, self.head.n_y, Mux(self.dense, 1, self.head.n_x))
        self.passes = [
            Signal(count.shape(), name=f"run_{axis}") for axis, count in zip(_AXES, self.counts, strict=True)
        ]
        self.begun = [Signal(MEMORY_ADDRESS_BITS, name=f"{name}_byte") for name in ("plane", "row", "run")]
        self.done = Signal(len(self.beats) + 1, name="done_beats")
        self.going = Signal(name="going")

    def choose(self, what) -> Value:
        """Of the transfer in use."""
        return self.transfers.choose(self.wide, what)

    def follow(self, push: Value, beats: Value) -> None:
        """A burst of as many beats is requested."""
        m = self.bench.m
        run_ends = self.done + beats == self.beats
        last = [number == count - 1 for number, count in zip(self.passes, self.counts, strict=True)]
        strides = (self.head.stride_z, self.head.stride_y, self.head.stride_x)
        with m.If(self.setup):
            m.d.sync += [address.eq(self.base + self.head.offset) for address in self.begun]
            m.d.sync += [number.eq(0) for number in self.passes]
            m.d.sync += [self.done.eq(0), self.going.eq(1)]
        with m.Elif(push & ~run_ends):
            m.d.sync += self.done.eq(self.done + beats)
        with m.Elif(push):
            m.d.sync += self.done.eq(0)
            with m.If(Cat(last).all()):
                m.d.sync += self.going.eq(0)
            for level in range(len(last)):
                inner = Cat(last[level + 1 :]).all() if level + 1 < len(last) else 1
                with m.If(inner & ~last[level]):
                    following = self.begun[level] + strides[level]
                    m.d.sync += self.passes[level].eq(self.passes[level] + 1)
                    m.d.sync += [number.eq(0) for number in self.passes[level + 1 :]]
                    m.d.sync += [address.eq(following) for address in self.begun[level:]]
        self.run_ends, self.is_last = run_ends, run_ends & Cat(last).all()


def burst_bench(unit: ModuleType, config: Config) -> ProofBench:
    """Any legal load; that requested bursts wait in their order, the proof of the queue says."""
    bench = ProofBench()
    queues = bench.cut(unit, "Queue")
    dut = unit.BurstGenerator(config, Load)
    bench.add("dut", dut)
    (queue,) = queues
    _assume_legal(bench, dut, config)
    block = ProvenBlock(bench, unit, dut, config)
    item, push = queue.item, queue.push
    beats = bench.named(item.beats_minus_1 + 1, "beats")
    block.follow(push, beats)
    bench.assume(~dut.start | dut.ready)
    busy = bench.flag(
        "busy", up=dut.start & (dut.head.n_y != 0) & (dut.head.n_x != 0), down=queue.pop & queue.head.last
    )
    # The last burst leaves the queue when it has come into it.
    bench.assume(~(queue.valid & queue.head.last) | (busy & ~block.setup & ~block.going))
    bench.claim("it is ready while no burst is to come", dut.ready == ~busy)
    _claim_bursts(bench, block, config, item, push, beats)
    _claim_registers(bench, dut, block, busy)
    bench.reach("a second run begins", push & (block.passes[1] == 1))
    bench.reach("a run of two bursts ends", push & block.run_ends & (block.done != 0))
    return bench


def _assume_legal(bench: ProofBench, dut, config: Config) -> None:
    """The decoder's own proof; base registers are aligned as the registers' own proof says."""
    head, transfers = dut.head, dut.transfers
    wide = burst.holds_wide(head.memory)
    mask = transfers.choose(wide, lambda t: (1 << t.beat_bytes_log2) - 1)
    for name in ("offset", "stride_z", "stride_y", "stride_x"):
        bench.assume((head[name] & mask) == 0)
    bench.assume(head.n_z != 0)
    for base in dut.bases:
        bench.assume(base % BASE_ALIGNMENT_BYTES == 0)


def _claim_bursts(
    bench: ProofBench, block: ProvenBlock, config: Config, item, push: Value, beats: Value
) -> None:
    shift = block.choose(lambda t: t.beat_bytes_log2)
    bench.claim("bursts come only of a block", block.going, when=push)
    bench.claim("they are of its beats", item.size == shift, when=push)
    expected = (block.begun[-1] + (block.done << shift))[:MEMORY_ADDRESS_BITS]
    bench.claim("each begins where the one before in its run ended", item.address == expected, when=push)
    bench.claim("none goes beyond its run", block.done + beats <= block.beats, when=push)
    bench.claim("the last is known, and comes once", item.last == block.is_last, when=push)
    taken = bench.named(beats << shift, "burst_bytes")
    within = (item.address % config.burst_bytes) + taken
    bench.claim("none crosses a multiple of burst_bytes", within <= config.burst_bytes, when=push)
    bench.claim(
        "each reaches the boundary or its run's end",
        block.run_ends | (within == config.burst_bytes),
        when=push,
    )
    page = (item.address % _PAGE_BYTES) + taken
    bench.claim("none crosses a multiple of 4 KB", page <= _PAGE_BYTES, when=push)
    bench.claim(
        "each begins at a beat",
        (item.address & (block.choose(lambda t: (1 << t.beat_bytes_log2) - 1))) == 0,
        when=push,
    )


def _claim_registers(bench: ProofBench, dut, block: ProvenBlock, busy: Value) -> None:
    """What induction needs."""
    going = block.going
    bench.claim(
        "a block is set up before its runs come", ~(block.setup & going) & (busy | ~(block.setup | going))
    )
    for name, mine in (
        ("_taken", block.head),
        ("_base", block.base),
        ("_wide", block.wide),
        ("_dense", block.dense),
    ):
        its = Value.cast(getattr(dut, name))
        bench.claim(f"the instruction is kept ({name[1:]})", its == Value.cast(mine), when=busy)
    mask = block.choose(lambda t: (1 << t.beat_bytes_log2) - 1)
    names = ("offset", "stride_z", "stride_y", "stride_x")
    legal = Cat((block.head[name] & mask) == 0 for name in names).all() & (block.head.n_z != 0)
    legal &= (block.head.n_y != 0) & (block.head.n_x != 0)
    bench.claim("it is a legal one", legal & (block.base % BASE_ALIGNMENT_BYTES == 0), when=busy)
    bench.claim("it is set up a cycle behind its start", dut._setup == block.setup)
    bench.claim("it goes on until the last burst", bench.inner(dut, "active") == going)
    bench.claim("a run begins at its first burst", dut._first == (block.done == 0), when=going)
    for name, address in zip(("plane", "row", "run"), block.begun, strict=True):
        bench.claim(f"the address of the {name} is kept", bench.inner(dut, name) == address, when=going)
        bench.claim(f"the {name} begins at a beat", (address & mask) == 0, when=going)
    for level, (number, count) in enumerate(zip(block.passes, block.counts, strict=True)):
        registers = {
            name: bench.inner(dut._counter, f"{name}_{level}")
            for name in ("count", "remaining", "single", "last")
        }
        right = (registers["count"] == count) & (registers["remaining"] == count - number)
        right &= (registers["last"] == (number == count - 1)) & (registers["single"] == (count == 1))
        bench.claim(f"runs are counted along {_AXES[level]}", right & (number < count), when=going)
    _claim_place(bench, dut, block)


def _claim_place(bench: ProofBench, dut, block: ProvenBlock) -> None:
    """How far the run has come, in bursts from the boundary before it."""
    going, run, done = block.going, block.begun[-1], block.done
    length, full = block.beats - 1, block.choose(lambda t: (1 << t.burst_beats_log2) - 1)
    low = bench.named(block.choose(lambda t: run[t.beat_bytes_log2 : dut.boundary]), "low_beat")
    end, place = bench.named(low + length, "last_beat"), bench.named(low + done, "next_beat")

    def bursts(beat: Value) -> Value:
        return block.choose(lambda t: beat >> t.burst_beats_log2)

    bench.claim("beats are left in the run", done < block.beats, when=going)
    bench.claim("the run's beats are counted", bench.inner(dut, "length") == length, when=going)
    bench.claim("a long run is known", bench.inner(dut, "long") == (bursts(length) != 0), when=going)
    later = going & (done != 0)
    bench.claim("all bursts but the first begin at a boundary", (place & full) == 0, when=later)
    bench.claim(
        "the bursts left are counted", bench.inner(dut, "left") + bursts(place) == bursts(end) + 1, when=later
    )
    bench.claim("the beats of the last one are known", bench.inner(dut, "tail") == (end & full), when=later)
    shift = block.choose(lambda t: t.beat_bytes_log2)
    next_byte = (run + (done << shift))[:MEMORY_ADDRESS_BITS]
    bench.claim(
        "the next block is known", (bench.inner(dut, "block") << dut.boundary) == next_byte, when=later
    )


def _bursts(name: str, *bugs: SeededBug) -> Proof:
    return Proof(
        name=f"bursts of {name}",
        unit=burst,
        bench=lambda unit: burst_bench(unit, PRESETS[name]),
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=8,
        bugs=bugs,
        is_slow=True,
    )


PROOFS = (
    _bursts(
        "tiny",
        SeededBug(
            name="a run that fits into a burst is taken to fit into this one",
            old="fits = ~long & (length[:BEATS_BITS] <= full ^ low)",
            new="fits = ~long",
            cycles=6,
        ),
        SeededBug(
            name="the last burst of a run is a full one",
            old="Mux(final, tail, full)",
            new="full",
            cycles=8,
        ),
    ),
    _bursts("reference"),
    _bursts("large-128"),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_bursts_cover_a_block_and_cross_no_boundary(proof: Proof) -> None:
    check(proof)
