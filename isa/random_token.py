"""Tokens that make a random program free of races and deadlocks, given while it grows."""

import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

from tilewright.isa.address import AddressLoops, memory_block, operands
from tilewright.isa.config import Config
from tilewright.isa.instruction import Instruction, Load, Store
from tilewright.isa.memory import Engine, Memory

_EXACT_ADDRESSES = 4096
"""Operands with more addresses conflict as soon as their bounds meet."""


@dataclass(frozen=True)
class _Access:
    """What an instruction touches in one place: `unit` addresses from each of a nest, which counts in slices.

    Members:
        place: a memory on the chip, or the number of a base register.
        write: whether it is written.
    """

    place: tuple[str, int]
    write: bool
    nest: AddressLoops
    unit: int = 1
    slices: int = 1

    @cached_property
    def span(self) -> range:
        """From the first to the last address."""
        low, high = self.nest.bounds()
        return range(low // self.slices, (high + self.unit - 1) // self.slices + 1)

    @cached_property
    def addresses(self) -> frozenset[int] | None:
        """Every address; None if they are many."""
        if prod(self.nest.counts) * self.unit > _EXACT_ADDRESSES:
            return None
        firsts = self.nest.addresses().ravel() // self.slices
        return frozenset(first + step for first in set(firsts.tolist()) for step in range(self.unit))

    def conflicts(self, other: "_Access") -> bool:
        """Whether both touch one address, and one of them writes."""
        if self.place != other.place or not (self.write or other.write):
            return False
        mine, others = self.span, other.span
        if mine.start >= others.stop or others.start >= mine.stop:
            return False
        exact, other_exact = self.addresses, other.addresses
        return exact is None or other_exact is None or not exact.isdisjoint(other_exact)


def _accesses(instruction: Instruction, config: Config) -> Iterator[_Access]:
    for operand in operands(instruction, config):
        yield _Access((operand.memory.label, 0), operand.write, operand.nest, slices=operand.slices)
    if isinstance(instruction, Load | Store):
        block = memory_block(instruction)
        vector_bytes = config.vector_bytes(Memory(instruction.memory))
        unit = instruction.bytes if isinstance(instruction, Store) else vector_bytes
        if 0 not in block.counts:
            yield _Access(("base", instruction.base), isinstance(instruction, Store), block, unit)


@dataclass(eq=False)
class _Node:
    """An instruction of the growing program.

    Members:
        instruction: it, without tokens.
        engine: what runs it.
        place: its place among the instructions of its engine.
        accesses: what it touches.
        before: for each engine, the instructions of it that surely finish before this one starts.
        wait, signal: engines.
    """

    instruction: Instruction
    engine: Engine
    place: int
    accesses: tuple[_Access, ...]
    before: list[int]
    wait: set[Engine] = field(default_factory=set)
    signal: set[Engine] = field(default_factory=set)

    def conflicts(self, other: "_Node") -> bool:
        return any(mine.conflicts(others) for mine in self.accesses for others in other.accesses)

    def tokens(self) -> Instruction:
        """The instruction with its tokens."""
        wait, signal = (sum(1 << engine for engine in engines) for engines in (self.wait, self.signal))
        return replace(self.instruction, wait=wait, signal=signal) if wait or signal else self.instruction


_Token = tuple[_Node, _Node]
"""Giver and taker."""


class Weaver:
    """Adds instructions at the end of a program, each with the tokens that its conflicts ask for.

    A token goes from the conflicting instruction, or a later one of its engine, to the new one. Tokens of a
    pair of engines are given and taken in one order, so each is appended behind the last of its pair.

    Args:
        r: the source of chance.
        config: the machine, whose queues and token counters must not jam.
        extra: probability of a token between two engines that need none.
    """

    def __init__(self, r: random.Random, config: Config, extra: float) -> None:
        self._r, self._config, self._extra = r, config, extra
        self._nodes: list[_Node] = []
        self._of: dict[Engine, list[_Node]] = {engine: [] for engine in Engine}
        self._known = {engine: [0] * len(Engine) for engine in Engine}
        self._tokens: dict[tuple[Engine, Engine], list[_Token]] = {
            (giver, taker): [] for giver in Engine for taker in Engine if giver != taker
        }

    def __len__(self) -> int:
        return len(self._nodes)

    def program(self) -> list[Instruction]:
        """The program so far, without a finish."""
        return [node.tokens() for node in self._nodes]

    def add(self, instruction: Instruction) -> bool:
        """Append an instruction; False if that would jam the machine: then nothing has changed."""
        accesses = tuple(_accesses(instruction, self._config))
        if not any(self._try(instruction, accesses, latest) for latest in (False, True)):
            return False
        node = self._nodes[-1]
        self._known[node.engine] = list(node.before)
        if self._r.random() < self._extra / 2:
            self._give_to_earlier(node)
        return True

    def _try(self, instruction: Instruction, accesses: tuple[_Access, ...], latest: bool) -> bool:
        """Append an instruction whose tokens come from any possible giver, or from the latest."""
        engine = instruction.engine
        assert engine is not None  # A program in the making has no finish.
        place, before = len(self._of[engine]), list(self._known[engine])
        node = _Node(instruction, engine, place, accesses, before)
        self._nodes.append(node)
        self._of[engine].append(node)
        tokens = self._take(node, latest)
        if not self._full(tokens) or runs_through(self._nodes, self._config):
            return True
        self._undo(tokens)
        self._nodes.pop()
        self._of[engine].pop()
        return False

    def _take(self, node: _Node, latest: bool) -> list[_Token]:
        """Give the new node the tokens that it needs, and perhaps others."""
        tokens = []
        for engine in self._r.sample(list(Engine), len(Engine)):
            first = 0 if engine == node.engine else self._first_giver(node, engine)
            givers = self._of[engine][first:] if engine != node.engine else []
            if givers:
                giver = givers[-1] if latest else self._r.choice((givers[0], self._r.choice(givers)))
                tokens.append(self._give(giver, node))
                _learn(node.before, giver)
        return tokens

    def _first_giver(self, node: _Node, engine: Engine) -> int:
        """Place of the first node of an engine that may give the new one a token; the end if none is due."""
        givers, free = self._of[engine], self._free(engine, node.engine)
        for other in reversed(givers[node.before[engine] :]):
            if other.conflicts(node):
                return max(other.place, free)
        return free if self._r.random() < self._extra else len(givers)

    def _free(self, giver: Engine, taker: Engine) -> int:
        """The first place of a giver behind the last token of the pair."""
        tokens = self._tokens[giver, taker]
        return tokens[-1][0].place + 1 if tokens else 0

    def _give(self, giver: _Node, taker: _Node) -> _Token:
        self._tokens[giver.engine, taker.engine].append((giver, taker))
        giver.signal.add(taker.engine)
        taker.wait.add(giver.engine)
        return giver, taker

    def _undo(self, tokens: Sequence[_Token]) -> None:
        for giver, taker in tokens:
            self._tokens[giver.engine, taker.engine].remove((giver, taker))
            giver.signal.remove(taker.engine)
            taker.wait.remove(giver.engine)

    def _full(self, tokens: Sequence[_Token]) -> bool:
        """Whether a counter may be too small for its tokens, so that a giver must wait for a taker."""
        pairs = {(giver.engine, taker.engine) for giver, taker in tokens}
        return any(len(self._tokens[pair]) > self._config.token_capacity for pair in pairs)

    def _give_to_earlier(self, node: _Node) -> None:
        """Let an earlier instruction of another engine wait for this one, if that jams nothing."""
        engine = self._r.choice([engine for engine in Engine if engine != node.engine])
        tokens = self._tokens[node.engine, engine]
        takers = self._of[engine][tokens[-1][1].place + 1 if tokens else 0 :]
        if not takers:
            return
        token = self._give(node, self._r.choice((takers[-1], self._r.choice(takers))))
        if runs_through(self._nodes, self._config):
            _learn(self._known[engine], node)
        else:
            self._undo([token])


def _learn(known: list[int], giver: _Node) -> None:
    """Note what has finished when a token of `giver` was taken."""
    for engine in Engine:
        known[engine] = max(known[engine], giver.before[engine])
    known[giver.engine] = max(known[giver.engine], giver.place + 1)


def runs_through(nodes: Sequence[_Node], config: Config) -> bool:
    """Whether all nodes can run: dispatched in order into queues, started in order, each at once finished.

    The order of what is possible does not matter: nothing that can start is ever taken that possibility.
    """
    queues: dict[Engine, deque[_Node]] = {engine: deque() for engine in Engine}
    tokens: Counter[tuple[Engine, Engine]] = Counter()
    left, running = deque(nodes), True
    while running:
        running = False
        while left and len(queues[left[0].engine]) < config.queue_depth:
            queues[left[0].engine].append(left.popleft())
            running = True
        for engine, queue in queues.items():
            while queue and _can_start(queue[0], tokens, config):
                node = queue.popleft()
                tokens.subtract((giver, engine) for giver in node.wait)
                tokens.update((engine, taker) for taker in node.signal)
                running = True
    return not left and not any(queues.values())


def _can_start(node: _Node, tokens: Counter[tuple[Engine, Engine]], config: Config) -> bool:
    given = all(tokens[giver, node.engine] > 0 for giver in node.wait)
    return given and all(tokens[node.engine, taker] < config.token_capacity for taker in node.signal)
