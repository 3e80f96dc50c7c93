from collections import Counter, deque
from random import Random

import pytest
from amaranth.sim import Simulator

from tilewright.hw.scoreboard import Scoreboard, claimable
from tilewright.isa.config import IN_FLIGHT, Config
from tilewright.isa.memory import START_PRIORITY, Engine, Memory, Port

CONFIG = Config(
    rows=4,
    cols=4,
    activation_banks=2,
    activation_vectors=16,
    weight_vectors=16,
    accumulator_vectors=16,
    parameter_vectors=16,
    burst_bytes=64,
    token_capacity=2,
)
OUTPUTS = ("start", "run", "done", "in_flight", "tokens_ready")


def write_of(port):
    """The write port of the bank of a read port; None for a write port."""
    for memory in Memory:
        for bank in range(CONFIG.banks(memory)):
            if port == CONFIG.port_index(memory, bank, Port.READ):
                return CONFIG.port_index(memory, bank, Port.WRITE)
    return None


class Head:
    """What may start: its engine, whether it is a nop, the engines it waits for and signals, its ports."""

    def __init__(self, random, engine):
        others = [other for other in Engine if other != engine]
        self.engine, self.nop = engine, random.random() < 0.15
        self.wait = {other for other in others if random.random() < 0.1}
        self.signal = {other for other in others if random.random() < 0.12}
        some = random.choice((0, 0.1, 0.3))
        self.claims = {port for port in claimable(CONFIG, engine) if not self.nop and random.random() < some}


class Model:
    """The start conditions of docs/machine.md, one sentence a line."""

    def __init__(self):
        self.flights = {engine: deque() for engine in Engine}
        self.tokens, self.promised = Counter(), Counter()

    def tokens_ready(self, head):
        given = all(self.tokens[giver, head.engine] > 0 for giver in head.wait)
        return given and all(self.promised[head.engine, x] < CONFIG.token_capacity for x in head.signal)

    def blocked(self, head, starting):
        others = [other for engine in Engine if engine != head.engine for other in self.flights[engine]]
        if any(head.claims & other.claims for other in (*others, *starting)):
            return True
        own_writes = {port for own in self.flights[head.engine] for port in own.claims}
        return head.engine == Engine.VECTOR and any(write_of(port) in own_writes for port in head.claims)

    def starts(self, heads, ready):
        starting = []
        for engine in START_PRIORITY:
            head, flight = heads.get(engine), self.flights[engine]
            if head is None or not self.tokens_ready(head):
                continue
            free = not flight if head.nop else ready[engine] and len(flight) < IN_FLIGHT
            if free and not self.blocked(head, starting):
                starting.append(head)
        return starting

    def step(self, starting, finishing):
        for engine in finishing:
            self._give(self.flights[engine].popleft())
        for head in starting:
            self.promised.update((head.engine, taker) for taker in head.signal)
            taken = Counter((giver, head.engine) for giver in head.wait)
            self.tokens.subtract(taken)
            self.promised.subtract(taken)
            if head.nop:
                self._give(head)
            else:
                self.flights[head.engine].append(head)

    def _give(self, head):
        self.tokens.update((head.engine, taker) for taker in head.signal)


def mask(engines):
    return sum(1 << item for item in engines)


def show(ctx, board, heads, ready, finishing, enable):
    """Drive the inputs of a cycle."""
    for engine in Engine:
        head, port = heads.get(engine), board.head[engine]
        ctx.set(port.valid, head is not None)
        if head is not None:
            ctx.set(port.nop, head.nop)
            for name in ("wait", "signal", "claims"):
                ctx.set(getattr(port, name), mask(getattr(head, name)))
    ctx.set(board.ready, mask(engine for engine in Engine if ready[engine]))
    ctx.set(board.finish, mask(finishing))
    ctx.set(board.enable, enable)


def expected(model, heads, starting, finishing):
    """The outputs of a cycle; tokens_ready is looked at where there is a head."""
    running = [head.engine for head in starting if not head.nop]
    passing = [head.engine for head in starting if head.nop]
    flying = [engine for engine in Engine if model.flights[engine]]
    tokens_ready = [engine for engine, head in heads.items() if model.tokens_ready(head)]
    values = ([head.engine for head in starting], running, {*finishing, *passing}, flying, tokens_ready)
    return dict(zip(OUTPUTS, map(mask, values), strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_starts_are_those_of_the_machine_page(seed):
    random, model, board, seen = Random(seed), Model(), Scoreboard(CONFIG), Counter()

    async def bench(ctx):
        heads = {}
        for cycle in range(900):
            slow = cycle // 200 % 3
            for engine in Engine:
                # A head that never starts would end the test early: sometimes it is another one.
                if engine not in heads or random.random() < 0.1:
                    heads.pop(engine, None)
                    if random.random() < 0.8:
                        heads[engine] = Head(random, engine)
            ready = {engine: random.random() < 0.8 for engine in Engine}
            finishing = [e for e in Engine if model.flights[e] and random.random() < (0.5, 0.1, 0.02)[slow]]
            enable = random.random() < 0.97
            show(ctx, board, heads, ready, finishing, enable)
            starting = model.starts(heads, ready) if enable else []
            wanted = expected(model, heads, starting, finishing)
            found = {name: ctx.get(getattr(board, name)) for name in OUTPUTS}
            found["tokens_ready"] &= mask(heads)
            assert found == wanted, f"cycle {cycle}"
            model.step(starting, finishing)
            seen["starts"] += len(starting)
            seen["full"] += any(len(flight) == IN_FLIGHT for flight in model.flights.values())
            for head in starting:
                del heads[head.engine]
            await ctx.tick()

    simulator = Simulator(board)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen["starts"] > 400
    assert seen["full"]
