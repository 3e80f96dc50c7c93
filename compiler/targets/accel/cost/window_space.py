"""Every tiling of windows as a point: tiles, stages of buffers, another height of the first row of tiles."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Columns, Space
from tilewright.compiler.targets.accel.cost.candidate import parts
from tilewright.compiler.targets.accel.cost.occupancy import Occupancy, window_occupancy
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES, Number
from tilewright.compiler.targets.accel.cost.window import Windows, WindowTiling, window_room
from tilewright.compiler.targets.accel.cost.window_bound import (
    WindowCosts,
    first_and_last,
    window_busy,
    window_cycles,
)
from tilewright.compiler.targets.accel.cost.window_model import modelled_window_cycles
from tilewright.isa.config import Config

MAX_DEPTH = 4
"""The largest depth of buffers: more would not be used."""
MOST_RESULTS = 4095
"""Rows or columns of a tile: the fields of windows have 12 bits."""
_DEPTHS = {"input_stages": "inputs", "result_stages": "results", "accumulator_stages": "accumulators"}
FEATURES = (
    "work",
    "bus_per_work",
    "store_per_work",
    "tiles",
    "results",
    "input_stages",
    "result_stages",
    "first_load",
    "last_work",
)
"""Names of what tells tilings apart on any windows and machine; logarithms to base 2."""


@dataclass(frozen=True, kw_only=True)
class WindowSpace:
    """The tilings of windows on a machine.

    Members:
        windows, config: what is tiled, for which machine.
        latency_cycles: of the memory outside.
    """

    windows: Windows
    config: Config
    latency_cycles: int = ASSUMED_LATENCY_CYCLES

    @cached_property
    def space(self) -> Space:
        """The knobs and what fits."""
        windows = self.windows
        stages = tuple(range(1, MAX_DEPTH + 1))
        knobs = (
            Knob("height", tuple(range(1, windows.height + 1))),
            Knob("width", tuple(sorted(parts(windows.width)))),
            Knob("first_height", tuple(range(windows.height))),
            Knob("input_stages", stages),
            Knob("result_stages", stages),
            Knob("accumulator_stages", stages if windows.keeps_accumulators else (1,)),
        )
        return Space(knobs, self._fits, self._why_not)

    # --- points and tilings --------------------------------------------------------------------------------

    def tiling(self, point: Point) -> WindowTiling:
        """The tiling of a point that fits."""
        height, first = point.number("height"), point.number("first_height")
        width = point.number("width")
        room = window_room(self.windows, self.config, max(height, first), width)
        return WindowTiling(
            windows=self.windows,
            config=self.config,
            height=height,
            width=width,
            first_height=first or None,
            input_depth=point.number("input_stages"),
            result_depth=point.number("result_stages"),
            accumulator_depth=point.number("accumulator_stages"),
            parameter_depth=min(room.parameters, self.windows.blocks),
            latency_cycles=self.latency_cycles,
        )

    def fits(self, height: Number, width: Number) -> Number:
        """Whether tiles of these sizes fit; ints, or int64[n]."""
        is_small = np.maximum(height, width) <= MOST_RESULTS
        return window_room(self.windows, self.config, height, width).is_enough & is_small

    def all_deepest(self, height: Number, width: Number) -> WindowTiling:
        """The tilings of these sizes with the largest depths of use, where they fit; ints, or int64[n]."""
        room = window_room(self.windows, self.config, height, width)
        return WindowTiling(
            windows=self.windows,
            config=self.config,
            height=height,
            width=width,
            input_depth=np.minimum(room.inputs, MAX_DEPTH),
            result_depth=np.minimum(room.results, MAX_DEPTH),
            accumulator_depth=np.minimum(room.accumulators, MAX_DEPTH)
            if self.windows.keeps_accumulators
            else 1,
            parameter_depth=min(room.parameters, self.windows.blocks),
            latency_cycles=self.latency_cycles,
        )

    def deepest(self, height: int, width: int, first_height: int | None = None) -> WindowTiling | None:
        """The tiling of these sizes with the largest depths of use; None if it does not fit."""
        most = max(height, first_height or 0)
        if not self.fits(most, width) or not self._is_seen(height, first_height or 0):
            return None
        deepest = self.all_deepest(most, width)
        return replace(
            deepest,
            height=height,
            first_height=first_height,
            input_depth=int(deepest.input_depth),
            result_depth=int(deepest.result_depth),
            accumulator_depth=int(deepest.accumulator_depth),
        )

    def point(self, tiling: WindowTiling) -> Point:
        """The point of a tiling."""
        return Point(
            {
                "height": tiling.height,
                "width": tiling.width,
                "first_height": tiling.first_height or 0,
                "input_stages": tiling.input_depth,
                "result_stages": tiling.result_depth,
                "accumulator_stages": tiling.accumulator_depth,
            }
        )

    def cycles(self, point: Point) -> int:
        """By the event model."""
        return modelled_window_cycles(self.tiling(point))

    def occupancy(self, point: Point) -> Occupancy:
        """The work of each engine."""
        return window_occupancy(self.tiling(point))

    def instructions(self, point: Point) -> int:
        """Instructions of the machine."""
        tiling = self.tiling(point)
        tiles = len(tiling.heights) * len(tiling.widths)
        return self.windows.blocks * tiles * WindowCosts(tiling).instructions

    # --- many at once --------------------------------------------------------------------------------------

    def estimate(self, columns: Columns) -> NDArray[np.float64]:
        """Cycles of points in closed form."""
        return np.asarray(window_cycles(self._tilings(columns)), np.float64)

    def features(self, columns: Columns) -> NDArray[np.float32]:
        """`FEATURES` of points [n, features]."""
        tiling = self._tilings(columns)
        busy, first, last = window_busy(tiling), *first_and_last(tiling)
        tiles = self.windows.height * self.windows.width / (tiling.height * tiling.width)
        found = (
            busy.work,
            busy.load / busy.work,
            busy.store / busy.work,
            tiles,
            tiling.height * tiling.width,
            tiling.input_depth,
            tiling.result_depth,
            first.load / busy.work,
            last.work / busy.work,
        )
        return np.stack([np.log2(np.maximum(each, 1e-9)) for each in found], axis=1).astype(np.float32)

    def _tilings(self, columns: Columns) -> WindowTiling:
        height, first = columns["height"], columns["first_height"]
        return WindowTiling(
            windows=self.windows,
            config=self.config,
            height=height,
            width=columns["width"],
            first_height=np.where(first == 0, height, first),
            input_depth=columns["input_stages"],
            result_depth=columns["result_stages"],
            accumulator_depth=columns["accumulator_stages"],
            parameter_depth=1,
            latency_cycles=self.latency_cycles,
        )

    # --- what fits -----------------------------------------------------------------------------------------

    def _is_seen(self, height: Number, first_height: Number) -> Number:
        """Whether a reduction in the lanes, be it of one pixel, is seen to be read item by item.

        Bounds are known where the first row of tiles is the highest one only if the others are all alike.
        """
        if self.windows.keeps_accumulators and self.windows.reduced == 1:
            return np.ones_like(height, np.bool_)
        return (first_height <= height) | ((self.windows.height - first_height) % height == 0)

    def _fits(self, columns: Columns) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = np.ones(len(columns["height"]), np.bool_)
        for holds, _ in self._rules(columns):
            kept &= holds
        return kept

    def _why_not(self, point: Point) -> str:
        space = self.space
        columns = space.columns(space.positions_of([point]))
        return "; ".join(reason for holds, reason in self._rules(columns) if not holds[0])

    def _rules(self, columns: Columns) -> list[tuple[NDArray[np.bool_], str]]:
        """What must hold of points, and what to say where it does not."""
        height, first, width = columns["height"], columns["first_height"], columns["width"]
        room = window_room(self.windows, self.config, np.maximum(height, first), width)
        stages = [
            (columns[knob] <= getattr(room, buffer), f"{knob} must be at most what there is room for")
            for knob, buffer in _DEPTHS.items()
        ]
        return [
            (np.minimum(room.inputs, room.results) > 0, "its tiles must fit the memories: make them smaller"),
            (
                np.maximum(np.maximum(height, first), width) <= MOST_RESULTS,
                f"a tile must have at most {MOST_RESULTS} rows and columns",
            ),
            (
                (first == 0) | ((first != height) & (first <= 2 * height)),
                "first_height must be 0 or another height, at most twice that of the others",
            ),
            (
                self._is_seen(height, first),
                "a high first row of tiles must leave rows of one height, but for sums and products",
            ),
            *stages,
        ]
