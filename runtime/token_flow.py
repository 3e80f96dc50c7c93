"""Which instruction gives the tokens that another one waits for, from the program alone."""

from typing import NamedTuple

import numpy as np

from tilewright.isa.encoding import IntArray, ProgramTable
from tilewright.isa.memory import Engine
from tilewright.sim.timeline import Timeline

NOBODY = -1


class TokenFlow(NamedTuple):
    """The tokens from one engine to another that are taken, in their order; places in the program, int64[k].

    Members:
        giver, taker: instructions: the first gives at its finish, the second takes at its start.
    """

    giver: IntArray
    taker: IntArray


class TokenWaits(NamedTuple):
    """What the tokens of n instructions came from.

    Members:
        ready: int64[n], the first cycle in which an instruction has all its tokens, and room for those that
            it gives; 0 for one without, the program's cycles if that never came.
        blamed: int64[n], the engine that gave, or made room, last; `NOBODY` for an instruction without.
    """

    ready: IntArray
    blamed: IntArray


def token_flows(table: ProgramTable, engine: IntArray) -> dict[tuple[Engine, Engine], TokenFlow]:
    """The tokens of each ordered pair of engines: the k-th that is given is the k-th that is taken.

    Args:
        table: of a program.
        engine: of each instruction, int64[n]; -1: of none.
    """
    flows = {}
    for giver in Engine:
        for taker in Engine:
            gives, takes = _sides(table, engine, giver, taker)
            count = min(len(gives), len(takes))
            if count:
                flows[giver, taker] = TokenFlow(gives[:count], takes[:count])
    return flows


def token_waits(table: ProgramTable, timeline: Timeline, capacity: int) -> TokenWaits:
    """When instructions had their tokens, from the starts and finishes of all: docs/machine.md, "Start".

    Args:
        table: of the program.
        timeline: of a run of it on any device.
        capacity: tokens of one pair, given or promised, at most.
    """
    ready = np.zeros((len(Engine), len(table)), np.int64)
    for giver in Engine:
        for taker in Engine:
            gives, takes = _sides(table, timeline.engine, giver, taker)
            _raise(ready[giver], takes, timeline.finish[gives], timeline.cycles)
            # A token can be promised when the one that many before it was taken.
            _raise(ready[taker], gives[capacity:], timeline.start[takes], timeline.cycles)
    latest = ready.max(axis=0)
    return TokenWaits(latest, np.where(latest > 0, ready.argmax(axis=0), NOBODY))


def _sides(table: ProgramTable, engine: IntArray, giver: Engine, taker: Engine) -> tuple[IntArray, IntArray]:
    """The places of instructions that give tokens of a pair, and of those that take them."""
    gives = np.flatnonzero((engine == giver) & (table.signal >> taker & 1 == 1))
    return gives, np.flatnonzero((engine == taker) & (table.wait >> giver & 1 == 1))


def _raise(ready: IntArray, places: IntArray, cycles: IntArray, end: int) -> None:
    """What happens in a cycle is felt in the next one; what never happens, never."""
    happened = np.full(len(places), end, np.int64)
    count = min(len(places), len(cycles))
    happened[:count] = np.where(cycles[:count] >= 0, cycles[:count] + 1, end)
    ready[places] = np.minimum(np.maximum(ready[places], happened), end)
