"""Every tiling of a chain as a point: tiles of results, and how far the steps overlap."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Columns, Space
from tilewright.compiler.targets.accel.cost.candidate import parts
from tilewright.compiler.targets.accel.cost.chain import LAGS, BlockedChain, ChainTiling, deepest
from tilewright.compiler.targets.accel.cost.chain_bound import (
    chain_busy,
    chain_cycles,
    chain_occupancy,
    instructions_of,
)
from tilewright.compiler.targets.accel.cost.chain_model import modelled_chain_cycles
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

    def tiling(self, point: Point) -> ChainTiling:
        """The tiling of a point that fits."""
        tiling = self.deepest(*(point.number(name) for name in ("height", "width", "lag")))
        assert tiling is not None, "the point fits"
        return tiling

    def deepest(self, height: int, width: int, lag: int) -> ChainTiling | None:
        """The tiling with the depths of most use; None if it does not fit."""
        depths = deepest(self.chain, self.config, height, width, lag)
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
        found = [
            chain_cycles(self.chain, self.config, height, width, self.latency_cycles)
            for height, width, _ in _rows(columns)
        ]
        return np.array(found, np.float64)

    def features(self, columns: Columns) -> NDArray[np.float32]:
        """`FEATURES` of points [n, features]."""
        return np.array([self._features(*row) for row in _rows(columns)], np.float32).reshape(
            -1, len(FEATURES)
        )

    def _features(self, height: int, width: int, lag: int) -> list[float]:
        tiles = chain_busy(self.chain, self.config, height, width, self.latency_cycles)
        load, matrix, vector, store = (sum(each) for each in zip(*tiles, strict=True))
        found = (vector, matrix / vector, load / vector, store / vector, len(tiles), height * width)
        return [*np.log2(found).tolist(), float(lag)]

    def _fits(self, columns: Columns) -> NDArray[np.bool_]:
        return np.array([self.deepest(*row) is not None for row in _rows(columns)], np.bool_)


def _rows(columns: Columns) -> list[list[int]]:
    """Height, width and lag of each point."""
    rows: list[list[int]] = np.stack([columns[n] for n in ("height", "width", "lag")], axis=1).tolist()
    return rows
