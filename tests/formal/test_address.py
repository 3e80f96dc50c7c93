"""A nest of loops ends exactly with the product of its counts; addresses are base + sum of pass x stride."""

from collections.abc import Sequence
from types import ModuleType

import pytest
from amaranth import Cat, Mux, Signal, Value

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import address
from tilewright.hw.matrix import LOOPS, count_bits

_ADDRESS_BITS = 6


class Odometer:
    """Passes of nested loops, counted one by one: what the unit's registers are held against.

    Members:
        counts: of the nest in hand, kept from its start.
        passes: before the present one, of each loop.
        started: there was a start.
    """

    def __init__(self, bench: ProofBench, count_bits: Sequence[int], given: Sequence[Value]) -> None:
        self.counts = [Signal(bits, name=f"passes_{level}") for level, bits in enumerate(count_bits)]
        self.passes = [Signal(bits, name=f"pass_{level}") for level, bits in enumerate(count_bits)]
        self.started = Signal(name="started")
        self._given = given
        self._m = bench.m

    def run(self, start: Value, step: Value) -> None:
        """Follow the unit's inputs."""
        carry: Value | int = step
        for count, number, given in reversed(list(zip(self.counts, self.passes, self._given, strict=True))):
            last = number == count - 1
            with self._m.If(start):
                self._m.d.sync += [count.eq(given), number.eq(0)]
            with self._m.Elif(carry):
                self._m.d.sync += number.eq(Mux(last, 0, number + 1))
            carry = carry & last
        with self._m.If(start):
            self._m.d.sync += self.started.eq(1)

    def at_last(self, level: int) -> Value:
        """The loop and all inside of it are at their last pass."""
        pairs = zip(self.passes[level:], self.counts[level:], strict=True)
        return Cat(number == count - 1 for number, count in pairs).all()


def _started(
    bench: ProofBench, dut: address.LoopCounter | address.LoopNest, count_bits: Sequence[int]
) -> Odometer:
    """Counts are at least 1, and nobody steps beyond the end."""
    given = [count[:bits] for count, bits in zip(dut.count, count_bits, strict=True)]
    for count, value in zip(dut.count, given, strict=True):
        bench.assume(~dut.start | ((value != 0) & (count == value)))
    odometer = Odometer(bench, count_bits, given)
    odometer.run(dut.start, dut.step)
    bench.assume(~dut.step | dut.start | (odometer.started & ~odometer.at_last(0)))
    return odometer


def counter_bench(unit: ModuleType, count_bits: Sequence[int], *, product: bool) -> ProofBench:
    """The counter against the odometer; with `product`, the steps against the product of the counts."""
    bench = ProofBench()
    dut = unit.LoopCounter(count_bits)
    bench.add("dut", dut)
    odometer = _started(bench, dut, count_bits)
    for level in range(len(count_bits)):
        ends = odometer.at_last(level)
        inner = odometer.at_last(level + 1) if level + 1 < len(count_bits) else 1
        last = odometer.passes[level] == odometer.counts[level] - 1
        text = f"loop {level}"
        bench.claim(f"{text} ends at its last pass", dut.ends[level] == ends, when=odometer.started)
        bench.claim(
            f"{text} advances when those inside end",
            dut.advance[level] == (~last & inner),
            when=odometer.started,
        )
        _claim_registers(bench, dut, odometer, level)
    bench.claim("done is the end of the nest", dut.done == odometer.at_last(0), when=odometer.started)
    if product:
        _claim_product(bench, dut, odometer)
    bench.reach(
        "a nest of several passes outside and inside ends",
        dut.done & (odometer.counts[0] > 1) & (odometer.counts[-1] > 1),
    )
    return bench


def _claim_registers(bench: ProofBench, dut: address.LoopCounter, odometer: Odometer, level: int) -> None:
    """What induction needs."""
    count, number, started = odometer.counts[level], odometer.passes[level], odometer.started
    registers = {
        name: bench.inner(dut, f"{name}_{level}") for name in ("count", "remaining", "single", "last")
    }
    bench.claim(f"loop {level} is within its count", number < count, when=started)
    bench.claim(f"loop {level} keeps its count", registers["count"] == count, when=started)
    bench.claim(
        f"loop {level} counts down", registers["remaining"] == (count - number)[: len(count)], when=started
    )
    bench.claim(f"loop {level} knows its last pass", registers["last"] == (number == count - 1), when=started)
    bench.claim(f"loop {level} knows if it has but one", registers["single"] == (count == 1), when=started)


def _claim_product(bench: ProofBench, dut: address.LoopCounter, odometer: Odometer) -> None:
    """Steps since the start are the passes as digits of a mixed radix; the end comes with the product."""
    bits = sum(len(count) for count in odometer.counts)
    steps = Signal(bits, name="steps")
    bench.m.d.sync += steps.eq(Mux(dut.start, 0, steps + dut.step))
    place, product = odometer.passes[0], odometer.counts[0]
    for number, count in zip(odometer.passes[1:], odometer.counts[1:], strict=True):
        place, product = place * count + number, product * count
    bench.claim("every iteration comes once, in order", steps == place, when=odometer.started)
    bench.claim(
        "the end comes exactly with the product of the counts",
        dut.done == (steps + 1 == product),
        when=odometer.started,
    )


def nest_bench(unit: ModuleType, count_bits: Sequence[int]) -> ProofBench:
    """Two operands follow one counter; what the counter does, its own proof says."""
    bench = ProofBench()
    dut = unit.LoopNest(count_bits, _ADDRESS_BITS, operands=2)
    bench.add("dut", dut)
    odometer = _started(bench, dut, count_bits)
    for level in range(len(count_bits)):
        _claim_registers(bench, dut.counter, odometer, level)
    bench.claim("done is the end", dut.counter.done == odometer.at_last(0), when=odometer.started)
    bench.claim(
        "ends are those of the counter",
        dut.ends == Cat(odometer.at_last(level) for level in range(len(count_bits))),
        when=odometer.started,
    )
    for place in range(2):
        _claim_address(bench, dut, odometer, place)
    bench.reach("an address in the last iteration", dut.done & (dut.address[1] == 37))
    return bench


def _claim_address(bench: ProofBench, dut: address.LoopNest, odometer: Odometer, place: int) -> None:
    """Base and strides are kept from the start; each loop's register holds the sum down to it."""
    base = Signal(_ADDRESS_BITS, name=f"base_{place}")
    strides = [Signal(_ADDRESS_BITS, name=f"stride_{place}_{level}") for level in range(len(odometer.counts))]
    with bench.m.If(dut.start):
        bench.m.d.sync += base.eq(dut.base[place])
        bench.m.d.sync += [stride.eq(given) for stride, given in zip(strides, dut.stride[place], strict=True)]
    operand, total = dut.operands[place], base
    registers = [bench.inner(operand, f"pass_{level}") for level in range(len(strides) - 1)] + [
        operand.address
    ]
    for level, (number, stride, register) in enumerate(zip(odometer.passes, strides, registers, strict=True)):
        kept = bench.inner(operand, f"stride_{level}")
        bench.claim(
            f"operand {place} keeps stride {level}", kept.as_unsigned() == stride, when=odometer.started
        )
        total = (total + number * stride)[:_ADDRESS_BITS]
        text = f"operand {place}, loop {level}: base + sum of pass x stride down to it"
        bench.claim(text, register == total, when=odometer.started)
    bench.claim(f"operand {place} shows it", dut.address[place] == total, when=odometer.started)


_REAL = tuple(count_bits(LOOPS))
"""Of a matrix instruction: the widest nest."""
_SMALL = (3, 2, 2)

PROOFS = (
    Proof(
        name="loop counter as wide as a matrix instruction's",
        unit=address,
        bench=lambda unit: counter_bench(unit, _REAL, product=False),
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=8,
        bugs=(
            SeededBug(
                name="the end is known without the outer loops",
                old="*(outer.last for outer in loops[:level]),",
                new="*(outer.last for outer in loops[:1]),",
                cycles=12,
            ),
        ),
    ),
    Proof(
        name="loop counter and the product of its counts",
        unit=address,
        bench=lambda unit: counter_bench(unit, _SMALL, product=True),
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=12,
        bugs=(
            SeededBug(
                name="an inner loop starts anew with one pass left out",
                old="m.d.sync += [remaining.eq(anew[0]), last.eq(anew[1])]",
                new="m.d.sync += [remaining.eq(count - ~single), last.eq(single)]",
                cycles=12,
            ),
        ),
    ),
    Proof(
        name="addresses of a loop nest",
        unit=address,
        bench=lambda unit: nest_bench(unit, (2, 2, 2)),
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=5,
        bugs=(
            SeededBug(
                name="an outer step leaves the inner registers",
                old="self.step & self.advance[: level + 1].any()",
                new="self.step & self.advance[level]",
                cycles=8,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_every_iteration_comes_once_with_its_address(proof: Proof) -> None:
    check(proof)
