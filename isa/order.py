"""What must happen before what: a program run without time, by its tokens, queues and order of dealing alone.

An instruction that can start does so and finishes at once. Each engine works in its order, and a start never
takes from another engine what that one needs, so this run gets as far as any run of the machine does.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tilewright.isa.config import Config
from tilewright.isa.instruction import Instruction
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


def find_order(program: Sequence[Instruction], config: Config) -> Order:
    """Run a program without time."""
    run = _Run(program, config)
    run.run()
    deadlocks = tuple(_Deadlock(run).chains())
    leftovers = () if deadlocks else tuple(run.leftovers())
    return Order(tuple(run.engines), tuple(run.positions), tuple(run.clocks), deadlocks, leftovers)


_MEMBERS = tuple(tuple(engine for engine in Engine if mask >> engine & 1) for mask in range(1 << len(Engine)))
"""The engines of each mask."""


class _Run:
    """The state of the run: what is dealt, what waits in each queue, which tokens lie where."""

    def __init__(self, program: Sequence[Instruction], config: Config) -> None:
        self.program = program
        self.config = config
        self.engines = [instruction.engine for instruction in program]
        self.positions = [0] * len(program)
        self.clocks: list[Clock | None] = [None] * len(program)
        self.dealt = 0
        self.queues: tuple[deque[int], ...] = tuple(deque() for _ in Engine)
        # tokens[giver][taker]: the instructions whose tokens are not taken yet.
        self.tokens: tuple[tuple[deque[int], ...], ...] = tuple(
            tuple(deque() for _ in Engine) for _ in Engine
        )
        self._counts = [0] * len(Engine)
        self._latest: list[Clock] = [(0,) * len(Engine)] * len(Engine)

    def run(self) -> None:
        """Deal and start until nothing moves."""
        moved = True
        while moved:
            moved = self._deal()
            for engine in Engine:
                moved |= self._start_heads(engine)

    def _deal(self) -> bool:
        first = self.dealt
        while self.dealt < len(self.program):
            engine = self.engines[self.dealt]
            if engine is not None:
                if len(self.queues[engine]) == self.config.queue_depth:
                    break
                self.queues[engine].append(self.dealt)
                self._counts[engine] += 1
                self.positions[self.dealt] = self._counts[engine]
            self.dealt += 1
        return self.dealt > first

    def _start_heads(self, engine: Engine) -> bool:
        queue, moved = self.queues[engine], False
        while queue and not self.missing(queue[0]) and not self.full(queue[0]):
            self._start(queue.popleft(), engine)
            moved = True
        return moved

    def missing(self, index: int) -> list[Engine]:
        """The engines whose token the instruction waits for in vain."""
        own = self.engines[index]
        assert own is not None
        return [giver for giver in _MEMBERS[self.program[index].wait] if not self.tokens[giver][own]]

    def full(self, index: int) -> list[Engine]:
        """The engines for which no more tokens of the instruction's engine have room."""
        own = self.engines[index]
        assert own is not None
        room, capacity = self.tokens[own], self.config.token_capacity
        return [taker for taker in _MEMBERS[self.program[index].signal] if len(room[taker]) >= capacity]

    def _start(self, index: int, engine: Engine) -> None:
        instruction, clock = self.program[index], self._latest[engine]
        for giver in _MEMBERS[instruction.wait]:
            clock = self._after(clock, self.tokens[giver][engine].popleft(), giver)
        self.clocks[index] = self._latest[engine] = clock
        for taker in _MEMBERS[instruction.signal]:
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
            helper = self._next(giver, lambda other: other.signal >> own & 1)
            return self._describe(index, f"a token from {giver.label}", helper)
        taker = run.full(index)[0]
        helper = self._next(taker, lambda other: other.wait >> own & 1)
        what = f"{taker.label} to take one of the {run.config.token_capacity} tokens that it was given"
        return self._describe(index, what, helper)

    def _next(self, engine: Engine, helps: Callable[[Instruction], int]) -> int | None:
        """The next instruction of an engine that helps."""
        run = self.run
        for index, instruction in enumerate(run.program):
            if run.engines[index] == engine and run.clocks[index] is None and helps(instruction):
                return index
        return None

    def _describe(self, index: int, what: str, helper: int | None) -> Wait:
        """The wait for `what`, which instruction `helper` would bring."""
        run = self.run
        if helper is None:
            return Wait(index, f"{what}, but no later instruction does that", None)
        engine = run.engines[helper]
        assert engine is not None
        if helper >= run.dealt:
            full = run.engines[run.dealt]
            assert full is not None
            text = f"{what} by instruction {helper}, not dealt while the queue of {full.label} is full"
            return Wait(index, text, run.queues[full][0])
        head = run.queues[engine][0]
        behind = "" if head == helper else f", which stands behind instruction {head}"
        return Wait(index, f"{what} by instruction {helper}{behind}", head)
