"""How an operator's loops may be scheduled: every tiling as a point, one of them chosen by the cost model."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Columns, Space
from tilewright.compiler.targets.accel.chain_tiling import choose_chain, likely_chain
from tilewright.compiler.targets.accel.cost import chain_space, convolution_space, window_space
from tilewright.compiler.targets.accel.cost.chain import BlockedChain
from tilewright.compiler.targets.accel.cost.chain_space import ChainSpace
from tilewright.compiler.targets.accel.cost.convolution_space import ConvolutionSpace
from tilewright.compiler.targets.accel.cost.occupancy import Occupancy
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES, BlockedConvolution, Tiling
from tilewright.compiler.targets.accel.cost.relevant import chain_machine, convolution_machine, window_machine
from tilewright.compiler.targets.accel.cost.window import Windows, WindowTiling
from tilewright.compiler.targets.accel.cost.window_space import WindowSpace
from tilewright.compiler.targets.accel.operator.chain_schedule import chain_schedule
from tilewright.compiler.targets.accel.operator.schedule import Schedule, convolution_schedule
from tilewright.compiler.targets.accel.tiling import choose, likely
from tilewright.compiler.targets.accel.window_tiling import choose_windows, likely_windows
from tilewright.isa.config import Config

_REMEMBERED = 1 << 14
"""Layers whose keys are kept."""


class Tilings(Protocol):
    """The space of an operator's tilings on one machine, and what its own model says of them."""

    @property
    def space(self) -> Space:
        """The knobs and what fits."""

    def cycles(self, point: Point) -> int:
        """By the event model."""

    def occupancy(self, point: Point) -> Occupancy:
        """The work of each engine, in closed form."""

    def instructions(self, point: Point) -> int:
        """Instructions that a point makes, at least."""

    def estimate(self, columns: Columns) -> NDArray[np.float64]:
        """Cycles of many points in closed form."""

    def features(self, columns: Columns) -> NDArray[np.float32]:
        """What tells points apart on any operator of the kind and any machine [n, features]."""


class Likely(NamedTuple):
    """A point, and its cycles by the event model."""

    point: Point
    cycles: int


class Tunable(Protocol):
    """An operator whose schedule may vary."""

    @property
    def kind(self) -> str:
        """Which spaces are alike, so that what is learned of one holds for another."""

    @property
    def key(self) -> str:
        """All that decides what a point costs, but the machine: JSON."""

    @property
    def machine(self) -> Config:
        """The least machine with which `likely` and `default` cost the same."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of `Tilings.features`."""

    def tilings(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> Tilings:
        """The space, for a memory of some latency."""

    def default(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> Point:
        """What the cost model chooses.

        Raises:
            TilingError: if nothing fits the machine.
        """

    def likely(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> Likely:
        """About the default, in a tenth of its time: to compare machines by.

        Raises:
            TilingError: if nothing fits the machine.
        """

    def schedule(self, point: Point) -> Schedule:
        """The schedule of a point that fits."""


@dataclass(frozen=True, kw_only=True)
class TunableConvolution:
    """A convolution, or a product of two activations, on the matrix engine.

    Members:
        convolution, config: what is tiled, for which machine.
        lookup: whether its results are looked up in a table.
        groups: of a product of two activations, whose weights are a stage; 0 for a convolution.
        parted: whether the pixels of such a product come in two parts, and the poolings are their sums.
    """

    convolution: BlockedConvolution
    config: Config
    lookup: bool = False
    groups: int = 0
    parted: bool = False
    kind = "convolution"
    feature_names = convolution_space.FEATURES

    @property
    def key(self) -> str:
        """Its sizes."""
        further = {"parted": True} if self.parted else {}
        return _key(self.kind, self.convolution, lookup=self.lookup, groups=self.groups, **further)

    @property
    def machine(self) -> Config:
        """By `convolution_machine`; of a product in parts all of it, as fine parts take room beside tiles."""
        return self.config if self.parted else convolution_machine(self.convolution, self.config)

    @property
    def _own(self) -> Config:
        """The machine with the activation memory that tiles may take: fine parts lie beside them."""
        if not self.parted:
            return self.config
        return replace(self.config, activation_vectors=self.config.activation_vectors // 2)

    def tilings(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> ConvolutionSpace:
        """Its space."""
        return ConvolutionSpace(
            convolution=self.convolution,
            config=self._own,
            latency_cycles=latency_cycles,
            groups=self.groups,
        )

    def default(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> Point:
        """The search of `choose`; of a product each group has weights of its own: no tile holds two."""
        return self._point(choose(self.convolution, self._own, latency_cycles))

    def likely(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> Likely:
        """By `likely`."""
        tiling = likely(self.convolution, self._own, latency_cycles)
        return Likely(self._point(tiling), max(1, self.groups) * tiling.cycles)

    def _point(self, tiling: Tiling) -> Point:
        point = self.tilings().point(tiling)
        single = {"height": 1, "first_height": 0, "first_reduction_blocks": 0} if self.groups else {}
        return Point({**point, **single})

    def schedule(self, point: Point) -> Schedule:
        """Primitives for the loops of `ConvolutionNest`, or of a product."""
        return convolution_schedule(
            self.tilings().tiling(point),
            pooled=self.convolution.pools and not self.parted,
            residual=self.convolution.residual,
            lookup=self.lookup,
            copied=self.groups > 0,
            parted=self.parted,
        )


@dataclass(frozen=True, kw_only=True)
class TunableWindows:
    """What the vector engine does alone.

    Members:
        windows, config: what is tiled, for which machine.
        loops: names the loops, for which `primitives` are.
        primitives: the schedule of a tiling.
    """

    windows: Windows
    config: Config
    loops: str
    primitives: Callable[[WindowTiling], Schedule]
    kind = "windows"
    feature_names = window_space.FEATURES

    @property
    def key(self) -> str:
        """Its sizes."""
        return _key(self.kind, self.windows, loops=self.loops)

    @property
    def machine(self) -> Config:
        """By `window_machine`."""
        return window_machine(self.windows, self.config)

    def tilings(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> WindowSpace:
        """Its space."""
        return WindowSpace(windows=self.windows, config=self.config, latency_cycles=latency_cycles)

    def default(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> Point:
        """The search of `choose_windows`."""
        tilings = self.tilings(latency_cycles)
        return tilings.point(choose_windows(self.windows, self.config, latency_cycles))

    def likely(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> Likely:
        """By `likely_windows`."""
        found = likely_windows(self.windows, self.config, latency_cycles)
        return Likely(self.tilings(latency_cycles).point(found), found.cycles)

    def schedule(self, point: Point) -> Schedule:
        """Primitives for its loops."""
        return self.primitives(self.tilings().tiling(point))


@lru_cache(maxsize=_REMEMBERED)
def _key(kind: str, sizes: BlockedConvolution | Windows | BlockedChain, **further: Any) -> str:
    return json.dumps({"kind": kind, **further, **asdict(sizes)}, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True)
class TunableChain:
    """An expansion, a depthwise convolution and a projection, of which what is between stays on the chip.

    Members:
        chain, config: what is tiled, for which machine.
    """

    chain: BlockedChain
    config: Config
    kind = "chain"
    feature_names = chain_space.FEATURES

    @property
    def key(self) -> str:
        """Its sizes."""
        return _key(self.kind, self.chain)

    @property
    def machine(self) -> Config:
        """By `chain_machine`."""
        return chain_machine(self.chain, self.config)

    def tilings(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> ChainSpace:
        """Its space."""
        return ChainSpace(chain=self.chain, config=self.config, latency_cycles=latency_cycles)

    def default(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> Point:
        """The search of `choose_chain`."""
        return self.chosen(latency_cycles).point

    def chosen(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> Likely:
        """The same with its cycles.

        Raises:
            TilingError: if nothing fits the machine.
        """
        found = choose_chain(self.chain, self.config, latency_cycles)
        return Likely(self.tilings(latency_cycles).point(found), found.cycles)

    def likely(self, latency_cycles: int = ASSUMED_LATENCY_CYCLES) -> Likely:
        """By `likely_chain`."""
        found = likely_chain(self.chain, self.config, latency_cycles)
        return Likely(self.tilings(latency_cycles).point(found), found.cycles)

    def schedule(self, point: Point) -> Schedule:
        """Primitives for the loops of `ChainNest`."""
        return chain_schedule(self.tilings().tiling(point))
