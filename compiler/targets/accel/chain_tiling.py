"""Chooses tilings of chains: of all the best by a closed form go through the event model, with each lag."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from math import inf

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.targets.accel.cost.chain import LAGS, BlockedChain, ChainTiling
from tilewright.compiler.targets.accel.cost.chain_bound import chain_cycles, instructions_of
from tilewright.compiler.targets.accel.cost.chain_model import chain_cycles_within, likely_chain_cycles
from tilewright.compiler.targets.accel.cost.chain_room import NO_ROOM, ChainRoom
from tilewright.compiler.targets.accel.cost.chain_space import ChainSpace
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.isa.config import Config

_MODELLED = 6
"""How many sizes of tiles go through the event model at most."""
_MODELLED_INSTRUCTIONS = 16384
"""How many instructions do at most, behind the first size; each takes some microseconds."""
_MODELLED_LIKELY = 400
"""The same of one likely tiling."""
_AT_ONCE = 4
"""How many sizes behind the best one, which mostly fits, are asked for at once; then as many times more."""
_REFUSAL = "not even one result of the chain fits the machine: run its layers one by one"


@cache
def choose_chain(
    chain: BlockedChain, config: Config, latency_cycles: int = ASSUMED_LATENCY_CYCLES
) -> ChainTiling:
    """The tiling with the fewest cycles, of those that were tried.

    Raises:
        TilingError: if no tile fits the machine.
    """
    space = ChainSpace(chain=chain, config=config, latency_cycles=latency_cycles)
    best: ChainTiling | None = None
    modelled, left = 0, _MODELLED_INSTRUCTIONS
    for height, width in zip(*(sizes.tolist() for sizes in _sizes(space)), strict=True):
        tilings = [each for lag in LAGS if (each := space.deepest(height, width, lag)) is not None]
        left -= sum(map(instructions_of, tilings))
        if best is not None and (left < 0 or modelled >= _MODELLED * len(LAGS)):
            break
        for tiling in tilings:
            modelled += 1
            # No cycle less is no better.
            cycles = chain_cycles_within(tiling, inf if best is None else best.cycles - 1)
            best = best if cycles is None else replace(tiling, cycles=cycles)
    if best is None:
        raise TilingError(_REFUSAL)
    return best


def likely_chain(
    chain: BlockedChain, config: Config, latency_cycles: int = ASSUMED_LATENCY_CYCLES
) -> ChainTiling:
    """The best tiling by the closed form, with about the event model's cycles: near `choose_chain`.

    It takes a tenth of the time, and is there to compare machines by.

    Raises:
        TilingError: if no tile fits the machine.
    """
    space = ChainSpace(chain=chain, config=config, latency_cycles=latency_cycles)
    for height, width, lag in _likely(space):
        tiling = space.deepest(height, width, lag)
        if tiling is not None:
            return replace(tiling, cycles=likely_chain_cycles(tiling, _MODELLED_LIKELY))
    raise TilingError(_REFUSAL)


def _likely(space: ChainSpace) -> Iterator[tuple[int, int, int]]:
    """Heights, widths and lags: the best by the closed form, and then the best that fit."""
    room, (heights, widths) = ChainRoom(space.chain, space.config), _sizes(space)
    yield from product(heights[:1].tolist(), widths[:1].tolist(), reversed(LAGS))
    first, count = 1, _AT_ONCE
    while first < len(heights):
        sizes = heights[first : first + count], widths[first : first + count]
        fits = np.stack([room.all_deepest(*sizes, lag) != NO_ROOM for lag in reversed(LAGS)], axis=1)
        for place, number in np.argwhere(fits).tolist():
            yield int(sizes[0][place]), int(sizes[1][place]), LAGS[-1 - number]
        first, count = first + count, _AT_ONCE * count


def _sizes(space: ChainSpace) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Heights and widths of tiles, the best by the closed form first."""
    heights, widths = ChainRoom(space.chain, space.config).sizes_tried()
    cycles = chain_cycles(space.chain, space.config, heights, widths, space.latency_cycles)
    order = np.argsort(cycles, kind="stable")
    return heights[order], widths[order]
