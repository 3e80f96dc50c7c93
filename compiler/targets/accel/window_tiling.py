"""Chooses tilings of windows: of all the best by a closed form go through the event model.

The best of these do so again with a first row of tiles of another height: a low one is loaded soon, and with
a high one less is left to do when all is loaded.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np

from tilewright.compiler.targets.accel.cost.candidate import parts
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.cost.window import Windows, WindowTiling
from tilewright.compiler.targets.accel.cost.window_bound import window_cycles
from tilewright.compiler.targets.accel.cost.window_model import modelled_window_cycles, tasks_of
from tilewright.compiler.targets.accel.cost.window_space import WindowSpace
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.isa.config import Config
from tilewright.isa.memory import Memory

_MODELLED_TASKS = 3000
"""How many tasks at most go through the event model, of even and of uneven tilings."""
_MADE_UNEVEN = 2
_FIRST_HEIGHTS = 12
_NEVER = np.iinfo(np.int64).max


@cache
def choose_windows(
    windows: Windows, config: Config, latency_cycles: int = ASSUMED_LATENCY_CYCLES
) -> WindowTiling:
    """The tiling with the fewest cycles, of those that were tried.

    Raises:
        TilingError: if not even one result fits the machine.
    """
    space = WindowSpace(windows=windows, config=config, latency_cycles=latency_cycles)
    found = [
        tiling
        for height in parts(windows.height)
        for width in parts(windows.width)
        if (tiling := space.deepest(height, width)) is not None
    ]
    if not found:
        raise TilingError(_refusal(windows, config))
    even = _modelled(sorted(found, key=lambda tiling: int(window_cycles(tiling))))
    uneven = _modelled(each for tiling in even[:_MADE_UNEVEN] for each in _uneven(space, tiling))
    return min((*even, *uneven), key=lambda tiling: tiling.cycles)


def likely_windows(
    windows: Windows, config: Config, latency_cycles: int = ASSUMED_LATENCY_CYCLES
) -> WindowTiling:
    """The best even tiling by the closed form, with the event model's cycles: near `choose_windows`.

    It takes a tenth of the time, and is there to compare machines by.

    Raises:
        TilingError: if not even one result fits the machine.
    """
    space = WindowSpace(windows=windows, config=config, latency_cycles=latency_cycles)
    height, width = map(np.ravel, np.meshgrid(parts(windows.height), parts(windows.width), indexing="ij"))
    cycles = np.where(space.fits(height, width), window_cycles(space.all_deepest(height, width)), _NEVER)
    place = int(np.argmin(cycles))
    best = space.deepest(int(height[place]), int(width[place]))
    if best is None:
        raise TilingError(_refusal(windows, config))
    return replace(best, cycles=modelled_window_cycles(best))


def _modelled(tilings: Iterable[WindowTiling]) -> list[WindowTiling]:
    """The first ones by the event model's cycles, least first, until it has had enough tasks."""
    left, found = _MODELLED_TASKS, list[WindowTiling]()
    for tiling in tilings:
        left -= tasks_of(tiling)
        if found and left < 0:
            break
        found.append(replace(tiling, cycles=modelled_window_cycles(tiling)))
    return sorted(found, key=lambda tiling: tiling.cycles)


def _uneven(space: WindowSpace, tiling: WindowTiling) -> Iterator[WindowTiling]:
    """The same with other heights of the first row of tiles."""
    most = min(2 * tiling.height, tiling.windows.height - 1)
    firsts = [first for first in range(1, most + 1) if first != tiling.height]
    step = max(1, -(-len(firsts) // _FIRST_HEIGHTS))
    for first in firsts[::step]:
        found = space.deepest(tiling.height, tiling.width, first)
        if found is not None:
            yield found


def _refusal(windows: Windows, config: Config) -> str:
    needs = {
        Memory.ACTIVATION: windows.inputs(1, 0) * windows.inputs(1, 1),
        Memory.PARAMETER: windows.parameter_vectors,
    }
    short = [
        f"a bank of {memory.label} memory must hold {need} vectors, not {config.depth(memory)}"
        for memory, need in needs.items()
        if need > config.depth(memory)
    ]
    return "not even one result fits the machine: " + ("; ".join(short) or "it has too few banks")
