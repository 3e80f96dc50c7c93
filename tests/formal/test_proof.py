"""A proof that fails says what, where and how; one that proves nothing, or has become stale, fails too."""

from dataclasses import replace
from types import ModuleType

import pytest

from formal import proof, test_fault
from formal.proof import Method, Proof, SeededBug, check, run_proof
from formal.proof_bench import ProofBench
from formal.solver import missing_tools
from tilewright.hw import bus_monitor, fault

needs_tools = pytest.mark.skipif(bool(missing_tools()), reason="pip install 'tilewright[test]'")


def false_bench(unit: ModuleType) -> ProofBench:
    bench = ProofBench()
    dut = unit.FaultRecorder()
    bench.add("dut", dut)
    bench.claim("no fault is ever on record", ~dut.halted)
    bench.reach("a fault of number 7", dut.halted & (dut.record.index == 7))
    return bench


def _proof(**fields: object) -> Proof:
    plain = {"name": "false", "unit": fault, "bench": false_bench, "method": Method.INDUCTION, "cycles": 1}
    return Proof(**(plain | {"bugs": ()} | fields))


@needs_tools
def test_a_broken_claim_is_told_with_its_line_and_the_cycles_up_to_it():
    with pytest.raises(AssertionError) as caught:
        run_proof(_proof())
    lines = str(caught.value).splitlines()
    line = false_bench.__code__.co_firstlineno + 4
    assert f"does not hold: no fault is ever on record (tests/formal/test_proof.py:{line})" in lines
    rows = {cells[0]: cells[1:] for cells in map(str.split, lines)}
    assert rows["in"] == ["cycle", "0", "1"]
    assert rows["halted"] == ["0", "1"]
    assert rows["dut.now"][0] == "1"


@needs_tools
def test_a_goal_out_of_reach_fails():
    bench = test_fault.PROOFS[0]
    with pytest.raises(AssertionError, match="not all reached in 1 cycles:\na fault of the last engine"):
        run_proof(replace(bench, reach_cycles=1, bugs=()))


@needs_tools
def test_a_bug_that_breaks_no_claim_fails():
    harmless = SeededBug(name="none", old="engine = Signal(3)", new="engine = Signal(3, name='e')", cycles=3)
    with pytest.raises(AssertionError, match="no claim breaks in 3 cycles with the bug 'none'"):
        run_proof(replace(test_fault.PROOFS[0], bugs=(harmless,)))


def test_a_bug_whose_text_is_gone_is_stale():
    stale = SeededBug(name="stale", old="no such text", new="", cycles=1)
    with pytest.raises(ValueError, match=r"bus_monitor\.py must have 'no such text' once, not 0 times"):
        proof.copy_of(bus_monitor, stale)


def test_proofs_are_skipped_without_a_solver_but_not_in_continuous_integration(monkeypatch):
    monkeypatch.setattr(proof, "missing_tools", lambda: ("yices-smt2",))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="yices-smt2 missing"):
        check(_proof())
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(proof, "run_proof", lambda asked: pytest.fail("it runs"))
    with pytest.raises(pytest.fail.Exception, match="it runs"):
        check(_proof())


@needs_tools
def test_equal_free_inputs_stay_apart():
    """A simplification that made one of two free values would prove what is false."""

    def bench_of(unit: ModuleType) -> ProofBench:
        bench = ProofBench()
        one, other = bench.any_value(1, "one"), bench.any_value(1, "other")
        fixed = bench.any_constant(1, "fixed")
        bench.claim("trivial", bench.began | ~bench.began)
        bench.reach("they differ", one & ~other & fixed)
        bench.reach("they differ the other way", ~one & other & ~fixed)
        return bench

    run_proof(_proof(bench=bench_of, reach_cycles=2))
