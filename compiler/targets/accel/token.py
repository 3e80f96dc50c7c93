"""Tokens: the fewest waits and signals that keep the engines from overtaking each other where it matters.

Each instruction must follow the newest conflicting instruction of each other engine. A token goes there only
where that is newer than what the consumer follows already, through earlier tokens or through other engines.

Producers stand before consumers in the program, and at no position are more tokens under way than a counter
holds. So running the instructions one after the other in their order is possible, and since no start
of an engine ever takes from another what that one needs, no run of the machine gets stuck.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tilewright.compiler.targets.accel.access_log import AccessLog
from tilewright.isa.access_table import access_table
from tilewright.isa.config import Config
from tilewright.isa.encoding import ProgramTable, decode_table, encode_program
from tilewright.isa.instruction import Instruction
from tilewright.isa.memory import Engine
from tilewright.isa.order import engines_of


def with_tokens(program: Sequence[Instruction], config: Config) -> list[Instruction]:
    """The program with tokens by which it computes what its instructions mean in their order.

    Args:
        program: placed instructions; their waits and signals are replaced, nothing else is.
        config: the machine.
    """
    table = add_tokens(decode_table(encode_program(program)), config)
    masks = zip(program, table.wait.tolist(), table.signal.tolist(), strict=True)
    return [replace(instruction, wait=wait, signal=signal) for instruction, wait, signal in masks]


def add_tokens(table: ProgramTable, config: Config) -> ProgramTable:
    """`with_tokens`, of a program as arrays."""
    planner = _Planner(table, config)
    for index in range(len(table)):
        planner.take(index)
    wait, signal = (np.array(masks, np.int64) for masks in (planner.wait, planner.signal))
    return replace(table, wait=wait, signal=signal)


_ENGINES = tuple(map(int, Engine))


@dataclass(slots=True)
class _Token:
    """A token between two engines, by positions in the program.

    Members:
        producer, consumer: the instruction that signals, and the one that waits.
        needed: the producer that the consumer asked for; a later one signals where tokens were merged.
    """

    producer: int
    consumer: int
    needed: int


class _Planner:
    """Goes through a program once and knows at each instruction what surely finished before it.

    Members:
        wait, signal: masks of each instruction, once all have been taken.
    """

    def __init__(self, table: ProgramTable, config: Config) -> None:
        # Plain numbers: members of an enumeration are slow as indices and keys.
        engines = np.array([-1 if engine is None else engine for engine in engines_of(table)], np.int64)
        self._log, self._capacity = AccessLog(access_table(table, config), engines), config.token_capacity
        self._engines: list[int] = engines.tolist()
        # Positions in the program of the instructions of each engine.
        self._of: tuple[list[int], ...] = tuple([] for _ in Engine)
        # By engine: how many instructions of each have finished when its latest instruction starts.
        self._latest = [[0] * len(Engine) for _ in Engine]
        # The same for every instruction so far.
        self._clocks: list[list[int]] = []
        # By producer and consumer.
        self._tokens: list[list[list[_Token]]] = [[[] for _ in Engine] for _ in Engine]
        self.wait = [0] * len(table)
        self.signal = [0] * len(table)

    def take(self, index: int) -> None:
        """Let the next instruction wait for what it must follow."""
        engine = self._engines[index]
        if engine < 0:
            self._clocks.append([])
            return
        clock = list(self._latest[engine])
        needs = self._log.add(index, clock)
        if needs != clock:
            for producer, signalled in self._producers(clock, needs):
                self._join(clock, producer, signalled)
                self._add_token(producer, self._of[producer][signalled - 1], engine, index)
        self._latest[engine] = clock
        self._clocks.append(clock)
        self._of[engine].append(index)

    def _producers(self, clock: list[int], needs: list[int]) -> list[tuple[int, int]]:
        """The engines, and positions of their instructions, whose tokens fulfil `needs`."""
        wanted = [engine for engine in _ENGINES if needs[engine] > clock[engine]]
        if len(wanted) == 1:
            return [(wanted[0], needs[wanted[0]])]
        starts = {engine: self._clocks[self._of[engine][needs[engine] - 1]] for engine in wanted}
        return [
            (engine, needs[engine])
            for engine in wanted
            if all(starts[other][engine] < needs[engine] for other in wanted)
        ]

    def _join(self, clock: list[int], producer: int, signalled: int) -> None:
        """Note in `clock` what has finished once instruction `signalled` of an engine has."""
        started = self._clocks[self._of[producer][signalled - 1]]
        clock[:] = map(max, clock, started)
        clock[producer] = max(clock[producer], signalled)

    def _add_token(self, producer: int, signal_at: int, consumer: int, wait_at: int) -> None:
        """Add a token; merge two if there were more under way at its producer than a counter holds."""
        tokens = self._tokens[producer][consumer]
        tokens.append(_Token(signal_at, wait_at, signal_at))
        self.signal[signal_at] |= 1 << consumer
        self.wait[wait_at] |= 1 << producer
        under_way = len(tokens)
        while under_way and tokens[under_way - 1].consumer > signal_at:
            under_way -= 1
        if len(tokens) - under_way > self._capacity:
            self._merge(tokens, under_way, producer, consumer)

    def _merge(self, tokens: list[_Token], first: int, producer: int, consumer: int) -> None:
        """Let one consumer from `first` on wait for the next one's producer, where that delays it least.

        All these producers stand before all these consumers. What was concluded from both tokens stays true.
        """

        def delay(k: int) -> int:
            return tokens[k + 1].producer - tokens[k].needed

        k = min(range(first, len(tokens) - 1), key=delay)
        removed = tokens.pop(k + 1)
        self.signal[tokens[k].producer] &= ~(1 << consumer)
        self.wait[removed.consumer] &= ~(1 << producer)
        tokens[k].producer = removed.producer
