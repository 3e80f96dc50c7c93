"""Read bursts stand until they are taken, and neither fetch nor load starves."""

from types import ModuleType

import pytest

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import read_channel
from tilewright.hw.axi import ERROR_BIT, ReadId
from tilewright.isa.config import PRESETS


def channel_bench(unit: ModuleType) -> ProofBench:
    """Requests that stand until granted, on a bus that takes them when it likes."""
    bench = ProofBench()
    dut = unit.ReadChannel(PRESETS["tiny"])
    bench.add("dut", dut)
    requests = {ReadId.FETCH: dut.fetch_request, ReadId.LOAD: dut.load_request}
    granted = {}
    for owner, request in requests.items():
        waited = bench.past(request.valid & ~request.ready)
        bench.assume(~waited | request.valid)
        payload = request.payload.as_value()
        bench.assume(~waited | (payload == bench.past(payload)))
        granted[owner] = bench.named(request.valid & request.ready, f"{owner.name.lower()}_granted")
    bench.stable("a burst on the bus", dut.arvalid, dut.arready, dut.araddr, dut.arlen, dut.arsize, dut.arid)
    both = granted[ReadId.FETCH] & granted[ReadId.LOAD]
    bench.claim("at most one burst is granted in a cycle", ~both)
    free = ~dut.arvalid | dut.arready
    some = granted[ReadId.FETCH] | granted[ReadId.LOAD]
    bench.claim("a burst is granted only if the register is free", free, when=some)
    asked = dut.fetch_request.valid | dut.load_request.valid
    bench.claim("a free register is filled by whoever asks", some, when=free & asked)
    bench.claim("what is on the bus was granted", bench.past(some | ~free), when=dut.arvalid)
    for owner, request in requests.items():
        _claim_burst(bench, dut, owner, request, granted[owner])
    _claim_fairness(bench, dut, requests, granted)
    _claim_beats(bench, dut)
    return bench


def _claim_burst(bench, dut, owner, request, granted) -> None:
    """Granted in a cycle, on the bus in the next, as it was asked for."""
    burst = request.payload
    fields = ((dut.araddr, burst.address), (dut.arlen, burst.beats_minus_1), (dut.arsize, burst.size))
    shown = dut.arvalid & (dut.arid == owner)
    for pin, field in fields:
        shown &= pin == bench.past(field)
    name = owner.name.lower()
    bench.claim(f"a burst of {name} is on the bus behind its grant", shown, when=bench.past(granted))
    bench.reach(f"a burst of {name} is on the bus", dut.arvalid & (dut.arid == owner))


def _claim_fairness(bench, dut, requests, granted) -> None:
    """While one waits, the other is granted once at most: then it is its turn."""
    turn = bench.inner(dut, "fetch_next")
    for owner, other in ((ReadId.FETCH, ReadId.LOAD), (ReadId.LOAD, ReadId.FETCH)):
        waits = requests[owner].valid & ~granted[owner]
        passed = bench.flag(
            f"{other.name.lower()}_went_first", up=waits & granted[other], down=granted[owner]
        )
        text = f"{owner.name.lower()} waits for one burst of {other.name.lower()} at most"
        bench.claim(text, ~(passed & granted[other]))
        bench.claim(f"{text}: it has the turn", turn == (owner is ReadId.FETCH), when=passed)
        bench.claim(f"{text}: it still stands", requests[owner].valid, when=passed)
        bench.reach(f"{other.name.lower()} went first", passed)


def _claim_beats(bench, dut) -> None:
    bench.claim("beats are always taken", dut.rready)
    for beat, owner in ((dut.fetch_beat, ReadId.FETCH), (dut.load_beat, ReadId.LOAD)):
        arrived = bench.past(dut.rvalid & (dut.rid == owner))
        name = owner.name.lower()
        bench.claim(f"a beat goes to {name} if and only if it is its own", beat.valid == arrived)
        same = (beat.data == bench.past(dut.rdata)) & (beat.error == bench.past(dut.rresp[ERROR_BIT]))
        bench.claim(f"a beat of {name} is what was on the bus", same, when=beat.valid)


PROOFS = (
    Proof(
        name="read channel",
        unit=read_channel,
        bench=channel_bench,
        method=Method.INDUCTION,
        cycles=2,
        reach_cycles=6,
        bugs=(
            SeededBug(
                name="fetch always wins",
                old="fetch_next.eq(~fetch_wins)",
                new="fetch_next.eq(1)",
                cycles=6,
            ),
            SeededBug(
                name="a burst is replaced before it is taken",
                old="with m.If(free & (fetch.valid | load.valid)):",
                new="with m.If(fetch.valid | load.valid):",
                cycles=6,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_bursts_stand_and_nobody_starves(proof: Proof) -> None:
    check(proof)
