"""Tokens: the fewest waits and signals that keep the engines from overtaking each other where it matters.

Each instruction must follow the newest conflicting instruction of each other engine. A token goes there only
where that is newer than what the taker follows already, through earlier tokens or through other engines.

Givers stand before takers in the program, and at no place of the program are more tokens under way than a
counter holds. So running the instructions one after the other in their order is possible, and since no start
of an engine ever takes from another what that one needs, no run of the machine gets stuck.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.targets.accel.history import History
from tilewright.isa.config import Config
from tilewright.isa.footprint import footprint
from tilewright.isa.instruction import Instruction
from tilewright.isa.memory import Engine


def with_tokens(program: Sequence[Instruction], config: Config) -> list[Instruction]:
    """The program with tokens by which it computes what its instructions mean in their order.

    Args:
        program: placed instructions; their waits and signals are replaced, nothing else is.
        config: the machine.
    """
    planner = _Planner(program, config)
    for index in range(len(program)):
        planner.take(index)
    return [_set(instruction, *planner.masks(index)) for index, instruction in enumerate(program)]


def _set(instruction: Instruction, wait: int, signal: int) -> Instruction:
    if (instruction.wait, instruction.signal) == (wait, signal):
        return instruction
    return replace(instruction, wait=wait, signal=signal)


@dataclass
class _Token:
    """A token between two engines, by places in the program.

    Members:
        giver, taker: who signals, who waits.
        needed: the giver that the taker asked for; a later one gives where tokens were merged.
    """

    giver: int
    taker: int
    needed: int


class _Planner:
    """Goes through a program once and knows at each instruction what surely finished before it."""

    def __init__(self, program: Sequence[Instruction], config: Config) -> None:
        self._program, self._config = program, config
        self._history = History()
        # Places in the program of the instructions of each engine.
        self._of: tuple[list[int], ...] = tuple([] for _ in Engine)
        # By engine: how many instructions of each have finished when its latest instruction starts.
        self._latest = [[0] * len(Engine) for _ in Engine]
        # The same for every instruction so far.
        self._clocks: list[list[int]] = []
        self._tokens: dict[tuple[Engine, Engine], list[_Token]] = {
            (giver, taker): [] for giver in Engine for taker in Engine if giver != taker
        }
        self._wait = [0] * len(program)
        self._signal = [0] * len(program)

    def take(self, index: int) -> None:
        """Let the next instruction wait for what it must follow."""
        instruction = self._program[index]
        engine = instruction.engine
        self._clocks.append([])
        if engine is None:
            return
        clock, position = list(self._latest[engine]), len(self._of[engine]) + 1
        needs = self._history.add(footprint(instruction, self._config), engine, position, clock)
        for giver, given in self._givers(clock, needs):
            self._join(clock, giver, given)
            self._give(giver, self._of[giver][given - 1], engine, index)
        self._latest[engine] = self._clocks[index] = clock
        self._of[engine].append(index)

    def masks(self, index: int) -> tuple[int, int]:
        """Wait and signal of an instruction, once all have been taken."""
        return self._wait[index], self._signal[index]

    def _givers(self, clock: list[int], needs: list[int]) -> list[tuple[Engine, int]]:
        """The engines, and positions of their instructions, from which tokens bring `needs` about."""
        wanted = [engine for engine in Engine if needs[engine] > clock[engine]]
        starts = {engine: self._clocks[self._of[engine][needs[engine] - 1]] for engine in wanted}
        return [
            (engine, needs[engine])
            for engine in wanted
            if all(starts[other][engine] < needs[engine] for other in wanted)
        ]

    def _join(self, clock: list[int], giver: Engine, given: int) -> None:
        """Note in `clock` what has finished once instruction `given` of an engine has."""
        started = self._clocks[self._of[giver][given - 1]]
        clock[:] = map(max, clock, started)
        clock[giver] = max(clock[giver], given)

    def _give(self, giver: Engine, given: int, taker: Engine, taken: int) -> None:
        """Add a token; merge two if there were more under way at its giver than a counter holds."""
        tokens = self._tokens[giver, taker]
        tokens.append(_Token(given, taken, given))
        self._signal[given] |= 1 << taker
        self._wait[taken] |= 1 << giver
        under_way = len(tokens)
        while under_way and tokens[under_way - 1].taker > given:
            under_way -= 1
        if len(tokens) - under_way > self._config.token_capacity:
            self._merge(tokens, under_way, giver, taker)

    def _merge(self, tokens: list[_Token], first: int, giver: Engine, taker: Engine) -> None:
        """Let one taker, of those from `first` on, wait for the next one's giver, where that delays it least.

        All these givers stand before all these takers. What was concluded from both tokens stays true.
        """

        def delay(k: int) -> int:
            return tokens[k + 1].giver - tokens[k].needed

        k = min(range(first, len(tokens) - 1), key=delay)
        removed = tokens.pop(k + 1)
        self._signal[tokens[k].giver] &= ~(1 << taker)
        self._wait[removed.taker] &= ~(1 << giver)
        tokens[k].giver = removed.giver
