"""Fetch asks for the program once, in order, into room that it has, and dispatches what was found well."""

from types import ModuleType

import pytest
from amaranth import Mux, Signal

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from formal.queue_contract import keep_contract
from tilewright.hw import fetch
from tilewright.isa.config import INSTRUCTION_BYTES, PRESETS, Config
from tilewright.isa.fault import Cause
from tilewright.isa.memory import Engine


def reader_bench(unit: ModuleType, config: Config) -> ProofBench:
    """A program of any length, anywhere; a bus that gives the beats it was asked for, no more."""
    bench = ProofBench()
    queues = bench.cut(unit, "Queue")
    dut = unit.InstructionReader(config)
    bench.add("dut", dut)
    (buffer,) = queues
    capacity, per_burst = config.fetch_buffer_instructions, config.burst_bytes // INSTRUCTION_BYTES
    beats_each = INSTRUCTION_BYTES // config.bus_bytes
    buffered = keep_contract(bench, "buffer", buffer, capacity)
    # A program stays while it runs (the registers' own proof), and ends within 64 bits of addresses.
    for port in (dut.address, dut.length):
        bench.assume(~bench.began | (port == bench.past(port)))
    bench.assume(dut.address % INSTRUCTION_BYTES == 0)
    bench.assume(~bench.past(dut.running) | dut.running)
    bench.assume(~dut.pop | dut.valid)
    request = dut.request
    granted = bench.named(request.valid & request.ready, "granted")
    count = bench.named((request.payload.beats_minus_1 + 1) // beats_each, "instructions")
    asked = Signal(len(dut.length) + 1, name="asked")
    bench.m.d.sync += asked.eq(asked + Mux(granted, count, 0))
    coming = bench.count(
        Mux(granted, request.payload.beats_minus_1 + 1, 0), less=dut.beat.valid, bits=16, name="beats_coming"
    )
    bench.assume(~dut.beat.valid | (coming != 0))
    _claim_requests(bench, dut, config, asked, count, per_burst)
    outstanding = bench.named(bench.inner(dut, "reserved") - buffered, "instructions_coming")
    position = bench.inner(dut, "position")
    bench.claim("what is reserved is buffered or comes", coming + position == outstanding * beats_each)
    bench.claim("no more is reserved than fits", bench.inner(dut, "reserved") <= capacity)
    bench.claim("it is idle if nothing is asked for or comes", dut.idle == (~request.valid & (coming == 0)))
    bench.claim("its own count of beats is right", bench.inner(dut, "outstanding") == coming)
    bench.claim("a halted machine asks for nothing", ~request.valid, when=dut.halted)
    bench.reach("the buffer is full", buffered == capacity)
    bench.reach("the whole program was asked for", (asked == dut.length) & (asked > per_burst))
    return bench


def _claim_requests(bench: ProofBench, dut, config: Config, asked, count, per_burst: int) -> None:
    """Bursts follow one another to the end of the program, each up to a boundary."""
    request, armed = dut.request, bench.inner(dut, "armed")
    burst = request.payload
    held, remaining, place = (bench.inner(dut, name) for name in ("count", "remaining", "place"))
    begins = (dut.address // INSTRUCTION_BYTES + asked)[: len(place)]
    valid = request.valid
    bench.claim(
        "each burst begins where the one before ended",
        burst.address == begins * INSTRUCTION_BYTES,
        when=valid,
    )
    bench.claim("no burst goes beyond the program", asked + count <= dut.length, when=valid)
    within = (begins % per_burst) + count
    bench.claim("no burst crosses a boundary", within <= per_burst, when=valid)
    bench.claim(
        "each reaches the boundary or the end of the program",
        (within == per_burst) | (asked + count == dut.length),
        when=valid,
    )
    left = (dut.length - asked)[: len(dut.length)]
    boundary = per_burst - begins % per_burst
    bench.claim("what remains is counted", remaining == left, when=armed)
    bench.claim(
        "the next burst is known",
        (held == Mux(left < boundary, left, boundary)) & (place == begins),
        when=armed,
    )
    bench.claim("nothing is asked for before it runs", asked == 0, when=~armed)
    bench.claim("no more is asked for than there is", asked <= dut.length)
    bench.claim("it asks from the second cycle on", armed == bench.past(dut.running))


def dispatch_bench(unit: ModuleType) -> ProofBench:
    """Instructions come and are judged in any way; queues have room when they like."""
    bench = ProofBench()
    readers, decoders = bench.cut(unit, "InstructionReader"), bench.cut(unit, "Decoder")
    dut = unit.Fetch(PRESETS["tiny"])
    bench.add("dut", dut)
    (reader,), (decoder,) = readers, decoders
    head = reader.head
    stayed = bench.past(reader.valid & ~reader.pop, name="stayed")
    bench.assume(~stayed | (reader.valid & (head.as_value() == bench.past(head.as_value()))))
    state = bench.inner(dut, "_state")
    checks = state == unit.FetchState.CHECK
    error, refused, finish, engine = (
        Signal(shape, name=name)
        for name, shape in (("error", 1), ("refused", 1), ("is_finish", 1), ("engine", 2))
    )
    with bench.m.If(checks):
        bench.m.d.sync += [refused.eq(decoder.illegal | decoder.outside), finish.eq(decoder.finish)]
        bench.m.d.sync += engine.eq(decoder.engine)
    with bench.m.If((state == unit.FetchState.HEAD) & reader.valid & ~dut.halted):
        bench.m.d.sync += error.eq(head.error)
    waits = bench.named(state == unit.FetchState.DISPATCH, "waits")
    dispatched = bench.count(dut.dispatched, bits=len(dut.index), name="dispatched_before")
    bench.claim("dispatched instructions are counted", dut.index == dispatched)
    some = dut.dispatch.any()
    bench.claim("an instruction goes to one queue at most", (dut.dispatch & (dut.dispatch - 1)) == 0)
    bench.claim("it goes to a queue that has room", ((dut.dispatch & ~dut.room) == 0))
    bench.claim(
        "it goes to its engine's queue",
        dut.dispatch == Mux(dut.dispatched & ~finish, 1 << engine, 0),
        when=waits,
    )
    bench.claim(
        "only what was checked and found well is dispatched", waits & ~refused & ~error, when=dut.dispatched
    )
    bench.claim("a halted machine dispatches nothing", ~(dut.dispatched | some), when=dut.halted)
    bench.claim("what is dispatched leaves the buffer", reader.pop == dut.dispatched)
    bench.claim("behind finish nothing is dispatched", ~dut.dispatched, when=dut.drained)
    over = bench.flag("over", up=dut.dispatched & finish)
    bench.claim("it is drained behind finish, for ever", dut.drained == over)
    kept = dut.item.as_value() == bench.past(dut.item.as_value())
    bench.claim("an instruction that waits stays as it is", kept, when=bench.past(waits) & waits)
    _claim_faults(bench, dut, waits, refused, error)
    for register, value in (("cause", refused | error), ("finish", finish), ("engine", engine)):
        its = dut._checked[register]
        bench.claim(
            f"{register} is kept", (its != 0) == value if register == "cause" else its == value, when=waits
        )
    for engine_of in Engine:
        bench.reach(
            f"a second instruction goes to {engine_of.label}", dut.dispatch[engine_of] & (dispatched == 1)
        )
    return bench


def _claim_faults(bench: ProofBench, dut, waits, refused, error) -> None:
    ran = bench.flag("ran", up=dut.running)
    bench.claim("it knows its first cycle", bench.inner(dut, "first") == ~ran)
    first = bench.named(~ran & dut.running, "first_cycle")
    program = first & ((dut.length == 0) | dut.mismatch)
    of_instruction = waits & ~dut.halted & (refused | error)
    bench.claim(
        "a program that cannot run is a fault of its first cycle, else one refused",
        dut.fault.valid == (program | of_instruction),
    )
    cause = Mux(dut.length == 0, Cause.ILLEGAL, Cause.CONFIG)
    bench.claim(
        "a program without instructions is illegal, another machine's wrong",
        dut.fault.cause == cause,
        when=program,
    )
    bench.claim(
        "a refused instruction is told by its number",
        dut.fault.index == dut.index,
        when=of_instruction & ~program,
    )
    known = (dut._checked.cause == Cause.BUS) == error
    bench.claim("an error is told from what is undefined", known, when=waits)
    bench.claim(
        "an error of the bus goes before all",
        dut.fault.cause == Cause.BUS,
        when=of_instruction & error & ~program,
    )


PROOFS = (
    *(
        Proof(
            name=f"instruction reader of {name}",
            unit=fetch,
            bench=lambda unit, name=name: reader_bench(unit, PRESETS[name]),
            method=Method.INDUCTION,
            cycles=1,
            reach_cycles=32 if bugs else 0,
            bugs=bugs,
        )
        for name, bugs in (
            (
                "tiny",
                (
                    SeededBug(
                        name="a burst is asked for without room",
                        old="(reserved + count <= capacity)",
                        new="(reserved <= capacity)",
                        cycles=24,
                    ),
                ),
            ),
            ("large-128", ()),
        )
    ),
    Proof(
        name="dispatch",
        unit=fetch,
        bench=dispatch_bench,
        method=Method.INDUCTION,
        cycles=3,
        reach_cycles=8,
        bugs=(
            SeededBug(
                name="what is refused is dispatched in a halted machine's place",
                old="ready.eq((self._state == FetchState.DISPATCH) & ~self.halted & ~wrong)",
                new="ready.eq((self._state == FetchState.DISPATCH) & ~self.halted)",
                cycles=6,
            ),
            SeededBug(
                name="a halted machine goes on",
                old="ready.eq((self._state == FetchState.DISPATCH) & ~self.halted & ~wrong)",
                new="ready.eq((self._state == FetchState.DISPATCH) & ~wrong)",
                cycles=6,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_the_program_is_read_once_and_dispatched_as_checked(proof: Proof) -> None:
    check(proof)
