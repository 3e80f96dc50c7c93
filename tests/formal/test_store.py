"""Write bursts stand until taken, each gets its beats, and each answer is of a burst that was asked."""

from types import ModuleType

import pytest

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from formal.queue_contract import keep_contract
from tilewright.hw import store
from tilewright.hw.axi import ERROR_BIT
from tilewright.isa.config import IN_FLIGHT, PRESETS
from tilewright.isa.fault import Cause

_CONFIG = PRESETS["tiny"]
_DEPTH = _CONFIG.outstanding_writes


def store_bench(unit: ModuleType) -> ProofBench:
    """Bursts, actions and beats by their own proofs; a bus that answers what was sent, no more."""
    bench = ProofBench()
    bursts, generators, datas, queues = (
        bench.cut(unit, name) for name in ("BurstGenerator", "AddressGenerator", "StoreData", "Queue")
    )
    dut = unit.StoreEngine(_CONFIG)
    bench.add("dut", dut)
    (request,), (generator,), (data,) = (burst.request for burst in bursts), generators, datas
    names = ("burst lengths", "answers", "instructions")
    counts = [
        keep_contract(bench, name, queue, depth)
        for name, queue, depth in zip(names, queues, (_DEPTH, _DEPTH, IN_FLIGHT), strict=True)
    ]
    lengths, answers, indices = queues
    waited = bench.past(request.valid & ~request.ready, name="waited")
    payload = request.payload.as_value()
    bench.assume(~waited | (request.valid & (payload == bench.past(payload))))
    bench.assume(~generator.action.valid | generator.supply)
    granted = bench.named(request.valid & request.ready, "granted")
    sent = bench.named(lengths.pop, "sent")
    unanswered = bench.count(sent, less=dut.bvalid, bits=8, name="sent_unanswered")
    bench.assume(~dut.bvalid | (unanswered != 0))
    _claim_addresses(bench, dut, request, granted, unanswered, counts)
    _claim_beats(bench, dut, generator, data, lengths)
    _claim_answers(bench, dut, answers, indices, generator, data, counts[2])
    bench.reach("as many bursts as allowed are unanswered", counts[1] == _DEPTH)
    bench.reach("a store finishes", dut.control.finish)
    return bench


def _claim_addresses(bench: ProofBench, dut, request, granted, unanswered, counts) -> None:
    lengths, answers, _ = counts
    bench.stable("a burst on the bus", dut.awvalid, dut.awready, dut.awaddr, dut.awlen, dut.awsize)
    burst = request.payload
    shown = (
        dut.awvalid
        & (dut.awaddr == bench.past(burst.address))
        & (dut.awlen == bench.past(burst.beats_minus_1))
    )
    was_granted = bench.past(granted, name="was_granted")
    bench.claim(
        "a burst is on the bus behind its grant",
        shown & (dut.awsize == bench.past(burst.size)),
        when=was_granted,
    )
    bench.claim(
        "what is on the bus was granted",
        was_granted | bench.past(dut.awvalid & ~dut.awready),
        when=dut.awvalid,
    )
    answered = bench.past(dut.bvalid, name="answered")
    taken = answers + answered
    bench.claim("no more bursts are unanswered than allowed", taken <= _DEPTH)
    bench.claim("the room is counted", bench.inner(dut, "room") == _DEPTH - taken)
    bench.claim("a burst's length waits behind its grant", bench.inner(dut, "shown") == was_granted)
    bench.claim(
        "bursts are answered, sent, or wait for their beats", answers == lengths + was_granted + unanswered
    )


def _claim_beats(bench: ProofBench, dut, generator, data, lengths) -> None:
    """Beats are numbered within their burst, of which the address was on the bus."""
    position = bench.inner(dut, "position")
    action = generator.action.valid
    bench.claim("a beat is of a burst whose address was shown", lengths.valid & data.room, when=action)
    last = position == lengths.head.beats_minus_1
    bench.claim("a burst's last beat is the one that its length says", data.last == last)
    bench.claim("a burst ends with its last beat", lengths.pop == (action & last))
    following = bench.past(position + 1)[: len(position)]
    bench.claim("beats are counted from 0", position == 0, when=~bench.began | bench.past(lengths.pop))
    counted = bench.past(action & ~lengths.pop)
    bench.claim("one by one", position == following, when=counted)


def _claim_answers(bench: ProofBench, dut, answers, indices, generator, data, flying) -> None:
    control = dut.control
    bench.assume(~control.start | indices.room)
    # A store is in flight from its start to the answer of its last burst.
    due = bench.past(dut.bvalid & answers.head.last, name="last_answered")
    bench.assume(~(dut.bvalid & answers.head.last) | (flying > control.finish))
    bench.claim("a store finishes behind the answer of its last burst", control.finish == due)
    bench.claim("answers are always taken", dut.bready)
    error = bench.past(dut.bvalid & dut.bresp[ERROR_BIT], name="error")
    fault = control.fault
    bench.claim("an error or an address outside is a fault", fault.valid == (error | data.outside))
    bench.claim(
        "an error is of the oldest store",
        (fault.cause == Cause.BUS) & (fault.index == indices.head.index),
        when=error,
    )
    index = bench.past(generator.action.index)
    bench.claim(
        "an address is of the store whose action it was",
        (fault.cause == Cause.ADDRESS) & (fault.index == index),
        when=data.outside & ~error,
    )


PROOFS = (
    Proof(
        name="store engine",
        unit=store,
        bench=store_bench,
        method=Method.INDUCTION,
        cycles=2,
        reach_cycles=10,
        bugs=(
            SeededBug(
                name="an address is replaced before it is taken",
                old="free = ~self.awvalid | self.awready",
                new="free = 1",
                cycles=5,
            ),
            SeededBug(
                name="room is given back twice",
                old="room.eq(room - granted + answered)",
                new="room.eq(room - granted + answered + self.bvalid)",
                cycles=16,
            ),
            SeededBug(
                name="a store finishes with any answer",
                old="control.finish.eq(self.bvalid & self._answers.head.last)",
                new="control.finish.eq(self.bvalid)",
                cycles=8,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_every_burst_gets_its_beats_and_its_answer(proof: Proof) -> None:
    check(proof)
