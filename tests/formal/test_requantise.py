"""Requantisation in gates is that of `numerics`, for every value, every scale and every zero point."""

from itertools import pairwise
from types import ModuleType

import pytest
from amaranth import Mux, Signal, Value, signed

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import requantise
from tilewright.hw.address import one_of
from tilewright.numerics.requantise import (
    MULTIPLIER_BITS,
    PRODUCT_SHIFT,
    SHIFT_BITS,
    SHIFT_MINIMUM,
    SHIFT_POSITION,
    X_MAXIMUM,
    X_MINIMUM,
)


def shift_bench(unit: ModuleType) -> ProofBench:
    """A scale comes, then results with any cycles between them; each is x three cycles later."""
    bench = ProofBench()
    dut = unit.LaneShift()
    bench.add("dut", dut, driven=tuple(control.as_value() for control in dut.control[1:]))
    _follow_stages(bench, dut.control)
    first = dut.control[0]
    bench.assume(~(first.scale & first.requantise))
    pre = Signal(signed(SHIFT_BITS), name="pre")
    field = dut.t[SHIFT_POSITION : SHIFT_POSITION + SHIFT_BITS].as_signed()
    scaled = bench.flag("scaled", up=first.scale)
    with bench.m.If(first.scale):
        bench.m.d.sync += pre.eq(field)
    # One adder and two shifters, as wide as the longest shift to the left makes them.
    width = unit.LANE_BITS - SHIFT_MINIMUM
    wide, moved, total = (Signal(signed(width + 2), name=name) for name in ("wide", "moved", "total"))
    left, right = (Signal(range(-SHIFT_MINIMUM + 1), name=name) for name in ("left", "right"))
    bench.m.d.comb += [left.eq(Mux(pre < 0, -pre, 0)), right.eq(Mux(pre < 0, 0, pre))]
    bench.m.d.comb += [wide.eq(dut.t << left), total.eq(wide + ((1 << right) >> 1)), moved.eq(total >> right)]
    limit = Mux(moved > X_MAXIMUM, X_MAXIMUM, Mux(moved < X_MINIMUM, X_MINIMUM, moved))
    expected = bench.named(limit[: unit.X_BITS].as_signed(), "expected")
    age = unit.X_STAGE
    due = bench.past(first.requantise & scaled, age, name="due")
    value = bench.past(expected, age, name="expected")
    text = "x is t x 2 ** -pre, rounded half up, saturated"
    bench.claim(text, dut.x == value, when=due)
    kept = ~bench.past(first.requantise, age, name="asked") & bench.past(bench.began, age, name="ran")
    bench.claim("x stays until the next result", dut.x == bench.past(dut.x), when=kept)
    bench.reach("x is rounded", due & (dut.x == 1) & bench.past(pre == 3, age, name="right"))
    bench.reach("x saturates", due & (dut.x == X_MINIMUM))
    _claim_scale(bench, unit, dut, pre, scaled)
    return bench


def _claim_scale(bench: ProofBench, unit: ModuleType, dut, pre: Value, scaled: Value) -> None:
    amount = bench.inner(dut, "shift")
    expected = Mux(pre < -unit.LEFT, 0, pre + unit.LEFT)
    bench.claim("the shift is that of the last scale", amount == expected, when=scaled)
    longer = bench.inner(dut, "longer") == (pre < -unit.LEFT)
    bench.claim("a longer one is known", longer, when=scaled)


def _follow_stages(bench: ProofBench, controls) -> None:
    """What lies in a stage lay in the one before."""
    for before, control in pairwise(controls):
        bench.m.d.sync += control.eq(before)


def group_bench(unit: ModuleType, lanes: int) -> ProofBench:
    """x is that of the shift's own proof: here it may be anything that stays as long as that one does.

    That a product is one is left to the synthesis: the bench multiplies the same operands and looks at what
    they are, and at what becomes of the product.
    """
    bench = ProofBench()
    shifts = bench.cut(unit, "LaneShift")
    dut = unit.LaneGroup(lanes)
    bench.add("dut", dut, driven=tuple(control.as_value() for control in dut.control[1:]))
    _follow_stages(bench, dut.control)
    first = dut.control[0]
    bench.assume(~(first.scale & first.requantise) & (first.valid | ~(first.scale | first.requantise)))
    for age in range(1, lanes):
        bench.assume(~(first.requantise & bench.past(first.requantise, age, name=f"apart_{age}")))
    hits = [control.requantise for control in dut.control[unit.X_STAGE : unit.X_STAGE + lanes]]
    factors = [bench.inner(dut, f"factor_{turn}_1") for turn in range(lanes)]
    xs = [shift.x for shift in shifts]
    x, factor = (one_of(hits, of) if lanes > 1 else of[0] for of in (xs, factors))
    product = Signal(signed(unit.PRODUCT_BITS), name="product")
    bench.m.d.comb += product.eq(x * factor)
    for turn, hit in enumerate(hits):
        _claim_operands(bench, unit, dut, shifts[turn], turn, hit, x, factor)
        kept = Signal.like(product, name=f"product_of_{turn}")
        with bench.m.If(hit):
            bench.m.d.sync += kept.eq(product)
        same = bench.inner(dut, f"product_{turn}") == kept
        bench.claim(f"lane {turn}: its product is kept until all are made", same)
        _claim_result(bench, dut, turn, kept)
    bench.reach("a product is rounded", bench.past(hits[-1], 2, name="rounded") & (dut.y[-1] == 5))
    return bench


def _claim_operands(bench: ProofBench, unit: ModuleType, dut, shift, turn: int, hit, x, factor) -> None:
    """In a lane's turn the multiplier has its x, and the scale that came before it."""
    first = dut.control[0]
    asked = bench.past(first.requantise, unit.X_STAGE, name=f"asked_{turn}")
    bench.assume(asked | (shift.x == bench.past(shift.x, name=f"x_{turn}")))
    last = Signal(MULTIPLIER_BITS, name=f"multiplier_of_{turn}")
    with bench.m.If(first.scale):
        bench.m.d.sync += last.eq(dut.t[turn][:MULTIPLIER_BITS])
    ahead = bench.past(last, unit.X_STAGE + turn - 1, name=f"ahead_{turn}")
    bench.claim(f"lane {turn}: scales follow one another", bench.inner(dut, f"multiplier_{turn}") == ahead)
    used = bench.past(ahead, name=f"used_{turn}")
    own = bench.past(shift.x, turn, name=f"own_{turn}") if turn else shift.x
    bench.claim(f"lane {turn}: x is its own", x == own, when=hit)
    bench.claim(f"lane {turn}: the multiplier is that of the last scale before it", factor == used, when=hit)


def _claim_result(bench: ProofBench, dut, turn: int, product: Value) -> None:
    behind = len(dut.control)
    last = dut.control[-1]
    rounded = ((product + (1 << (PRODUCT_SHIFT - 1))) >> PRODUCT_SHIFT) + last.zero_point
    due = bench.past(last.valid & last.requantise, name=f"due_{turn}")
    expected = bench.past(bench.named(rounded, f"result_{turn}"), name=f"expected_{turn}")
    text = f"lane {turn}: y is (product + half) >> {PRODUCT_SHIFT}, and the zero point"
    bench.claim(text, dut.y[turn] == expected, when=due)
    plain = bench.past(dut.control[0].valid & ~dut.control[0].requantise, behind, name=f"plain_{turn}")
    same = dut.y[turn] == bench.past(dut.t[turn], behind, name=f"t_{turn}")
    bench.claim(f"lane {turn}: what is not requantised passes unchanged", same, when=plain)


PROOFS = (
    Proof(
        name="shift of a lane",
        unit=requantise,
        bench=shift_bench,
        method=Method.INDUCTION,
        cycles=5,
        reach_cycles=6,
        is_slow=True,
        bugs=(
            SeededBug(
                name="half a unit above the limit is rounded to another sign",
                old="~sign & (outside | rounded[X_BITS - 1])",
                new="~sign & outside",
                cycles=6,
            ),
            SeededBug(
                name="shifts to the left longer than the longest leave 1 inside",
                old="saturates = beyond | (longer & window[LEFT + 1])",
                new="saturates = beyond",
                cycles=6,
            ),
        ),
    ),
    *(
        Proof(
            name=f"{lanes} lanes with one multiplier",
            unit=requantise,
            bench=lambda unit, lanes=lanes: group_bench(unit, lanes),
            method=Method.INDUCTION,
            cycles=requantise.X_STAGE + lanes + 2,
            reach_cycles=requantise.X_STAGE + lanes + 4,
            bugs=bugs,
        )
        for lanes, bugs in (
            (
                1,
                (
                    SeededBug(
                        name="halves are rounded down",
                        old="half = product[PRODUCT_SHIFT - 1]",
                        new="half = product[PRODUCT_SHIFT - 1] & product[: PRODUCT_SHIFT - 1].any()",
                        cycles=8,
                    ),
                ),
            ),
            (
                2,
                (
                    SeededBug(
                        name="a scale takes effect a cycle late",
                        old="before = X_STAGE + turn - 1",
                        new="before = X_STAGE + turn",
                        cycles=9,
                    ),
                ),
            ),
        )
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_requantisation_is_that_of_its_definition(proof: Proof) -> None:
    check(proof)
