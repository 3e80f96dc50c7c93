"""How the loops of a convolution run on the host: tiles, the order of the loops, copies, threads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    ComputeAt,
    Fuse,
    Parallel,
    Primitive,
    Reorder,
    Split,
    Unroll,
    Vectorise,
)
from tilewright.compiler.targets.cpu.contraction import DOT, FMA
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.padded_feature_map import RowSlice
from tilewright.compiler.targets.cpu.operator.register_tile import TiledMap, choose
from tilewright.compiler.targets.cpu.tensorise import Tensorise

NEAR_BYTES = {True: 1 << 20, False: 1 << 15}
"""Size of weights that stay in a cache: floats in the second; int8, multiplied faster, in the first."""
LEAST_PARTS = 4
"""Rows of tiles, for threads to share."""


class Order(StrEnum):
    """The loops around the tiles, outer first."""

    ROWS = "rows"
    """Rows of tiles, panels of weights, tiles of the row: each row of pixels is read once."""
    PANELS = "panels"
    """Panels, rows of tiles, tiles: each panel is read once."""
    TILES = "tiles"
    """Rows of tiles, tiles, panels: all panels pass a tile."""


class Copy(StrEnum):
    """When the padded copy of the input is made."""

    NONE = "none"
    """Never: the input is read as it lies."""
    SLICE = "slice"
    """In each row of tiles, as much of it as this reads."""
    WHOLE = "whole"
    """At once, before all sums."""


class Threads(StrEnum):
    """The loops whose iterations threads share."""

    NONE = "none"
    OUTER = "outer"
    """The outermost one."""
    BOTH = "both"
    """The two outermost ones."""


_LOOPS = {
    Order.ROWS: ("down", "panel", "right"),
    Order.PANELS: ("panel", "down", "right"),
    Order.TILES: ("down", "right", "panel"),
}


@dataclass(frozen=True, kw_only=True)
class ConvolutionSchedule:
    """All that is chosen for a convolution besides its sizes.

    Members:
        rows, columns: of a tile of the result, whose sums are in registers together.
        lanes: channels of a panel of weights.
        order: of the loops around.
        copy: of the input.
        threads: the loops that they share.
        depth: steps of the reduction between two visits to the sums of a row of tiles: all of them; or so
            many of a row of the kernel, whose weights then stay in the first cache for all tiles of the row.
        unroll: steps of the reduction without a jump.
    """

    rows: int
    columns: int
    lanes: int
    order: Order
    copy: Copy
    threads: Threads
    depth: int
    unroll: int = 1

    @staticmethod
    def default(sizes: ConvolutionSizes, features: Features) -> "ConvolutionSchedule":
        """What is taken where nothing was measured.

        Rows of tiles are outside where weights are near, so that each is read once and written by one thread;
        what is read in place then passes all panels tile by tile. Else panels are outside, each of which is
        read once.
        """
        tile = choose(
            TiledMap(
                result=sizes.result,
                outputs=sizes.outputs,
                steps=sizes.steps,
                pixel_bytes=sizes.window_strides[1] * sizes.channels * sizes.dtype.size_bytes,
                is_float=sizes.is_float,
            ),
            features,
        )
        has_parts = -(-sizes.result[0] // tile.rows) >= LEAST_PARTS
        is_near = sizes.weight_bytes <= NEAR_BYTES[sizes.is_float] and has_parts
        copy, order = (Copy.SLICE, Order.ROWS) if is_near else (Copy.WHOLE, Order.PANELS)
        if sizes.is_read_in_place:
            copy, order = Copy.NONE, Order.TILES if is_near else Order.PANELS
        return ConvolutionSchedule(
            rows=tile.rows,
            columns=tile.columns,
            lanes=tile.lanes,
            order=order,
            copy=copy,
            threads=Threads.OUTER if is_near else Threads.BOTH,
            depth=sizes.steps,
        )

    def row_slice(self, sizes: ConvolutionSizes) -> RowSlice | None:
        """The rows of the padded feature map that a row of tiles reads; None if all are copied at once."""
        if self.copy is not Copy.SLICE:
            return None
        stride, reach = sizes.window_strides[0], (sizes.kernel[0] - 1) * sizes.dilations[0] + 1
        return RowSlice(loop="down", step=self.rows * stride, rows=(self.rows - 1) * stride + reach)

    def steps(self, sizes: ConvolutionSizes) -> list[Primitive]:
        """The primitives: tiles of pixels pass panels of weights; sums in registers, finished while near."""
        loops = _LOOPS[self.order]
        return [
            Split("result_c", self.lanes, "panel", "lane"),
            Split("result_y", self.rows, "down", "y"),
            Split("result_x", self.columns, "right", "x"),
            Reorder((*loops, "y", "x", "lane")),
            *(
                self._at_once(sizes, loops[2])
                if self.depth == sizes.steps
                else self._in_parts(sizes, loops[1])
            ),
            Vectorise("lane"),
            *self._shared(loops),
        ]

    def pooled_steps(self, sizes: ConvolutionSizes) -> list[Primitive]:
        """The primitives of a convolution with a pooling: all sums, then the maxima of windows of them."""
        return [
            Split("sums_y", self.rows, "down", "y"),
            Split("sums_x", self.columns, "right", "x"),
            *self._tile(sizes, "y", ("sums_o", "down", "right", "y", "x"), ("sums_ky", "sums_kx", "sums_k")),
            Parallel("sums_o"),
            Split("result_c", self.lanes, "panel", "lane"),
            ComputeAt("pooled", "panel"),
            Reorder(("pooled_py", "pooled_px", "pooled_c")),
            Vectorise("pooled_c"),
            Vectorise("lane"),
            Parallel("result_y"),
        ]

    def _at_once(self, sizes: ConvolutionSizes, loop: str) -> list[Primitive]:
        """The sums of a tile, in a loop."""
        reductions = ("sums_ky", "sums_kx", "sums_k")
        return [ComputeAt("sums", loop), *self._tile(sizes, "sums_y", ("sums_y", "sums_x"), reductions)]

    def _in_parts(self, sizes: ConvolutionSizes, loop: str) -> list[Primitive]:
        """The sums of a row of tiles, in a loop: a part of the reduction passes all tiles before the next."""
        outer = ("sums_ky", "sums_kx", "sums_part", "sums_right", "sums_y", "sums_column")
        return [
            ComputeAt("sums", loop),
            Split("sums_x", self.columns, "sums_right", "sums_column"),
            Split("sums_k", self.depth, "sums_part", "sums_step"),
            *self._tile(sizes, "sums_y", outer, ("sums_step",)),
        ]

    def _tile(
        self, sizes: ConvolutionSizes, loop: str, outer: tuple[str, ...], reductions: tuple[str, ...]
    ) -> list[Primitive]:
        """The loop nest of a loop as a micro-kernel, its reductions inside of these loops."""
        unrolled: list[Primitive] = []
        *others, last = reductions
        if self.unroll > 1:
            unrolled = [Split(last, self.unroll, "sums_jump", "sums_unrolled"), Unroll("sums_unrolled")]
            reductions = (*others, "sums_jump", "sums_unrolled")
        lanes = ("sums_n",) if sizes.is_float else ("sums_n", "sums_q")
        intrinsic = Tensorise(loop, FMA if sizes.is_float else DOT)
        return [*unrolled, Reorder((*outer, *reductions, *lanes)), intrinsic]

    def _shared(self, loops: tuple[str, ...]) -> list[Primitive]:
        """The loops that threads share."""
        match self.threads:
            case Threads.NONE:
                return []
            case Threads.OUTER:
                return [Parallel(loops[0])]
            case Threads.BOTH:
                return [Fuse(loops[0], loops[1], "part"), Parallel("part")]


Schedules = Mapping[str, ConvolutionSchedule]
"""Schedules that were found to be good on the machine that is compiled for, by `convolution_key`."""
NO_SCHEDULES: Schedules = MappingProxyType({})


def convolution_key(sizes: ConvolutionSizes, *, is_shared: bool) -> str:
    """All that good schedules depend on besides the machine, as canonical JSON.

    Args:
        sizes: of the convolution; what fills its padding does not count.
        is_shared: whether several threads run it.
    """
    names = ("height", "width", "channels", "outputs", "kernel", "strides", "dilations", "pads")
    fields = {name: getattr(sizes, name) for name in names}
    fields |= {"kind": "convolution", "type": str(sizes.dtype), "threads": "all" if is_shared else "one"}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def convolution_of_key(key: str) -> tuple[ConvolutionSizes, bool]:
    """The sizes that a key of `convolution_key` is of, and whether several threads run it."""
    fields = json.loads(key)
    is_float, is_shared = fields.pop("type") == str(DType.FLOAT32), fields.pop("threads") == "all"
    del fields["kind"]
    sizes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return ConvolutionSizes(**sizes, is_float=is_float), is_shared
