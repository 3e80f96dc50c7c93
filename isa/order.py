"""What must happen before what: a program without time, by its tokens, queues and order of dispatch.

An instruction that can start does so and finishes at once. Each engine works in its order, and a start never
takes from another engine what that one needs, so this run gets as far as any run of the machine does.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.isa.config import Config
from tilewright.isa.encoding import ProgramTable
from tilewright.isa.instruction import ENGINE_OF, Opcode
from tilewright.isa.memory import Engine

Clock = tuple[int, ...]
"""For each engine, how many of its instructions have surely finished."""


@dataclass(frozen=True)
class Wait:
    """Why an instruction cannot start.

    Members:
        instruction: its place in the program.
        text: what it waits for.
        blocker: the head of a queue that must start first; None if nothing in the program could help.
    """

    instruction: int
    text: str
    blocker: int | None


@dataclass(frozen=True)
class Leftover:
    """Tokens that nobody takes.

    Members:
        giver, taker: the engines.
        instructions: the instructions that gave them.
    """

    giver: Engine
    taker: Engine
    instructions: tuple[int, ...]


@dataclass(frozen=True)
class Order:
    """The outcome of the run.

    Members:
        engines: for each instruction its engine; None for finish.
        positions: for each instruction its place among those of its engine, from 1; 0 for finish.
        clocks: for each instruction what has finished when it starts; None if it never starts, or is finish.
        deadlocks: chains of waits, each one that ends in itself or in a wait that nothing can end.
        leftovers: tokens that nobody takes, if the program ends.
    """

    engines: tuple[Engine | None, ...]
    positions: tuple[int, ...]
    clocks: tuple[Clock | None, ...]
    deadlocks: tuple[tuple[Wait, ...], ...]
    leftovers: tuple[Leftover, ...]


def find_order(table: ProgramTable, config: Config) -> Order:
    """Run a program without time."""
    run = _Run(table, config)
    run.run()
    deadlocks = tuple(_Deadlock(run).chains())
    leftovers = () if deadlocks else tuple(run.leftovers())
    return Order(tuple(run.engines), tuple(run.positions), tuple(run.clocks), deadlocks, leftovers)


def engines_of(table: ProgramTable) -> list[Engine | None]:
    """The engine that runs each instruction; None for finish, and for what is no instruction."""
    engines = np.full(len(table), -1, np.int64)
    for opcode, engine in ENGINE_OF.items():
        engines[table.classes[opcode].rows] = engine
    nops = table.classes[Opcode.NOP]
    engines[nops.rows] = nops.fields["runs_on"]
    # None is the last, which -1 names.
    return list(map([*Engine, None].__getitem__, engines.tolist()))


_ALL = tuple(Engine)
_MEMBERS = tuple(tuple(engine for engine in Engine if mask >> engine & 1) for mask in range(1 << len(Engine)))
"""The engines of each mask."""


class _Run:
    """The state of the run: what is dispatched, what waits in each queue, which tokens lie where."""

    def __init__(self, table: ProgramTable, config: Config) -> None:
        self.config = config
        self.engines = engines_of(table)
        self.waits, self.signals = (
            list(map(_MEMBERS.__getitem__, masks.tolist())) for masks in (table.wait, table.signal)
        )
        self.positions = [0] * len(table)
        self.clocks: list[Clock | None] = [None] * len(table)
        self.dispatched = 0
        self.queues: tuple[deque[int], ...] = tuple(deque() for _ in Engine)
        # tokens[giver][taker]: the instructions whose tokens are not taken yet.
        self.tokens: tuple[tuple[deque[int], ...], ...] = tuple(
            tuple(deque() for _ in Engine) for _ in Engine
        )
        self._counts = [0] * len(Engine)
        self._latest: list[Clock] = [(0,) * len(Engine)] * len(Engine)

    def run(self) -> None:
        """Dispatch and start until nothing moves."""
        moved = True
        while moved:
            moved = self._dispatch()
            for engine in _ALL:
                moved |= self._start_heads(engine)

    def _dispatch(self) -> bool:
        first = self.dispatched
        engines, depth = self.engines, self.config.queue_depth
        while self.dispatched < len(engines):
            engine = engines[self.dispatched]
            if engine is not None:
                if len(self.queues[engine]) == depth:
                    break
                self.queues[engine].append(self.dispatched)
                self._counts[engine] += 1
                self.positions[self.dispatched] = self._counts[engine]
            self.dispatched += 1
        return self.dispatched > first

    def _start_heads(self, engine: Engine) -> bool:
        queue, moved = self.queues[engine], False
        while queue and self._can_start(queue[0], engine):
            self._start(queue.popleft(), engine)
            moved = True
        return moved

    def _can_start(self, index: int, engine: Engine) -> bool:
        tokens, given, capacity = self.tokens, self.tokens[engine], self.config.token_capacity
        for giver in self.waits[index]:
            if not tokens[giver][engine]:
                return False
        return all(len(given[taker]) < capacity for taker in self.signals[index])

    def missing(self, index: int) -> list[Engine]:
        """The engines whose token the instruction waits for in vain."""
        own = self.engines[index]
        assert own is not None
        return [giver for giver in self.waits[index] if not self.tokens[giver][own]]

    def full(self, index: int) -> list[Engine]:
        """The engines for which no more tokens of the instruction's engine have room."""
        own = self.engines[index]
        assert own is not None
        room, capacity = self.tokens[own], self.config.token_capacity
        return [taker for taker in self.signals[index] if len(room[taker]) >= capacity]

    def _start(self, index: int, engine: Engine) -> None:
        clock = self._latest[engine]
        for giver in self.waits[index]:
            clock = self._after(clock, self.tokens[giver][engine].popleft(), giver)
        self.clocks[index] = self._latest[engine] = clock
        for taker in self.signals[index]:
            self.tokens[engine][taker].append(index)

    def _after(self, clock: Clock, index: int, engine: Engine) -> Clock:
        """`clock` with instruction `index` of `engine`, and what had finished when that one started."""
        started = self.clocks[index]
        assert started is not None
        merged = list(map(max, clock, started))
        merged[engine] = max(merged[engine], self.positions[index])
        return tuple(merged)

    def leftovers(self) -> list[Leftover]:
        """Tokens that lie about."""
        return [
            Leftover(giver, taker, tuple(self.tokens[giver][taker]))
            for giver in Engine
            for taker in Engine
            if self.tokens[giver][taker]
        ]


class _Deadlock:
    """Finds out what the instructions that never start wait for."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.heads = sorted(queue[0] for queue in run.queues if queue)

    def chains(self) -> list[tuple[Wait, ...]]:
        """From the head of each queue along what it waits for, each circle of waits once."""
        chains, seen = list[tuple[Wait, ...]](), set[int]()
        for head in self.heads:
            chain, visited = list[Wait](), dict[int, int]()
            at: int | None = head
            while at is not None and at not in visited and at not in seen:
                visited[at] = len(chain)
                chain.append(self._wait(at))
                at = chain[-1].blocker
            # What leads into a chain that is known is no news.
            if at not in seen:
                chains.append(tuple(chain[visited[at] if at is not None else 0 :]))
            seen |= visited.keys()
        return chains

    def _wait(self, index: int) -> Wait:
        run, own = self.run, self.run.engines[index]
        assert own is not None
        if missing := run.missing(index):
            giver = missing[0]
            helper = self._next(giver, run.signals, own)
            return self._describe(index, f"a token from {giver.label}", helper)
        taker = run.full(index)[0]
        helper = self._next(taker, run.waits, own)
        what = f"{taker.label} to take one of the {run.config.token_capacity} tokens that it was given"
        return self._describe(index, what, helper)

    def _next(self, engine: Engine, masks: Sequence[Sequence[Engine]], own: Engine) -> int | None:
        """The next instruction of an engine whose mask names `own`."""
        run = self.run
        for index, members in enumerate(masks):
            if run.engines[index] == engine and run.clocks[index] is None and own in members:
                return index
        return None

    def _describe(self, index: int, what: str, helper: int | None) -> Wait:
        """The wait for `what`, which instruction `helper` would bring."""
        run = self.run
        if helper is None:
            return Wait(index, f"{what}, but no later instruction does that", None)
        engine = run.engines[helper]
        assert engine is not None
        if helper >= run.dispatched:
            full = run.engines[run.dispatched]
            assert full is not None
            text = f"{what} by instruction {helper}, not dispatched while the queue of {full.label} is full"
            return Wait(index, text, run.queues[full][0])
        head = run.queues[engine][0]
        behind = "" if head == helper else f", which stands behind instruction {head}"
        return Wait(index, f"{what} by instruction {helper}{behind}", head)
