"""A lane saturates, adds, compares, reduces and biases as the machine's page says."""

from itertools import pairwise
from types import ModuleType

import pytest
from amaranth import Mux, Signal, Value, signed

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import vector_lane
from tilewright.isa.instruction import ReduceMode, VectorOp

_PRODUCTS = (VectorOp.MULTIPLY, VectorOp.MULTIPLY_ADD)


def saturation_bench(unit: ModuleType) -> ProofBench:
    """Every number of as many bits as a sum has, to each width that the lanes use."""
    bench = ProofBench()
    value = bench.any_value(signed(unit.LANE_BITS + 1), "value")
    for bits in (unit.RIGHT_BITS, unit.LEFT_BITS, unit.LANE_BITS):
        limit = 1 << (bits - 1)
        nearest = Mux(value >= limit, limit - 1, Mux(value < -limit, -limit, value))
        found = bench.named(unit.saturated(value, bits), f"saturated_{bits}")
        bench.claim(f"it is the nearest number of {bits} bits", found == nearest)
        bench.reach(f"a number too low for {bits} bits", found == -limit)
    return bench


def lane_bench(unit: ModuleType) -> ProofBench:
    """Items and parameters in any order, all operations but products."""
    bench = ProofBench()
    dut = unit.VectorLane()
    bench.add("dut", dut, driven=tuple(control.as_value() for control in dut.control[1:]))
    for before, control in pairwise(dut.control):
        bench.m.d.sync += control.eq(before)
    first, source = dut.control[0], dut.source
    for product in _PRODUCTS:
        bench.assume(first.op != product)
    bench.assume(first.valid | ~first.bias)
    a = source.a_activation | source.a_accumulator | Mux(first.parameter, source.parameter, 0)
    b = source.b_activation | source.b_accumulator | source.parameter | source.constant
    item = bench.named(_operation(unit, first, a.as_signed(), b.as_signed()), "item")
    result = bench.past(item, unit.LANE_LATENCY - 2, name="item")
    control = dut.control[unit.LANE_LATENCY - 2]
    reduction, bias = (Signal(signed(unit.LANE_BITS), name=name) for name in ("reduced", "kept_bias"))
    reduced = {
        ReduceMode.ADD: (reduction + result)[: unit.LANE_BITS].as_signed(),
        ReduceMode.MAXIMUM: Mux(reduction > result, reduction, result),
        ReduceMode.MINIMUM: Mux(reduction < result, reduction, result),
    }
    with bench.m.If(control.valid & control.first):
        bench.m.d.sync += reduction.eq(result)
    for mode, value in reduced.items():
        with bench.m.If(control.valid & ~control.first & (control.reduce == mode)):
            bench.m.d.sync += reduction.eq(value)
    bench.assume(first.first | (first.reduce != ReduceMode.NONE))
    with bench.m.If(control.bias):
        bench.m.d.sync += bias.eq(result)
    bench.claim("items are reduced as their instruction says", bench.inner(dut, "reduction") == reduction)
    bench.claim("the bias is that of the last parameter", bench.inner(dut, "bias") == bias)
    last = dut.control[unit.LANE_LATENCY - 1]
    total = reduction + Mux(last.add_bias, bias, 0)
    limit = 1 << (unit.LANE_BITS - 1)
    nearest = Mux(total >= limit, limit - 1, Mux(total < -limit, -limit, total))
    expected = bench.past(bench.named(nearest, "nearest"), name="nearest")
    due = bench.past(last.valid, name="due")
    bench.claim("t is the reduction and the bias, saturated", dut.t == expected, when=due)
    bench.reach("a sum saturates", due & (dut.t == limit - 1) & bench.past(last.add_bias, name="biased"))
    return bench


def _operation(unit: ModuleType, control: Value, a: Value, b: Value) -> Value:
    """docs/machine.md, Meaning, modulo 2 ** 32."""
    sums = {VectorOp.ADD: a + b, VectorOp.SUBTRACT: a - b}
    compared = {VectorOp.MAXIMUM: Mux(a > b, a, b), VectorOp.MINIMUM: Mux(a < b, a, b)}
    result = a
    for op, value in (sums | compared).items():
        result = Mux(control.op == op, value, result)
    return result[: unit.LANE_BITS].as_signed()


PROOFS = (
    Proof(
        name="saturation",
        unit=vector_lane,
        bench=saturation_bench,
        method=Method.ANY_STATE,
        cycles=1,
        reach_cycles=1,
        bugs=(
            SeededBug(
                name="the sign alone does not tell",
                old="above.all() | ~above.any()",
                new="~above.any()",
                cycles=1,
            ),
        ),
    ),
    Proof(
        name="lane without products",
        unit=vector_lane,
        bench=lane_bench,
        method=Method.INDUCTION,
        cycles=5,
        reach_cycles=9,
        is_slow=True,
        bugs=(
            SeededBug(
                name="a minimum is a maximum",
                old="base.eq(Mux(less, a, b))",
                new="base.eq(Mux(less, b, a))",
                cycles=8,
            ),
            SeededBug(
                name="the biased sum wraps",
                old="t.eq(saturated(reduction + Mux(control.add_bias, bias, 0), LANE_BITS))",
                new="t.eq(reduction + Mux(control.add_bias, bias, 0))",
                cycles=9,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_a_lane_computes_what_the_page_says(proof: Proof) -> None:
    check(proof)
