"""Who may start: tokens, room for tokens, port claims and instructions in flight."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.decode import TOKEN_BITS
from tilewright.hw.queue import Queue
from tilewright.isa.config import IN_FLIGHT, Config
from tilewright.isa.memory import START_PRIORITY, Engine, Memory, Port


def head_layout(config: Config) -> data.StructLayout:
    """What the scoreboard sees of the head of a queue."""
    return data.StructLayout(
        {"valid": 1, "nop": 1, "wait": TOKEN_BITS, "signal": TOKEN_BITS, "claims": config.port_count}
    )


def port_mask(config: Config, port: Port) -> int:
    """The claim mask of this port of every bank."""
    banks = ((memory, bank) for memory in Memory for bank in range(config.banks(memory)))
    return sum(1 << config.port_index(memory, bank, port) for memory, bank in banks)


_CLAIMS = {
    Engine.LOAD: ((Memory, Port.WRITE),),
    Engine.MATRIX: (
        ((Memory.ACTIVATION, Memory.WEIGHT, Memory.ACCUMULATOR), Port.READ),
        ((Memory.ACCUMULATOR,), Port.WRITE),
    ),
    Engine.VECTOR: (
        ((Memory.ACTIVATION, Memory.ACCUMULATOR, Memory.PARAMETER), Port.READ),
        ((Memory.ACTIVATION, Memory.ACCUMULATOR), Port.WRITE),
    ),
    Engine.STORE: ((Memory, Port.READ),),
}


def claimable(config: Config, engine: Engine) -> list[int]:
    """The ports that an engine can ever claim, as positions in the claim mask."""
    return sorted(
        config.port_index(memory, bank, port)
        for memories, port in _CLAIMS[engine]
        for memory in memories
        for bank in range(config.banks(memory))
    )


class InFlight(wiring.Component):
    """The instructions that one engine has started and not finished.

    Members:
        start: In. An instruction with `claims` and `signal` starts in this cycle and does not finish in it.
        finish: In. The oldest finishes in this cycle.
        claims, signal: In. Of the starting one.
        held: Out. The ports claimed by those started before this cycle (one that finishes in it included).
        given: Out. The signals of the oldest.
        count: Out. Their number.
    """

    def __init__(self, config: Config, engine: Engine) -> None:
        self.config = config
        self.engine = engine
        super().__init__(
            {
                "start": In(1),
                "finish": In(1),
                "claims": In(config.port_count),
                "signal": In(TOKEN_BITS),
                "held": Out(config.port_count),
                "given": Out(TOKEN_BITS),
                "count": Out(range(IN_FLIGHT + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        entry = data.StructLayout({"claims": self.config.port_count, "signal": TOKEN_BITS})
        m.submodules.entries = entries = Queue(entry, IN_FLIGHT)
        m.d.comb += [
            entries.push.eq(self.start),
            entries.item.claims.eq(self.claims),
            entries.item.signal.eq(self.signal),
            entries.pop.eq(self.finish),
            self.given.eq(entries.head.signal),
        ]
        m.d.sync += self.count.eq(self.count + self.start - self.finish)
        for port in claimable(self.config, self.engine):
            holders = Signal(range(IN_FLIGHT + 1), name=f"holders_{port}")
            taken = self.start & self.claims[port]
            dropped = self.finish & entries.head.claims[port]
            m.d.sync += holders.eq(holders + taken - dropped)
            m.d.comb += self.held[port].eq(holders != 0)
        return m


class TokenCounter(wiring.Component):
    """Tokens of one ordered pair of engines: given and not taken, and those plus the promised ones.

    Members:
        promise, give, take: In. Each counts one in this cycle.
        available: Out. One can be taken.
        room: Out. One can be promised.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        super().__init__(
            {"promise": In(1), "give": In(1), "take": In(1), "available": Out(1), "room": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tokens = Signal(range(self.capacity + 1))
        promised = Signal(range(self.capacity + 1))
        m.d.sync += tokens.eq(tokens + self.give - self.take)
        m.d.sync += promised.eq(promised + self.promise - self.take)
        m.d.comb += [self.available.eq(tokens != 0), self.room.eq(promised != self.capacity)]
        return m


class Scoreboard(wiring.Component):
    """Starts the heads of the queues: docs/machine.md, "Start". One decision for all engines in each cycle.

    Members:
        enable: In. Starts are allowed (running, no fault before this cycle).
        head: array of In. The heads of the queues.
        ready: In. For each engine, its own conditions hold.
        finish: In. For each engine, its oldest instruction in flight finishes.
        start: Out. For each engine, the head starts in this cycle.
        run: Out. The same without nops: what the engine is told.
        done: Out. For each engine, an instruction finishes in this cycle (nops too).
        in_flight: Out. For each engine, something started before this cycle is in flight.
        willing: Out. For each engine, the head's tokens and room for its tokens are there.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        engines = len(Engine)
        super().__init__(
            {
                "enable": In(1),
                "head": In(head_layout(config)).array(engines),
                "ready": In(engines),
                "finish": In(engines),
                "start": Out(engines),
                "run": Out(engines),
                "done": Out(engines),
                "in_flight": Out(engines),
                "willing": Out(engines),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._flights = [InFlight(self.config, engine) for engine in Engine]
        for engine, flight in zip(Engine, self._flights, strict=True):
            m.submodules[f"{engine.label}_in_flight"] = flight
            self._elaborate_flight(m, engine, flight)
        self._elaborate_tokens(m)
        self._elaborate_starts(m)
        return m

    def _elaborate_flight(self, m: Module, engine: Engine, flight: InFlight) -> None:
        head = self.head[engine]
        m.d.comb += [
            flight.start.eq(self.run[engine]),
            flight.finish.eq(self.finish[engine]),
            flight.claims.eq(head.claims),
            flight.signal.eq(head.signal),
            self.in_flight[engine].eq(flight.count != 0),
            self.run[engine].eq(self.start[engine] & ~head.nop),
            self.done[engine].eq(self.finish[engine] | (self.start[engine] & head.nop)),
        ]

    def _given(self, engine: Engine) -> Value:
        """The signals that an engine gives in this cycle."""
        head = self.head[engine]
        return Mux(self.finish[engine], self._flights[engine].given, 0) | Mux(
            self.start[engine] & head.nop, head.signal, 0
        )

    def _elaborate_tokens(self, m: Module) -> None:
        missing: dict[Engine, list[Value]] = {engine: [] for engine in Engine}
        for giver in Engine:
            for taker in Engine:
                if giver == taker:
                    continue
                counter = TokenCounter(self.config.token_capacity)
                m.submodules[f"tokens_{giver.label}_{taker.label}"] = counter
                m.d.comb += [
                    counter.promise.eq(self.start[giver] & self.head[giver].signal[taker]),
                    counter.give.eq(self._given(giver)[taker]),
                    counter.take.eq(self.start[taker] & self.head[taker].wait[giver]),
                ]
                missing[taker].append(self.head[taker].wait[giver] & ~counter.available)
                missing[giver].append(self.head[giver].signal[taker] & ~counter.room)
        for engine in Engine:
            m.d.comb += self.willing[engine].eq(~Cat(*missing[engine]).any())

    def _elaborate_starts(self, m: Module) -> None:
        """Pairwise conflicts first, then the short chain of priorities: the path that bounds the clock."""
        starting: list[tuple[Engine, Value]] = []
        for engine in START_PRIORITY:
            able = Signal(name=f"{engine.label}_able")
            m.d.comb += able.eq(self._able(engine))
            blocked = Const(0, 1)
            for other, other_starts in starting:
                conflict = (self.head[engine].claims & self.head[other].claims).any()
                blocked |= other_starts & conflict
            m.d.comb += self.start[engine].eq(able & ~blocked)
            starting.append((engine, self.start[engine]))

    def _able(self, engine: Engine) -> Value:
        """All conditions but the claims of what starts in this very cycle."""
        head, flight = self.head[engine], self._flights[engine]
        others = Const(0, self.config.port_count)
        for other in Engine:
            if other != engine:
                others |= self._flights[other].held
        taken = (head.claims & others).any()
        if engine == Engine.VECTOR:
            taken |= self._reads_own_writes(head, flight)
        room = self.ready[engine] & (flight.count != IN_FLIGHT)
        free = Mux(head.nop, flight.count == 0, room & ~taken)
        return self.enable & head.valid & self.willing[engine] & free

    def _reads_own_writes(self, head: data.View, flight: InFlight) -> Value:
        """Whether the head reads a bank to which instructions in flight still write."""
        distance = Port.WRITE - Port.READ
        reads = head.claims & port_mask(self.config, Port.READ)
        return (reads & (flight.held >> distance)).any()
