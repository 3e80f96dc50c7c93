"""Tokens are conserved, claims exclude, and nothing starts without what it needs."""

from itertools import combinations, permutations
from types import ModuleType

import pytest
from amaranth import Cat, Mux
from amaranth.utils import exact_log2

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import scoreboard
from tilewright.isa.config import IN_FLIGHT, PRESETS
from tilewright.isa.memory import START_PRIORITY, Engine, Port

_CONFIG = PRESETS["tiny"]
_PLACE_BITS = exact_log2(IN_FLIGHT)


def token_bench(unit: ModuleType, capacity: int) -> ProofBench:
    """A counter between two engines that take what is there and promise what there is room for."""
    bench = ProofBench()
    dut = unit.TokenCounter(capacity)
    bench.add("dut", dut)
    given, taken, promised = (
        bench.count(step, bits=32, name=name)
        for step, name in ((dut.give, "given"), (dut.take, "taken"), (dut.promise, "promises"))
    )
    there, owed = bench.named(given - taken, "there"), bench.named(promised - taken, "owed")
    bench.assume(~dut.take | dut.available)
    bench.assume(~dut.promise | dut.room)
    bench.assume(~dut.give | (given != promised) | dut.promise)
    bench.claim(
        "tokens given and not taken are those of the counter", bench.inner(dut, "tokens") == there[:32]
    )
    bench.claim(
        "tokens promised and not taken are those of the counter", bench.inner(dut, "promised") == owed[:32]
    )
    bench.claim("there are no more tokens than were promised", there[:32] <= owed[:32])
    bench.claim("there are never more tokens than the capacity", owed[:32] <= capacity)
    bench.claim("one can be taken if and only if one is there", dut.available == (there[:32] != 0))
    bench.claim("one can be promised if and only if there is room", dut.room == (owed[:32] < capacity))
    bench.reach("two were taken", taken == 2)
    return bench


def flight_bench(unit: ModuleType, engine: Engine) -> ProofBench:
    """The entries of the queue are what is in flight: that it keeps them, its own proof says."""
    bench = ProofBench()
    dut = unit.InFlight(_CONFIG, engine)
    bench.add("dut", dut)
    bench.assume(~dut.start | ~dut.full)
    bench.assume(~dut.finish | dut.some)
    number = bench.count(dut.start, less=dut.finish, bits=4, name="in_flight")
    bench.claim("some are in flight if and only if more started than finished", dut.some == (number != 0))
    bench.claim("it is full with as many as there may be", dut.full == (number == IN_FLIGHT))
    bench.claim("never more are in flight than there may be", number <= IN_FLIGHT)
    entries = bench.part(dut, "entries")
    head, tail = bench.inner(entries, "head"), bench.inner(entries, "tail")
    bench.claim("the queue has as many entries", bench.inner(entries, "count") == number)
    bench.claim("they lie between its pointers", (tail - head)[:_PLACE_BITS] == number[:_PLACE_BITS])
    bench.claim("their number is kept", bench.inner(dut, "all") == number)
    rows = [bench.stored(entries, "storage", place) for place in range(IN_FLIGHT)]
    used = [(place - head)[:_PLACE_BITS] < number for place in range(IN_FLIGHT)]
    for port in unit.claimable(_CONFIG, engine):
        claiming = [row.claims[port] & inside for row, inside in zip(rows, used, strict=True)]
        bench.claim(
            f"port {port} is held while one in flight claims it", dut.held[port] == Cat(*claiming).any()
        )
        counted = bench.inner(dut, f"port_{port}") == sum(claiming[1:], claiming[0])
        bench.claim(f"port {port}: those are counted", counted)
    bench.reach("as many are in flight as there may be", dut.full)
    return bench


def start_bench(unit: ModuleType) -> ProofBench:
    """The decisions alone: of tokens and of what is in flight, what their own proofs claim is assumed."""
    bench = ProofBench()
    flights, counters = bench.cut(unit, "InFlight"), bench.cut(unit, "TokenCounter")
    dut = unit.Scoreboard(_CONFIG)
    bench.add("dut", dut)
    assert (len(flights), len(counters)) == (len(Engine), len(Engine) * (len(Engine) - 1))
    for engine, flight in zip(Engine, flights, strict=True):
        _assume_flight(bench, unit, dut, engine, flight)
        _claim_start(bench, dut, engine, flight)
    _claim_exclusion(bench, dut, flights)
    for (producer, consumer), counter in zip(permutations(Engine, 2), counters, strict=True):
        _claim_tokens(bench, dut, producer, consumer, counter, flights[producer])
    bench.reach("all engines are busy", Cat(flight.some for flight in flights).all())
    bench.reach("all start at once", dut.start.all())
    return bench


def _assume_flight(bench, unit, dut, engine: Engine, flight) -> None:
    head = dut.head[engine]
    mask = sum(1 << port for port in unit.claimable(_CONFIG, engine))
    bench.assume((head.claims & ~mask) == 0)
    bench.assume(~head.nop | (head.claims == 0))
    bench.assume(~dut.finish[engine] | flight.some)
    number = bench.count(dut.run[engine], less=dut.finish[engine], bits=4, name=f"{engine.label}_number")
    bench.assume((flight.some == (number != 0)) & (flight.full == (number == IN_FLIGHT)))
    begun = bench.past(Mux(dut.run[engine], head.claims, 0))
    bench.assume((flight.held & ~(bench.past(flight.held) | begun)) == 0)
    bench.assume((begun & ~flight.held) == 0)
    bench.assume((flight.some | (flight.held == 0)) & ((flight.held & ~mask) == 0))


def _claim_start(bench, dut, engine: Engine, flight) -> None:
    head, starts, name = dut.head[engine], dut.start[engine], engine.label
    bench.claim(
        f"{name}: only the head of a queue starts, and only while enabled",
        head.valid & dut.enable,
        when=starts,
    )
    ready = dut.ready[engine] & ~flight.full
    bench.claim(f"{name}: its conditions hold and there is room in flight", ready, when=starts & ~head.nop)
    bench.claim(f"{name}: a nop starts with nothing in flight", ~flight.some, when=starts & head.nop)
    bench.claim(f"{name}: tokens are there and room for its own", dut.tokens_ready[engine], when=starts)
    bench.claim(f"{name}: the engine is told all but nops", dut.run[engine] == (starts & ~head.nop))
    done = dut.finish[engine] | (starts & head.nop)
    bench.claim(f"{name}: a nop is done as it starts", dut.done[engine] == done)
    bench.claim(f"{name}: in flight is what started before", dut.in_flight[engine] == flight.some)
    if engine == Engine.VECTOR:
        writes = flight.held >> (Port.WRITE - Port.READ)
        bench.claim(
            f"{name}: reads no bank that it still writes",
            (head.claims & writes & _reads()) == 0,
            when=starts & ~head.nop,
        )


def _reads() -> int:
    return sum(1 << port for port in scoreboard.ports(_CONFIG, Port.READ))


def _claim_exclusion(bench, dut, flights) -> None:
    """Held ports, and those of what starts in this cycle."""
    claimed = {engine: Mux(dut.start[engine], dut.head[engine].claims, 0) for engine in Engine}
    for one, other in combinations(START_PRIORITY, 2):
        names = f"{one.label} and {other.label}"
        bench.claim(f"no port is held by {names}", (flights[one].held & flights[other].held) == 0)
        bench.claim(f"no port is taken at once by {names}", (claimed[one] & claimed[other]) == 0)
        held = (claimed[one] & flights[other].held) | (claimed[other] & flights[one].held)
        bench.claim(f"{names} take no port that the other holds", held == 0)


def _claim_tokens(bench, dut, producer: Engine, consumer: Engine, counter, flight) -> None:
    name = f"tokens of {producer.label} for {consumer.label}"
    takes = dut.start[consumer] & dut.head[consumer].wait[producer]
    head = dut.head[producer]
    promises = dut.start[producer] & head.signal[consumer]
    gives = (dut.finish[producer] & flight.given[consumer]) | (promises & head.nop)
    bench.claim(f"{name}: taken by starts that wait for them", counter.take == takes)
    bench.claim(f"{name}: taken only if there", counter.available, when=counter.take)
    bench.claim(f"{name}: promised by starts that signal", counter.promise == promises)
    bench.claim(f"{name}: promised only if there is room", counter.room, when=counter.promise)
    bench.claim(f"{name}: given by what finishes", counter.give == gives)


def _tokens(capacity: int, *bugs: SeededBug) -> Proof:
    return Proof(
        name=f"token counter of {capacity}",
        unit=scoreboard,
        bench=lambda unit: token_bench(unit, capacity),
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=8,
        bugs=bugs,
    )


PROOFS = (
    _tokens(
        1,
        SeededBug(
            name="one token more than the capacity is promised",
            old="(promised == self.capacity) | (self.promise & (promised == self.capacity - 1))",
            new="promised == self.capacity",
            cycles=6,
        ),
    ),
    _tokens(
        15,
        SeededBug(
            name="a token given while another is taken is lost",
            old="self.available.eq(self.give | (tokens > 1)",
            new="self.available.eq((self.give & ~self.take) | (tokens > 1)",
            cycles=6,
        ),
    ),
    _tokens(255),
    Proof(
        name="in flight",
        unit=scoreboard,
        bench=lambda unit: flight_bench(unit, Engine.VECTOR),
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=IN_FLIGHT + 2,
        bugs=(
            SeededBug(
                name="a claim ends with any finish",
                old="dropped = self.finish & entries.head.claims[port]",
                new="dropped = self.finish & self.held[port]",
                cycles=6,
            ),
        ),
    ),
    Proof(
        name="starts",
        unit=scoreboard,
        bench=start_bench,
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=4,
        bugs=(
            SeededBug(
                name="what starts at once does not block",
                old="blocked |= other_starts & self._conflict(engine, self.head[other].claims, other)",
                new="blocked |= other_starts & self.head[engine].nop",
                cycles=2,
            ),
            SeededBug(
                name="what another engine holds does not block the last one",
                old="others = [other for other in Engine if other != engine]",
                new="others = [other for other in Engine if other != engine][:2]",
                cycles=4,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_tokens_are_conserved_and_claims_exclude(proof: Proof) -> None:
    check(proof)
