"""Who may start: tokens, room for tokens, port claims and instructions in flight."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.decode import TOKEN_BITS
from tilewright.hw.queue import Queue
from tilewright.isa.config import IN_FLIGHT, Config
from tilewright.isa.instruction import ENGINE_OF
from tilewright.isa.memory import START_PRIORITY, Engine, Memory, Port
from tilewright.isa.operand import OPERANDS


def head_layout(config: Config) -> data.StructLayout:
    """What the scoreboard sees of the head of a queue."""
    return data.StructLayout(
        {"valid": 1, "nop": 1, "wait": TOKEN_BITS, "signal": TOKEN_BITS, "claims": config.port_count}
    )


def ports(config: Config, port: Port) -> list[int]:
    """The read or the write ports of all banks, as positions in the claim mask."""
    banks = ((memory, bank) for memory in Memory for bank in range(config.banks(memory)))
    return [config.port_index(memory, bank, port) for memory, bank in banks]


def claimable(config: Config, engine: Engine) -> list[int]:
    """The ports that an engine can ever claim, as positions in the claim mask."""
    claimed = {
        config.port_index(memory, bank, port)
        for kind, rows in OPERANDS.items()
        if ENGINE_OF[kind.opcode] == engine
        for row in rows
        for memory in row.memories(kind)
        if memory is not None
        for bank in range(config.banks(memory))
        for port in row.ports
    }
    return sorted(claimed)


class InFlight(wiring.Component):
    """The instructions that one engine has started and not finished.

    Members:
        start: In. An instruction with `claims` and `signal` starts in this cycle and does not finish in it.
        finish: In. The oldest finishes in this cycle.
        claims, signal: In. Of the starting one.
        held: Out. The ports claimed by those started before this cycle (one that finishes in it included).
        given: Out. The signals of the oldest.
        some, full: Out. There are any; there are as many as there may be.

    A start is known late in its cycle: what it changes is computed both ways before, and flags that it
    depends on are registers.
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
                "some": Out(1),
                "full": Out(1),
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
        _elaborate_number(m, "all", self.start, self.finish, self.some, self.full)
        for port in claimable(self.config, self.engine):
            taken = self.start & self.claims[port]
            dropped = self.finish & entries.head.claims[port]
            _elaborate_number(m, f"port_{port}", taken, dropped, self.held[port])
        return m


def _elaborate_number(
    m: Module, name: str, more: Value, less: Value, some: Value, full: Value | None = None
) -> None:
    """Counts instructions; `some` and `full` are registers that tell whether there are any, or IN_FLIGHT."""
    number, rest = Signal(range(IN_FLIGHT + 1), name=name), Signal(range(IN_FLIGHT + 1), name=f"{name}_rest")
    m.d.comb += rest.eq(number - less)
    m.d.sync += [number.eq(Mux(more, rest + 1, rest)), some.eq(more | (rest != 0))]
    if full is not None:
        m.d.sync += full.eq((rest == IN_FLIGHT) | (more & (rest == IN_FLIGHT - 1)))


class TokenCounter(wiring.Component):
    """Tokens of one ordered pair of engines: given and not taken, and those plus the promised ones.

    Members:
        promise, give, take: In. Each counts one in this cycle.
        available: Out. One can be taken, a register.
        room: Out. One can be promised, a register.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        available, room = Out(1), Out(1, init=1)
        super().__init__(
            {"promise": In(1), "give": In(1), "take": In(1), "available": available, "room": room}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tokens = Signal(range(self.capacity + 1))
        promised = Signal(range(self.capacity + 1))
        m.d.sync += tokens.eq(tokens + self.give - self.take)
        m.d.sync += promised.eq(promised + self.promise - self.take)
        # What is there is taken, and where there is room is promised: no sum is needed to know the flags.
        m.d.sync += self.available.eq(self.give | (tokens > 1) | ((tokens == 1) & ~self.take))
        filled = (promised == self.capacity) | (self.promise & (promised == self.capacity - 1))
        m.d.sync += self.room.eq(self.take | ~filled)
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
        tokens_ready: Out. For each engine, the head's tokens and room for its tokens are there.
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
                "tokens_ready": Out(engines),
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
            self.in_flight[engine].eq(flight.some),
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
            m.d.comb += self.tokens_ready[engine].eq(~Cat(*missing[engine]).any())

    def _elaborate_starts(self, m: Module) -> None:
        """Pairwise conflicts first, then the short chain of priorities: the path that bounds the clock."""
        starting: list[tuple[Engine, Value]] = []
        for engine in START_PRIORITY:
            can_start = Signal(name=f"{engine.label}_can_start")
            m.d.comb += can_start.eq(self._can_start(engine))
            blocked = Const(0, 1)
            for other, other_starts in starting:
                blocked |= other_starts & self._conflict(engine, self.head[other].claims, other)
            m.d.comb += self.start[engine].eq(can_start & ~blocked)
            starting.append((engine, self.start[engine]))

    def _conflict(self, engine: Engine, claims: Value, other: Engine) -> Value:
        """Whether the head claims one of these ports, which another engine claims."""
        shared = set(claimable(self.config, engine)) & set(claimable(self.config, other))
        return Cat(self.head[engine].claims[port] & claims[port] for port in sorted(shared)).any()

    def _can_start(self, engine: Engine) -> Value:
        """All conditions but the claims of what starts in this very cycle."""
        head, flight = self.head[engine], self._flights[engine]
        others = [other for other in Engine if other != engine]
        taken = Cat(self._conflict(engine, self._flights[other].held, other) for other in others).any()
        if engine == Engine.VECTOR:
            taken |= self._reads_own_writes(head, flight)
        room = self.ready[engine] & ~flight.full
        free = Mux(head.nop, ~flight.some, room & ~taken)
        return self.enable & head.valid & self.tokens_ready[engine] & free

    def _reads_own_writes(self, head: data.View, flight: InFlight) -> Value:
        """Whether the head reads a bank to which instructions in flight still write."""
        reads = set(claimable(self.config, Engine.VECTOR)) & set(ports(self.config, Port.READ))
        distance = Port.WRITE - Port.READ
        return Cat(head.claims[port] & flight.held[port + distance] for port in sorted(reads)).any()
