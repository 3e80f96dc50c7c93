"""Tilings of a convolution: how much of it an instruction computes, and in which order.

The loops are og, yo, xo, oo, oi, io: outer tiles of output blocks, tiles of results, output blocks of the
outer tile, reduction tiles. The blocks of oi are virtual threads: they are interleaved, a reduction tile
each, so that in the first tile, whose loads have nothing to hide behind, few inputs are used by all the
weights that come. A part of the input stays on the chip over the output blocks of an outer tile where its
buffer is deep enough, weights over the tiles of results.

Of all candidates the best by a closed form go through the event model. The best of these do so again with
uneven sizes: tiles that fall in height, and smaller reduction tiles in the first row of tiles.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from math import inf

from tilewright.compiler.targets.accel.cost.candidate import Candidates, uneven
from tilewright.compiler.targets.accel.cost.event_model import cycles_within, instructions_of, modelled_cycles
from tilewright.compiler.targets.accel.cost.problem import (
    ASSUMED_LATENCY_CYCLES,
    BlockedConvolution,
    TileSizes,
    Tiling,
)
from tilewright.isa.config import Config
from tilewright.isa.memory import Memory
from tilewright.numerics.error import TilewrightError

_MADE_UNEVEN = 2
"""How many of the best even tilings, of different widths, are tried with uneven sizes, too."""
_MODELLED_INSTRUCTIONS = 8192
"""How many matrix instructions at most go through the event model, of even and of uneven tilings."""
_MODELLED_LIKELY = 320
"""The same of one likely tiling: the closed form is off by some per cent, of few instructions by more."""
_NEAR = 1600
"""A tiling whose cycles exceed the least by less than one in this many is as good."""


class TilingError(TilewrightError):
    """A convolution of which not even the smallest tile fits the machine."""


@cache
def choose(
    convolution: BlockedConvolution, config: Config, latency_cycles: int = ASSUMED_LATENCY_CYCLES
) -> Tiling:
    """The tiling with the fewest cycles, of those that were tried.

    Raises:
        TilingError: if none fits.
    """
    found = Candidates(convolution, config, latency_cycles)
    if not len(found):
        raise TilingError(_refusal(convolution, config))
    even = _Contest()
    even.enter(found.best())
    # Of widths that are equally good, that of the worst tiling comes first: all of these must be known.
    even.complete()
    best = even.of_widths()[:_MADE_UNEVEN]
    again = _Contest(even.least)
    again.enter(each for tiling in best for each in uneven(tiling))
    return _widest((*even.ranked, *again.entered) or [next(found.best())])


def likely(
    convolution: BlockedConvolution, config: Config, latency_cycles: int = ASSUMED_LATENCY_CYCLES
) -> Tiling:
    """The best even tiling by the closed form, with cycles as the event model has them: near `choose`.

    It takes a tenth of the time, and is there to compare machines by. Of tilings in many instructions the
    cycles are those of the closed form.

    Raises:
        TilingError: if nothing fits.
    """
    found = Candidates(convolution, config, latency_cycles)
    if not len(found):
        raise TilingError(_refusal(convolution, config))
    best = next(found.best())
    if instructions_of(best.tile_sizes) > _MODELLED_LIKELY:
        return best
    return replace(best, cycles=modelled_cycles(best))


def _widest(found: Sequence[Tiling]) -> Tiling:
    """The widest of the tilings that are nearly the best: slow memories need long bursts."""
    least = min(tiling.cycles for tiling in found)
    near = (tiling for tiling in found if tiling.cycles <= _near(least))
    return min(near, key=lambda tiling: (-tiling.tile_sizes.width, tiling.cycles))


def _near(least: float) -> float:
    """The most cycles that are as good as the least."""
    return least if least == inf else least + least // _NEAR


class _Contest:
    """Tilings with the cycles of the event model, but those that surely matter to nobody.

    Members:
        least: cycles of the best one, or those given where none has fewer.
    """

    def __init__(self, least: float | None = None) -> None:
        self._found: list[tuple[Tiling, int | None]] = []
        self.least = inf if least is None else least
        # By width the fewest cycles; where these do not matter, None.
        self._widths: dict[int, float] | None = {} if least is None else None

    def enter(self, found: Iterable[Tiling]) -> None:
        """The first ones, until the event model has had enough instructions."""
        left = _MODELLED_INSTRUCTIONS
        for tiling in found:
            left -= instructions_of(tiling.tile_sizes)
            if left < 0:
                return
            limit = self._limit(tiling.tile_sizes.width)
            cycles = cycles_within(tiling, limit)
            self._found.append((tiling, cycles))
            if cycles is not None:
                self._note(tiling.tile_sizes.width, cycles)

    def complete(self) -> None:
        """Enter those of tied widths, too, that were left out."""
        tied = self._tied()
        for index, (tiling, cycles) in enumerate(self._found):
            if cycles is None and tiling.tile_sizes.width in tied:
                cycles = modelled_cycles(tiling)
                self._found[index] = tiling, cycles

    def _limit(self, width: int) -> float:
        """The most cycles of a tiling that is near the best, or the best of a width that is made uneven."""
        near = _near(self.least)
        if self._widths is None:
            return near
        best = sorted(self._widths.values())[:_MADE_UNEVEN]
        last = best[-1] if len(best) == _MADE_UNEVEN else inf
        return max(near, min(last, self._widths.get(width, inf)))

    def _note(self, width: int, cycles: int) -> None:
        self.least = min(self.least, cycles)
        if self._widths is not None:
            self._widths[width] = min(self._widths.get(width, inf), cycles)

    def _tied(self) -> set[int]:
        """Widths that are as good as another one, where that decides which are made uneven in which order."""
        widths = self._widths or {}
        best = sorted(widths.values())[: _MADE_UNEVEN + 1]
        return {width for width, cycles in widths.items() if best.count(cycles) > 1}

    @property
    def entered(self) -> list[Tiling]:
        """The tilings with their cycles, in their order."""
        return [replace(tiling, cycles=cycles) for tiling, cycles in self._found if cycles is not None]

    @property
    def ranked(self) -> list[Tiling]:
        """The tilings by their cycles."""
        return sorted(self.entered, key=lambda tiling: tiling.cycles)

    def of_widths(self) -> list[Tiling]:
        """The best one of each width, by their cycles."""
        # The last that is put.
        widths = {tiling.tile_sizes.width: tiling for tiling in reversed(self.ranked)}
        return sorted(widths.values(), key=lambda tiling: tiling.cycles)


def _refusal(convolution: BlockedConvolution, config: Config) -> str:
    one = TileSizes(
        convolution=convolution,
        config=config,
        outer_blocks=1,
        height=1,
        width=1,
        taps=(1, 1),
        reduction_blocks=1,
    )
    needs = {
        Memory.ACTIVATION: max(one.input_vectors, one.result_vectors),
        Memory.WEIGHT: one.weight_vectors,
        Memory.ACCUMULATOR: one.accumulator_vectors,
        Memory.PARAMETER: convolution.parameter_vectors,
    }
    short = [
        f"a bank of {memory.label} memory must hold {need} vectors, not {config.depth(memory)}"
        for memory, need in needs.items()
        if need > config.depth(memory)
    ]
    return "not even one result fits the machine: " + ("; ".join(short) or "it has too few banks")
