"""Which schedules the sizes of a convolution and the machine allow: many at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.operator.convolution_schedule import (
    ConvolutionSchedule,
    Copy,
    Order,
    Threads,
)
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.register_tile import TILE_BLOCKS, rows_at_once, vector_lanes

Numbers = NDArray[np.int64]
Columns = Mapping[str, Numbers]
"""Of schedules, by member [n]; of words their places in the enumeration."""
WORDS: dict[str, type[StrEnum]] = {"order": Order, "copy": Copy, "threads": Threads}


@dataclass(frozen=True)
class ConvolutionRules:
    """What schedules must hold to.

    Members:
        sizes: of the convolution.
        features: of the machine.
        is_shared: whether several threads run it; None if that is not known.
    """

    sizes: ConvolutionSizes
    features: Features
    is_shared: bool | None = None

    @property
    def is_tiled(self) -> bool:
        """Whether sums are in the tile registers of AMX."""
        return not self.sizes.is_float and self.features.dot is DotInstruction.AMX

    @property
    def vector(self) -> int:
        """Lanes that micro-kernels take together."""
        return vector_lanes(self.sizes.is_float, self.features)

    @property
    def lanes_maximum(self) -> int:
        """All outputs in one panel."""
        return -(-self.sizes.outputs // self.vector) * self.vector

    @property
    def may_read_input(self) -> bool:
        """Whether sums can read the input as it lies: it has the type and the borders that they read."""
        return self.sizes.is_float and not any(self.sizes.pads)

    def broken(self, columns: Columns) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Each rule, with the schedules [n] that break it."""
        yield from self._tile_rules(columns)
        yield from self._order_rules(columns)
        yield from self._reduction_rules(columns)

    def _tile_rules(self, columns: Columns) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        rows, across, lanes = (columns[name] for name in ("rows", "columns", "lanes"))
        height, width = self.sizes.result
        vector, most = self.vector, self.lanes_maximum
        yield f"rows must be from 1 to {height}", (rows < 1) | (rows > height)
        yield f"columns must be from 1 to {width}", (across < 1) | (across > width)
        text = f"lanes must be a multiple of {vector} up to {most}"
        yield text, (lanes < vector) | (lanes % vector != 0) | (lanes > most)
        yield "registers must hold the sums of rows · columns · lanes", rows * across > self._pixels(lanes)
        if self.is_tiled:
            yield f"rows must be at most {TILE_BLOCKS} on tile registers", rows > TILE_BLOCKS

    def _pixels(self, lanes: Numbers) -> Numbers:
        """Pixels of a tile that registers hold."""
        different, places = np.unique(lanes, return_inverse=True)
        most = [rows_at_once(int(each), self.sizes.is_float, self.features) for each in different]
        found: Numbers = np.array(most, np.int64)[places]
        return found

    def _order_rules(self, columns: Columns) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        order, copy, threads = (columns[name] for name in WORDS)
        if not self.may_read_input:
            yield "copy must not be none: the padding or the type is another one", copy == place(Copy.NONE)
        is_slice = copy == place(Copy.SLICE)
        yield "copy must not be slice where panels are outside", is_slice & (order == place(Order.PANELS))
        yield (
            "copy must not be slice where threads share both loops",
            is_slice & (threads == place(Threads.BOTH)),
        )
        if self.is_shared is False:
            yield "threads must be none where there is one", threads != place(Threads.NONE)

    def _reduction_rules(self, columns: Columns) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        depth, unroll = columns["depth"], columns["unroll"]
        row = self.sizes.taps[2]
        is_whole = depth == self.sizes.steps
        # Where it is no number of steps, another rule says so.
        part = np.where(is_whole | (depth < 1), row, depth)
        yield (
            f"depth must be {self.sizes.steps} or divide {row}",
            ~is_whole & ((depth < 1) | (row % part != 0)),
        )
        is_in_parts_of_tiles = ~is_whole & (columns["order"] == place(Order.TILES))
        yield f"depth must be {self.sizes.steps} where panels are inside of tiles", is_in_parts_of_tiles
        is_even = part % np.maximum(unroll, 1) == 0
        yield "unroll must divide depth, and the steps of a row of the kernel", (unroll < 1) | ~is_even
        if self.is_tiled:
            yield "unroll must be 1 on tile registers", unroll != 1

    def reasons(self, schedule: ConvolutionSchedule) -> list[str]:
        """The rules that a schedule breaks."""
        return [text for text, breaks in self.broken(columns_of(schedule)) if breaks[0]]


def place(word: StrEnum) -> int:
    """The place of a word in its enumeration."""
    return list(type(word)).index(word)


def columns_of(schedule: ConvolutionSchedule) -> Columns:
    """A schedule as columns of one number."""
    values = asdict(schedule).items()
    return {
        name: np.array([place(value) if isinstance(value, StrEnum) else value], np.int64)
        for name, value in values
    }


def check_schedule(schedule: ConvolutionSchedule, sizes: ConvolutionSizes, features: Features) -> None:
    """Refuse a schedule that breaks a rule.

    Raises:
        CpuError: with all rules that it breaks.
    """
    reasons = ConvolutionRules(sizes, features).reasons(schedule)
    if reasons:
        raise CpuError(f"{'; '.join(reasons)}: not {schedule}")
