"""Every tiling of a convolution as a point: tiles, order, threads, stages of buffers, uneven first tiles."""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Columns, Space
from tilewright.compiler.targets.accel.cost.bound import array_and_bus_cycles, cycles_of
from tilewright.compiler.targets.accel.cost.candidate import depths_of, parts
from tilewright.compiler.targets.accel.cost.event_model import instructions_of, modelled_cycles
from tilewright.compiler.targets.accel.cost.occupancy import Occupancy, convolution_occupancy
from tilewright.compiler.targets.accel.cost.problem import (
    ASSUMED_LATENCY_CYCLES,
    ORDERS,
    BlockedConvolution,
    BufferDepths,
    Number,
    TileSizes,
    Tiling,
)
from tilewright.isa.config import Config

STAGES = ("most", "double", "single")
"""Instances of a buffer that exist at a time: as many as there is room and use for, or fewer."""
_ORDER_NAMES = tuple(" ".join(order) for order in ORDERS)
_STAGED = {
    "input_stages": ("inputs",),
    "weight_stages": ("weights",),
    "result_stages": ("accumulators", "results"),
}
FEATURES = (
    "array",
    "bus_per_array",
    "tiles",
    "outer_tiles",
    "reduction_tiles",
    "accumulator_vectors",
    "inputs_resident",
    "weights_resident",
    "first_load",
    "last_store",
)
"""Names of what tells tilings apart on any convolution and machine; logarithms to base 2."""


@dataclass(frozen=True, kw_only=True)
class ConvolutionSpace:
    """The tilings of a convolution on a machine.

    Members:
        convolution, config: what is tiled, for which machine.
        latency_cycles: of the memory outside.
        groups: of a product of two activations, a row of results each, with weights of their own; else 0.
    """

    convolution: BlockedConvolution
    config: Config
    latency_cycles: int = ASSUMED_LATENCY_CYCLES
    groups: int = 0

    @cached_property
    def space(self) -> Space:
        """The knobs and what fits."""
        sizes = self.convolution
        height = 1 if self.groups else sizes.out_height
        is_even = sizes.pools or self.groups > 0
        threads = {1, 2, 4, 8, 16, 32, *parts(sizes.out_blocks)}
        knobs = (
            Knob("height", tuple(range(1, height + 1))),
            Knob("width", tuple(sorted(parts(sizes.out_width)))),
            Knob("taps_y", tuple(sorted(parts(sizes.kernel[0])))),
            Knob("taps_x", tuple(sorted(parts(sizes.kernel[1])))),
            Knob("reduction_blocks", tuple(sorted(parts(sizes.in_blocks)))),
            Knob("outer_blocks", tuple(sorted(parts(sizes.out_blocks)))),
            Knob("threads", tuple(sorted(n for n in threads if n <= sizes.out_blocks))),
            # A pooling must be seen to read whole windows of accumulators, which uneven rows of tiles hide.
            Knob("first_height", (0,) if is_even else tuple(range(height))),
            Knob(
                "first_reduction_blocks",
                (0, *(sorted(parts(sizes.in_blocks))[:-1] if not self.groups else ())),
            ),
            Knob("order", _ORDER_NAMES),
            *(Knob(name, STAGES) for name in _STAGED),
        )
        return Space(knobs, self._fits, self._why_not)

    # --- points and tilings --------------------------------------------------------------------------------

    def tiling(self, point: Point) -> Tiling:
        """The tiling of a point that fits."""
        number = point.number
        tile_sizes = TileSizes(
            convolution=self.convolution,
            config=self.config,
            outer_blocks=number("outer_blocks"),
            height=number("height"),
            width=number("width"),
            taps=(number("taps_y"), number("taps_x")),
            reduction_blocks=number("reduction_blocks"),
            first_height=number("first_height") or None,
            first_reduction_blocks=number("first_reduction_blocks") or None,
            latency_cycles=self.latency_cycles,
        )
        threads = number("threads")
        most = _whole(depths_of(tile_sizes, threads))
        staged = {
            buffer: _staged(getattr(most, buffer), STAGES.index(point.word(knob)), threads, buffer)
            for knob, buffers in _STAGED.items()
            for buffer in buffers
        }
        order = ORDERS[_ORDER_NAMES.index(point.word("order"))]
        depths = replace(most, **{name: int(depth) for name, depth in staged.items()})
        return Tiling(tile_sizes=tile_sizes, depths=depths, threads=threads, order=order)

    def point(self, tiling: Tiling) -> Point:
        """The point of a tiling whose buffers are as deep as there is room and use for."""
        sizes = tiling.tile_sizes
        return Point(
            {
                "height": sizes.height,
                "width": sizes.width,
                "taps_y": sizes.taps[0],
                "taps_x": sizes.taps[1],
                "reduction_blocks": sizes.reduction_blocks,
                "outer_blocks": sizes.outer_blocks,
                "threads": tiling.threads,
                "first_height": sizes.first_height or 0,
                "first_reduction_blocks": sizes.first_reduction_blocks or 0,
                "order": " ".join(tiling.order),
                **dict.fromkeys(_STAGED, STAGES[0]),
            }
        )

    def cycles(self, point: Point) -> int:
        """By the event model."""
        return self._repeats * modelled_cycles(self.tiling(point))

    def occupancy(self, point: Point) -> Occupancy:
        """The work of each engine."""
        return convolution_occupancy(self.tiling(point)).times(self._repeats)

    def instructions(self, point: Point) -> int:
        """Matrix instructions, for each of which the event model takes some microseconds."""
        return self._repeats * instructions_of(self.tiling(point).tile_sizes)

    @property
    def _repeats(self) -> int:
        """How often the convolution is computed."""
        return max(1, self.groups)

    # --- many at once --------------------------------------------------------------------------------------

    def _tile_sizes(self, columns: Columns) -> TileSizes:
        """Of points, as arrays, the first row of tiles like the others."""
        return TileSizes(
            convolution=self.convolution,
            config=self.config,
            outer_blocks=columns["outer_blocks"],
            height=np.maximum(columns["height"], columns["first_height"]),
            width=columns["width"],
            taps=(columns["taps_y"], columns["taps_x"]),
            reduction_blocks=np.maximum(columns["reduction_blocks"], columns["first_reduction_blocks"]),
            latency_cycles=self.latency_cycles,
        )

    def _depths(self, columns: Columns) -> BufferDepths:
        sizes, threads = self._tile_sizes(columns), columns["threads"]
        most = depths_of(sizes, threads)
        staged = {
            buffer: _staged(getattr(most, buffer), columns[knob], threads, buffer)
            for knob, buffers in _STAGED.items()
            for buffer in buffers
        }
        return replace(most, **staged)

    def estimate(self, columns: Columns) -> NDArray[np.float64]:
        """Cycles of points in closed form, which knows no order and no uneven tiles."""
        cycles = cycles_of(self._tile_sizes(columns), self._depths(columns), columns["threads"])
        return self._repeats * np.asarray(cycles, np.float64)

    def features(self, columns: Columns) -> NDArray[np.float32]:
        """`FEATURES` of points [n, features]."""
        sizes, depths, threads = self._tile_sizes(columns), self._depths(columns), columns["threads"]
        array, bus = array_and_bus_cycles(sizes, depths, threads)
        found = (
            array,
            bus / array,
            sizes.tiles,
            sizes.outer_tiles,
            sizes.reduction_tiles,
            sizes.accumulator_vectors,
            depths.inputs / sizes.reduction_tiles,
            depths.weights / (sizes.reduction_tiles * self.config.slices),
            bus / (sizes.tiles * sizes.outer_tiles * sizes.outer_blocks * array),
            sizes.result_vectors / array,
        )
        return np.stack([np.log2(np.maximum(each, 1e-9)) for each in found], axis=1).astype(np.float32)

    # --- what fits -----------------------------------------------------------------------------------------

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
        sizes, threads = self._tile_sizes(columns), columns["threads"]
        height, first = columns["height"], columns["first_height"]
        blocks, first_blocks = columns["reduction_blocks"], columns["first_reduction_blocks"]
        # Where it does not fit, depths are of something else, and do not matter.
        fits = sizes.fits
        most = depths_of(self._where_it_fits(sizes, fits), threads)
        kernel = self.convolution.kernel
        is_whole = (
            (sizes.taps[0] * sizes.taps[1] == kernel[0] * kernel[1])
            & (blocks == self.convolution.in_blocks)
            # Else the first row of tiles has several.
            & (first_blocks == 0)
        )
        rows, row_tiles = sizes.tiles // sizes.row_tiles, sizes.row_tiles
        order = columns["order"]
        return [
            (fits, "its tiles must fit the memories on the chip: make them smaller"),
            (threads <= columns["outer_blocks"], "threads must be at most outer_blocks"),
            (
                (threads == 1) | ~is_whole | (self.config.slices > 1),
                "threads must be 1 where one reduction tile is the whole reduction",
            ),
            (
                (first == 0) | ((first != height) & (first <= 2 * height)),
                "first_height must be 0 or another height, at most twice that of the others",
            ),
            ((first_blocks < blocks), "first_reduction_blocks must be less than reduction_blocks"),
            (
                (order == 0) | ((order == 1) & (row_tiles > 1) & (rows > 1)) | ((order == 2) & (rows > 1)),
                "the order of loops must be that of groups, rows and columns where it changes nothing",
            ),
            (
                (order != 2) | (sizes.outer_tiles > 1),
                "rows must not be outside of groups where there is one group",
            ),
            (
                ~fits | (np.minimum(most.accumulators, most.results) >= threads),
                "there must be room for the accumulators and results of each thread",
            ),
            *self._stage_rules(columns, most, fits),
        ]

    def _where_it_fits(self, sizes: TileSizes, fits: NDArray[np.bool_]) -> TileSizes:
        """The same, but the smallest tiles where nothing fits."""

        def kept(number: Number) -> Number:
            return np.where(fits, number, 1)

        return replace(
            sizes,
            height=kept(sizes.height),
            width=kept(sizes.width),
            taps=(kept(sizes.taps[0]), kept(sizes.taps[1])),
            reduction_blocks=kept(sizes.reduction_blocks),
        )

    def _stage_rules(
        self, columns: Columns, most: BufferDepths, fits: NDArray[np.bool_]
    ) -> list[tuple[NDArray[np.bool_], str]]:
        """Fewer stages than the most, where these are named: else two points would be one schedule."""
        threads, found = columns["threads"], []
        for knob, buffers in _STAGED.items():
            stages = columns[knob]
            fewer = np.zeros(len(stages), np.bool_)
            for buffer in buffers:
                depth = getattr(most, buffer)
                fewer |= _staged(depth, stages, threads, buffer) < depth
            found.append(
                (~fits | (stages == 0) | fewer, f"{knob} must be 'most' where there is room for no more")
            )
        return found


def _staged(most: Number, stages: Number, threads: Number, buffer: str) -> Number:
    """The depth of a buffer; what threads do not share has an instance for each of them."""
    own = threads if buffer in ("accumulators", "results") else 1
    return np.where(stages == 0, most, np.minimum(most, np.where(stages == 1, 2 * own, own)))


def _whole(depths: BufferDepths) -> BufferDepths:
    return BufferDepths(**{each.name: int(getattr(depths, each.name)) for each in fields(BufferDepths)})
