"""The host's registers answer every access once, and a running program keeps what it was started with."""

from types import ModuleType

import pytest
from amaranth import Cat, Signal, Value

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import registers
from tilewright.isa.config import PRESETS
from tilewright.isa.register import (
    ALIGNED,
    BASE_ALIGNMENT_BYTES,
    REGISTERS,
    WORD_BYTES,
    Control,
    RegisterAccess,
)

_CONFIG = PRESETS["tiny"]
_WRITTEN = {
    name: row for name, row in REGISTERS.items() if row.access is RegisterAccess.WRITE and name != "control"
}


def register_bench(unit: ModuleType) -> ProofBench:
    """A host that keeps to AXI4-Lite; every word that can be written is followed."""
    bench = ProofBench()
    dut = unit.Registers(_CONFIG)
    bench.add("dut", dut)
    for channel, payload in (("aw", "awaddr"), ("w", "wdata"), ("w", "wstrb"), ("ar", "araddr")):
        valid, ready, value = (
            getattr(dut, f"s_axi_{pin}") for pin in (f"{channel}valid", f"{channel}ready", payload)
        )
        waited = bench.past(valid & ~ready)
        bench.assume(~waited | (valid & (value == bench.past(value))))
    bench.stable("a write's answer", dut.s_axi_bvalid, dut.s_axi_bready)
    bench.stable("a read's answer", dut.s_axi_rvalid, dut.s_axi_rready, dut.s_axi_rdata)
    address, data, mask, write = _claim_writes(bench, dut)
    looking, followed = _claim_reads(bench, dut)
    words = _claim_words(bench, unit, dut, address, data, mask, write, looking, followed)
    _claim_program(bench, dut, words)
    _claim_control(bench, dut, address, data & mask, write)
    return bench


def _claim_writes(bench: ProofBench, dut) -> tuple[Value, Value, Value, Value]:
    """Each write is answered once, behind its address and data; what is in hand: address, data, mask."""
    taken = {
        name: getattr(dut, f"s_axi_{name}valid") & getattr(dut, f"s_axi_{name}ready")
        for name in ("aw", "w", "b")
    }
    write = Signal(name="write")
    has_address, has_data = (
        bench.flag(f"has_{name}", up=taken[channel], down=write)
        for name, channel in (("address", "aw"), ("data", "w"))
    )
    bench.m.d.comb += write.eq(has_address & has_data & ~dut.s_axi_bvalid)
    address, data, strobe = (
        Signal(registers.ADDRESS_BITS, name="address"),
        Signal(registers.WORD_BITS, name="data"),
        Signal(WORD_BYTES, name="strobe"),
    )
    with bench.m.If(taken["aw"]):
        bench.m.d.sync += address.eq(dut.s_axi_awaddr)
    with bench.m.If(taken["w"]):
        bench.m.d.sync += [data.eq(dut.s_axi_wdata), strobe.eq(dut.s_axi_wstrb)]
    bench.claim("one address is in hand at most", dut.s_axi_awready == ~has_address)
    bench.claim("one word is in hand at most", dut.s_axi_wready == ~has_data)
    answered = bench.flag("answer_due", up=write, down=taken["b"])
    bench.claim("a write is answered once, when its address and data are there", dut.s_axi_bvalid == answered)
    for name, value in (("address", address), ("data", data), ("strobe", strobe)):
        held = has_address if name == "address" else has_data
        bench.claim(f"the write's {name} is kept", bench.inner(dut, f"write_{name}") == value, when=held)
    bench.claim("its address is known", bench.inner(dut, "has_address") == has_address)
    bench.claim("its data is known", bench.inner(dut, "has_data") == has_data)
    bench.reach("a write is answered", taken["b"])
    return address, data, Cat(bit.replicate(8) for bit in strobe), write


def _claim_reads(bench: ProofBench, dut) -> tuple[Value, Value]:
    """An address is taken unless one is in hand, and answered two cycles later."""
    taken = dut.s_axi_arvalid & dut.s_axi_arready
    done = dut.s_axi_rvalid & dut.s_axi_rready
    looking = bench.past(taken, name="looking")
    due = bench.flag("read_due", up=looking, down=done)
    bench.claim("a read is answered once, two cycles behind its address", dut.s_axi_rvalid == due)
    bench.claim("a read can be asked whenever none is in hand", dut.s_axi_arready == ~(looking | due))
    bench.claim("a read is looked up or answered, not both", ~(looking & due))
    bench.claim("it looks in the cycle between", bench.inner(dut, "looking") == looking)
    status = REGISTERS["status"].offset
    flags = Cat(dut.running, dut.done, dut.faulted, dut.bus_idle, dut.interrupt)
    followed = bench.past(dut.s_axi_araddr)
    asked = bench.past(looking & (followed == status), name="status_asked")
    bench.claim(
        "status can always be read", dut.s_axi_rvalid & (dut.s_axi_rdata == bench.past(flags)), when=asked
    )
    bench.claim("the address of a read is kept", bench.inner(dut, "read_address") == followed, when=looking)
    bench.reach("the status is read", asked)
    return looking, followed


def _claim_words(
    bench: ProofBench, unit: ModuleType, dut, address, data, mask, write, looking, followed
) -> dict[str, Value]:
    """Registers as the host's writes make them, byte by byte; read, they are that."""
    result = {}
    for name, row in _WRITTEN.items():
        words = []
        for place in range(row.words):
            word = Signal(unit.WORD_BITS, name=f"{name}_word_{place}")
            low = BASE_ALIGNMENT_BYTES - 1 if name in ALIGNED and place == 0 else 0
            with bench.m.If(write & (address // WORD_BYTES == row.offset // WORD_BYTES + place)):
                bench.m.d.sync += word.eq(((data & mask) | (word & ~mask)) & ~low)
            words.append(word)
        result[name] = Cat(*words)
        bench.claim(f"{name} is what was written", dut._written[name] == result[name])
        if name in ALIGNED:
            bench.claim(
                f"{name} is a multiple of {BASE_ALIGNMENT_BYTES}", result[name] % BASE_ALIGNMENT_BYTES == 0
            )
        asked = bench.past(looking & (followed == row.offset), name=f"{name}_asked")
        bench.claim(f"{name} reads as it was written", dut.s_axi_rdata == bench.past(words[0]), when=asked)
    return result


def _claim_program(bench: ProofBench, dut, words: dict[str, Value]) -> None:
    """The program's copy changes with a start alone."""
    program, captured = dut.program, bench.past(dut.capture, name="captured")
    kept = program.as_value() == bench.past(program.as_value())
    bench.claim("writes do not change the program that runs", kept, when=bench.began & ~captured)
    copies = {
        "program_address": program.address,
        "program_length": program.length,
        "timeout": program.timeout,
    }
    copies |= {f"base_{index}": base for index, base in enumerate(program.bases)}
    for name, copy in copies.items():
        bench.claim(f"a start takes {name}", copy == bench.past(words[name]), when=captured)
    digest = int.from_bytes(_CONFIG.digest(), "little")
    mismatch = bench.past(words["expected_digest"] != digest)
    bench.claim(
        "a start tells a program of another configuration", program.mismatch == mismatch, when=captured
    )
    bench.reach(
        "a program is kept while the host writes the next",
        ~captured & (program.length == 7) & (words["program_length"] == 9),
    )


def _claim_control(bench: ProofBench, dut, address, bits, write) -> None:
    asked = write & (address // WORD_BYTES == REGISTERS["control"].offset // WORD_BYTES)
    for bit, signal in (
        (Control.START, dut.start),
        (Control.RESET, dut.reset),
        (Control.ACKNOWLEDGE, dut.acknowledge),
    ):
        name = (bit.name or "").lower()
        bench.claim(
            f"{name} is asked for by a write of its bit, in one cycle", signal == (asked & (bits & bit).any())
        )


PROOFS = (
    Proof(
        name="registers",
        unit=registers,
        bench=register_bench,
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=9,
        is_slow=True,
        bugs=(
            SeededBug(
                name="writes reach the program that runs",
                old="with m.If(self.capture):",
                new="with m.If(self.capture | self.running):",
                cycles=8,
            ),
            SeededBug(
                name="a write takes bytes that it does not strobe",
                old="((data & mask) | (register & ~mask))",
                new="(data | (register & ~mask))",
                cycles=8,
            ),
            SeededBug(
                name="an answer is lost if the host is slow",
                old="with m.If(self.s_axi_bvalid & self.s_axi_bready):",
                new="with m.If(self.s_axi_bvalid):",
                cycles=8,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_a_program_keeps_what_it_was_started_with(proof: Proof) -> None:
    check(proof)
