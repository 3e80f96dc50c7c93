"""A bank gives back what was written last."""

from dataclasses import replace
from types import ModuleType

import pytest
from amaranth import Array, Cat, Mux, Signal

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import memory
from tilewright.isa.config import PRESETS
from tilewright.isa.memory import Memory

_CONFIG = replace(PRESETS["tiny"], activation_banks=2, activation_vectors=16)


def memory_bench(unit: ModuleType) -> ProofBench:
    """One vector is followed, whichever it is. Claims see to it that users of a bank do not meet."""
    bench = ProofBench()
    dut = unit.BankedMemory(_CONFIG, Memory.ACTIVATION, readers=2, writers=2)
    bench.add("dut", dut)
    bank = bench.any_constant(1, "bank")
    vector = bench.any_constant(len(dut.read[0].vector), "vector")
    for one, other in ((dut.read[0], dut.read[1]), (dut.write[0], dut.write[1])):
        bench.assume(~(one.enable & other.enable & (one.bank == other.bank)))
    for read in dut.read:
        for write in dut.write:
            same = (read.bank == write.bank) & (read.vector == write.vector)
            bench.assume(~(read.enable & write.enable & same))
    written = [write.enable & (write.bank == bank) & (write.vector == vector) for write in dut.write]
    asked = Cat(read.enable & (read.bank == bank) & (read.vector == vector) for read in dut.read).any()
    content = Signal(len(dut.write[0].data), name="content")
    for hit, write in zip(written, dut.write, strict=True):
        with bench.m.If(hit):
            bench.m.d.sync += content.eq(write.data)
    output = Array(dut.data)[bank]
    expected = bench.past(Mux(asked, content, 0), 2, name="expected")
    came = bench.past(asked, 2, name="asked")
    bench.claim("a read gives what was written last, two cycles later", output == expected, when=came)
    others = Cat(read.enable & (read.bank == bank) for read in dut.read).any()
    kept = output == bench.past(output)
    bench.claim(
        "else the output of the bank stays",
        kept,
        when=~bench.past(others, 2, name="read") & bench.past(bench.began, 2, name="ran"),
    )
    rows = Array(bench.stored(dut, f"bank_{place}", vector) for place in range(2))
    bench.claim("the vector lies in its bank", rows[bank] == content)
    bench.reach("what was written is read", came & (output != 0))
    return bench


PROOFS = (
    Proof(
        name="banked memory",
        unit=memory,
        bench=memory_bench,
        method=Method.INDUCTION,
        cycles=2,
        map_memories=False,
        reach_cycles=6,
        bugs=(
            SeededBug(
                name="a writer of another bank writes here",
                old="hits = [request.enable & (request.bank == bank) for request in self.write]",
                new="hits = [request.enable for request in self.write]",
                cycles=6,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_what_was_written_last_is_read(proof: Proof) -> None:
    check(proof)
