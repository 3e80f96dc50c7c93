"""Chooses tilings of windows: of all the best by a closed form go through the event model.

The best of these do so again with a first row of tiles of another height: a low one is loaded soon, and with
a high one less is left to do when all is loaded.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

from tilewright.compiler.targets.accel.cost.candidate import parts
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.cost.window import Windows, WindowTiling, window_room
from tilewright.compiler.targets.accel.cost.window_bound import window_cycles
from tilewright.compiler.targets.accel.cost.window_model import modelled_window_cycles, tasks_of
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.isa.config import Config
from tilewright.isa.memory import Memory

MAX_DEPTH = 4
"""The largest depth of buffers: more would not be used."""
MOST_RESULTS = 4095
"""Rows or columns of a tile: the fields of windows have 12 bits."""
_MODELLED_TASKS = 3000
"""How many tasks at most go through the event model, of even and of uneven tilings."""
_MADE_UNEVEN = 2
_FIRST_HEIGHTS = 12


@cache
def choose_windows(
    windows: Windows, config: Config, latency_cycles: int = ASSUMED_LATENCY_CYCLES
) -> WindowTiling:
    """The tiling with the fewest cycles, of those that were tried.

    Raises:
        TilingError: if not even one result fits the machine.
    """
    found = [
        tiling
        for height in parts(windows.height)
        for width in parts(windows.width)
        if (tiling := window_tiling(windows, config, height, width, latency_cycles)) is not None
    ]
    if not found:
        raise TilingError(_refusal(windows, config))
    even = _modelled(sorted(found, key=window_cycles))
    uneven = _modelled(each for tiling in even[:_MADE_UNEVEN] for each in _uneven(tiling))
    return min((*even, *uneven), key=lambda tiling: tiling.cycles)


def window_tiling(
    windows: Windows,
    config: Config,
    height: int,
    width: int,
    latency_cycles: int = ASSUMED_LATENCY_CYCLES,
    first_height: int | None = None,
) -> WindowTiling | None:
    """The tiling of these sizes with the largest depths of use; None if none fits."""
    if max(height, first_height or 0, width) > MOST_RESULTS:
        return None
    room = window_room(windows, config, max(height, first_height or 0), width)
    if not room.is_enough:
        return None
    return WindowTiling(
        windows=windows,
        config=config,
        height=height,
        width=width,
        first_height=first_height,
        input_depth=min(room.inputs, MAX_DEPTH),
        result_depth=min(room.results, MAX_DEPTH),
        accumulator_depth=min(room.accumulators, MAX_DEPTH),
        parameter_depth=min(room.parameters, windows.blocks),
        latency_cycles=latency_cycles,
    )


def _modelled(tilings: Iterable[WindowTiling]) -> list[WindowTiling]:
    """The first ones by the event model's cycles, least first, until it has had enough tasks."""
    left, found = _MODELLED_TASKS, list[WindowTiling]()
    for tiling in tilings:
        left -= tasks_of(tiling)
        if found and left < 0:
            break
        found.append(replace(tiling, cycles=modelled_window_cycles(tiling)))
    return sorted(found, key=lambda tiling: tiling.cycles)


def _uneven(tiling: WindowTiling) -> Iterator[WindowTiling]:
    """The same with other heights of the first row of tiles."""
    height, most = tiling.height, min(2 * tiling.height, tiling.windows.height)
    firsts = [first for first in range(1, most + 1) if first != height]
    step = max(1, -(-len(firsts) // _FIRST_HEIGHTS))
    for first in firsts[::step]:
        found = window_tiling(
            tiling.windows, tiling.config, height, tiling.width, tiling.latency_cycles, first
        )
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
