"""A request never leaves the bank of its operand's first address, and its data comes back."""

from types import ModuleType

import pytest
from amaranth import Array, Mux, Signal

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import request
from tilewright.isa.config import PRESETS
from tilewright.isa.memory import Memory

_CONFIG = PRESETS["tiny"]
_ADDRESS_BITS = 20
_SLICES = 4


def request_bench(unit: ModuleType, memory: Memory, slices: int) -> ProofBench:
    """Addresses are numbers: bank, vector and slice by division."""
    bench = ProofBench()
    dut = unit.BankRequest(_CONFIG, memory, address_bits=_ADDRESS_BITS, slices=slices)
    bench.add("dut", dut)
    depth = _CONFIG.depth(memory)
    home, started = Signal(_ADDRESS_BITS, name="home_bank"), bench.flag("started", up=dut.start)
    with bench.m.If(dut.start):
        bench.m.d.sync += home.eq(dut.base // (depth * slices))
    bank = dut.address // (depth * slices)
    inside = bench.named(dut.valid & (bank == home), "inside")
    bench.assume(~started | (home < _CONFIG.banks(memory)))
    kept = bench.inner(dut, "home") == home
    bench.claim("it keeps the bank of the first address", kept, when=started)
    bench.claim("an address of another bank is found", dut.outside == (dut.valid & ~inside), when=started)
    before = bench.past(started, name="started_before")
    bench.claim(
        "what is inside is asked for, nothing else", dut.request.enable == bench.past(inside), when=before
    )
    asked = before & dut.request.enable
    address = bench.past(dut.address, name="address")
    bench.claim("of the operand's bank", dut.request.bank == address // (depth * slices), when=asked)
    bench.claim("of the vector of the address", dut.request.vector == (address // slices) % depth, when=asked)
    bench.claim("and its slice", dut.slice == address % slices, when=asked)
    bench.reach("a request of the last vector", asked & (dut.request.vector == depth - 1))
    bench.reach("an address outside", started & dut.outside)
    return bench


def return_bench(unit: ModuleType, memory: Memory) -> ProofBench:
    """The outputs of the banks may be anything."""
    bench = ProofBench()
    dut = unit.BankReturn(_CONFIG, memory)
    bench.add("dut", dut)
    age = unit.READ_LATENCY + 1
    asked = bench.past(dut.request.enable, age, name="asked")
    bank = bench.past(dut.request.bank, age, name="bank")
    outputs = Array(bench.past(output) for output in dut.data)
    text = "the vector is what the asked bank put out two cycles after the request, else 0"
    bench.claim(text, dut.vector == Mux(asked, outputs[bank], 0))
    bench.reach("a vector comes", dut.vector != 0)
    return bench


PROOFS = (
    Proof(
        name="requests of vectors",
        unit=request,
        bench=lambda unit: request_bench(unit, Memory.ACCUMULATOR, 1),
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=4,
        bugs=(
            SeededBug(
                name="the bank of the last address counts",
                old="with m.If(self.start):",
                new="with m.If(self.start | self.valid):",
                cycles=5,
            ),
        ),
    ),
    Proof(
        name="requests of slices",
        unit=request,
        bench=lambda unit: request_bench(unit, Memory.ACTIVATION, _SLICES),
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=4,
        bugs=(
            SeededBug(
                name="a bank is as deep in slices as in vectors",
                old="self.slice_bits + exact_log2(config.depth(memory))",
                new="exact_log2(config.depth(memory))",
                cycles=5,
            ),
        ),
    ),
    Proof(
        name="data of requests",
        unit=request,
        bench=lambda unit: return_bench(unit, Memory.ACTIVATION),
        method=Method.INDUCTION,
        cycles=3,
        reach_cycles=5,
        bugs=(
            SeededBug(
                name="a bank that was not asked answers",
                old="asked.eq(request.enable << request.bank)",
                new="asked.eq(1 << request.bank)",
                cycles=6,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_requests_stay_in_their_bank(proof: Proof) -> None:
    check(proof)
