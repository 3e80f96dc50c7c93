"""Every beat of a load finds room to land, and belongs to the burst that its count says."""

from dataclasses import replace
from types import ModuleType

import pytest
from amaranth import Cat, Mux

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import load
from tilewright.isa.config import PRESETS
from tilewright.isa.fault import Cause
from tilewright.isa.memory import Memory
from tilewright.isa.timing import LANDING_WRITE

_CONFIG = replace(PRESETS["tiny"], outstanding_reads=2)
_DEPTH = _CONFIG.outstanding_reads
_MOST = _CONFIG.burst_bytes // _CONFIG.transfer_bytes(Memory.ACTIVATION)
"""Beats of a burst."""


def action_bench(unit: ModuleType) -> ProofBench:
    """Actions and beats, whatever they are."""
    bench = ProofBench()
    bench.cut(unit, "BurstGenerator")
    generators, landings = bench.cut(unit, "AddressGenerator"), bench.cut(unit, "Landing")
    dut = unit.LoadEngine(_CONFIG)
    bench.add("dut", dut)
    _claim_actions(bench, dut, generators[0], landings[0])
    bench.reach("a load finishes", dut.control.finish)
    return bench


def room_bench(unit: ModuleType) -> ProofBench:
    """Bursts and actions by their own proofs; a bus that gives the beats it was asked for, no more."""
    bench = ProofBench()
    bursts, generators, landings = (
        bench.cut(unit, name) for name in ("BurstGenerator", "AddressGenerator", "Landing")
    )
    dut = unit.LoadEngine(_CONFIG)
    bench.add("dut", dut)
    request, (generator,), landing = bursts[0].request, generators, landings[0]
    waited = bench.past(request.valid & ~request.ready, name="waited")
    payload = request.payload.as_value()
    bench.assume(~waited | (request.valid & (payload == bench.past(payload))))
    bench.assume(request.payload.beats_minus_1 < _MOST)
    action = generator.action
    bench.assume(~action.valid | action.pad | generator.supply)
    granted = bench.named(dut.request.valid & dut.request.ready, "granted")
    asked = Mux(granted, request.payload.beats_minus_1 + 1, 0)
    coming = bench.count(asked, less=dut.beat.valid, bits=10, name="coming")
    landed = bench.count(landing.beat.valid, less=landing.take, bits=10, name="landed")
    bench.assume(~dut.beat.valid | (coming != 0))
    bench.assume(landing.available == (landed != 0))
    leaving = bench.past(landing.take, name="leaving")
    bench.assume(landing.taken.valid == bench.past(leaving, name="left_landing"))
    bench.claim("a beat that lands finds room", landed < _DEPTH * _MOST, when=landing.beat.valid)
    bench.claim("a beat is taken only if there is one", landing.available, when=landing.take)
    bench.stable(
        "a burst that is asked for", dut.request.valid, dut.request.ready, dut.request.payload.as_value()
    )
    _claim_bursts(bench, dut, landing, granted, coming + landed + leaving + landing.taken.valid)
    bench.reach("all the room is reserved", ~dut.request.valid & request.valid)
    return bench


def _claim_bursts(bench: ProofBench, dut, landing, granted, open_beats) -> None:
    """The lengths of the bursts that have not landed say how many beats are open."""
    lengths = bench.part(dut, "lengths")
    head, count = bench.inner(lengths, "head"), bench.inner(lengths, "count")
    position = bench.inner(dut, "position")
    rows = [bench.stored(lengths, "storage", place).beats_minus_1 for place in range(_DEPTH)]
    used = [(place - head)[: len(head)] < count for place in range(_DEPTH)]
    beats = [Mux(inside, row + 1, 0) for row, inside in zip(rows, used, strict=True)]
    total = bench.named(sum(beats[1:], start=beats[0]), "beats_of_bursts")
    bench.claim("the beats of all bursts are to come, landed, or under way", total == open_beats + position)
    bench.claim("no more bursts are outstanding than allowed", count <= _DEPTH)
    bench.claim("the room is counted", bench.inner(dut, "room") == _DEPTH - count)
    bench.claim("a burst's length finds room", lengths.room, when=granted)
    bench.claim("a beat out of the landing is of a burst", lengths.valid, when=landing.taken.valid)
    tail = bench.inner(lengths, "tail")
    bench.claim("lengths lie between the pointers", (tail - head)[: len(head)] == count[: len(head)])
    small = [~inside | (row < _MOST) for row, inside in zip(rows, used, strict=True)]
    bench.claim("no burst is longer than there is room for", Cat(small).all())
    bench.claim("a burst ends with its last beat", position <= lengths.head.beats_minus_1, when=lengths.valid)
    bench.claim("beats are counted from 0", position == 0, when=~lengths.valid)


def _claim_actions(bench: ProofBench, dut, generator, landing) -> None:
    """A load finishes with the write of its last vector; what a fault names is its own."""
    action = generator.action
    ends = bench.past(action.valid & action.ends, LANDING_WRITE, name="ends")
    bench.claim("a load finishes with the write of its last vector", dut.control.finish == ends)
    fault = dut.control.fault
    error = landing.taken.valid & landing.taken.error
    bench.claim("a beat in error is a fault", fault.valid & (fault.cause == Cause.BUS), when=error)
    outside = bench.inner(dut, "address_fault")
    bench.claim("else an address outside is", fault.valid == outside, when=~error)
    index = bench.past(action.index)
    bench.claim("a fault is of the action before", fault.index == index, when=fault.valid & bench.began)
    for memory in Memory:
        write = getattr(dut, f"{memory.label}_write")
        of_vector = action.valid & action.ends_vector & (action.memory == memory)
        due = bench.past(of_vector, LANDING_WRITE, name=f"{memory.label}_due")
        bench.claim(f"{memory.label} is written with whole vectors of its own only", due, when=write.enable)


PROOFS = (
    Proof(
        name="actions of the load engine",
        unit=load,
        bench=action_bench,
        method=Method.INDUCTION,
        cycles=LANDING_WRITE + 1,
        reach_cycles=8,
        bugs=(
            SeededBug(
                name="a load finishes a cycle early",
                old="self._actions[3].valid & self._actions[3].ends",
                new="self._actions[2].valid & self._actions[2].ends",
                cycles=8,
            ),
        ),
    ),
    Proof(
        name="room of the load engine",
        unit=load,
        bench=room_bench,
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=10,
        bugs=(
            SeededBug(
                name="room is free with the first beat of a burst",
                old="last = position == lengths.head.beats_minus_1",
                new="last = position == 0",
                cycles=12,
            ),
            SeededBug(
                name="a burst is asked for without room",
                old="self.request.valid.eq(bursts.request.valid & (room != 0)),",
                new="self.request.valid.eq(bursts.request.valid),",
                cycles=10,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_every_beat_finds_room(proof: Proof) -> None:
    check(proof)
