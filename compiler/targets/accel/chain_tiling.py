"""Chooses tilings of chains: of all the best by a closed form go through the event model, with each lag."""

from dataclasses import replace
from functools import cache

import numpy as np

from tilewright.compiler.targets.accel.cost.chain import LAGS, BlockedChain, ChainTiling
from tilewright.compiler.targets.accel.cost.chain_bound import chain_cycles, instructions_of
from tilewright.compiler.targets.accel.cost.chain_model import modelled_chain_cycles
from tilewright.compiler.targets.accel.cost.chain_room import ChainRoom
from tilewright.compiler.targets.accel.cost.chain_space import ChainSpace
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.isa.config import Config

_MODELLED = 6
"""How many sizes of tiles go through the event model at most."""
_MODELLED_INSTRUCTIONS = 16384
"""How many instructions do at most, behind the first size; each takes some microseconds."""


@cache
def choose_chain(
    chain: BlockedChain, config: Config, latency_cycles: int = ASSUMED_LATENCY_CYCLES
) -> ChainTiling:
    """The tiling with the fewest cycles, of those that were tried.

    Raises:
        TilingError: if no tile fits the machine.
    """
    space = ChainSpace(chain=chain, config=config, latency_cycles=latency_cycles)
    heights, widths = ChainRoom(chain, config).sizes_tried()
    order = np.argsort(chain_cycles(chain, config, heights, widths, latency_cycles), kind="stable")
    sizes = zip(heights[order].tolist(), widths[order].tolist(), strict=True)
    found: list[ChainTiling] = []
    left = _MODELLED_INSTRUCTIONS
    for height, width in sizes:
        tilings = [each for lag in LAGS if (each := space.deepest(height, width, lag)) is not None]
        left -= sum(map(instructions_of, tilings))
        if found and (left < 0 or len(found) >= _MODELLED * len(LAGS)):
            break
        found += [replace(tiling, cycles=modelled_chain_cycles(tiling)) for tiling in tilings]
    if not found:
        raise TilingError("not even one result of the chain fits the machine: run its layers one by one")
    return min(found, key=lambda tiling: tiling.cycles)
