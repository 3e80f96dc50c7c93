"""Every tiling of a chain as a point: tiles of results, and how far the steps overlap."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Columns, Space
from tilewright.compiler.targets.accel.cost.candidate import parts
from tilewright.compiler.targets.accel.cost.chain import LAGS, BlockedChain, ChainTiling
from tilewright.compiler.targets.accel.cost.chain_bound import (
    chain_cycles,
    chain_occupancy,
    instructions_of,
    whole_busy,
)
from tilewright.compiler.targets.accel.cost.chain_model import modelled_chain_cycles
from tilewright.compiler.targets.accel.cost.chain_room import NO_ROOM, ChainRoom
from tilewright.compiler.targets.accel.cost.occupancy import Occupancy
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.isa.config import Config

FEATURES = ("vector", "matrix_per_vector", "load_per_vector", "store_per_vector", "tiles", "results", "lag")
"""Names of what tells tilings apart on any chain and machine; logarithms to base 2, but for the lag."""


@dataclass(frozen=True, kw_only=True)
class ChainSpace:
    """The tilings of a chain on a machine.

    Members:
        chain, config: what is tiled, for which machine.
        latency_cycles: of the memory outside.
    """

    chain: BlockedChain
    config: Config
    latency_cycles: int = ASSUMED_LATENCY_CYCLES

    @cached_property
    def space(self) -> Space:
        """The knobs and what fits."""
        height, width = self.chain.size
        knobs = (
            Knob("height", tuple(range(1, height + 1))),
            Knob("width", tuple(sorted(parts(width)))),
            Knob("lag", LAGS),
        )
        return Space(knobs, self._fits, lambda _: "its tiles must fit the memories: make them smaller")

    @cached_property
    def _room(self) -> ChainRoom:
        return ChainRoom(self.chain, self.config)

    def tiling(self, point: Point) -> ChainTiling:
        """The tiling of a point that fits."""
        tiling = self.deepest(*(point.number(name) for name in ("height", "width", "lag")))
        assert tiling is not None, "the point fits"
        return tiling

    def deepest(self, height: int, width: int, lag: int) -> ChainTiling | None:
        """The tiling with the depths of most use; None if it does not fit."""
        depths = self._room.deepest(height, width, lag)
        if depths is None:
            return None
        return ChainTiling(
            chain=self.chain,
            config=self.config,
            height=height,
            width=width,
            lag=lag,
            depths=depths,
            latency_cycles=self.latency_cycles,
        )

    def point(self, tiling: ChainTiling) -> Point:
        """The point of a tiling."""
        return Point({"height": tiling.height, "width": tiling.width, "lag": tiling.lag})

    def cycles(self, point: Point) -> int:
        """By the event model."""
        return modelled_chain_cycles(self.tiling(point))

    def occupancy(self, point: Point) -> Occupancy:
        """The work of each engine."""
        return chain_occupancy(self.tiling(point))

    def instructions(self, point: Point) -> int:
        """Instructions of the machine, at least."""
        return instructions_of(self.tiling(point))

    # --- many at once --------------------------------------------------------------------------------------

    def estimate(self, columns: Columns) -> NDArray[np.float64]:
        """Cycles of points in closed form."""
        found = chain_cycles(
            self.chain, self.config, columns["height"], columns["width"], self.latency_cycles
        )
        return found.astype(np.float64)

    def features(self, columns: Columns) -> NDArray[np.float32]:
        """`FEATURES` of points [n, features]."""
        height, width = columns["height"], columns["width"]
        load, matrix, vector, store = whole_busy(self.chain, self.config, height, width, self.latency_cycles)
        tiles = -(-self.chain.size[0] // height) * -(-self.chain.size[1] // width)
        found = (vector, matrix / vector, load / vector, store / vector, tiles, height * width)
        return np.stack([*map(np.log2, found), columns["lag"]], axis=1).astype(np.float32)

    def _fits(self, columns: Columns) -> NDArray[np.bool_]:
        fits = np.zeros(len(columns["lag"]), np.bool_)
        for lag in LAGS:
            places = np.flatnonzero(columns["lag"] == lag)
            height, width = columns["height"][places], columns["width"][places]
            fits[places] = self._room.all_deepest(height, width, lag) != NO_ROOM
        return fits
