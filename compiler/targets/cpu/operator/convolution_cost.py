"""What a convolution on the host takes, as far as counting tells.

A rough count of instructions and of bytes that come from caches, for no processor in particular: two vector
instructions and two loads a cycle, caches of 32 KiB, 512 KiB and 16 MiB. It ranks schedules, and is wrong by
a factor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.micro_kernel import register_cut
from tilewright.compiler.targets.cpu.operator.convolution_rule import Columns, Numbers, place
from tilewright.compiler.targets.cpu.operator.convolution_schedule import Copy, Order, Threads
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.register_tile import WORD_BYTES

Floats = NDArray[np.float64]
HERTZ = 3e9
FIRST_BYTES, SECOND_BYTES, THIRD_BYTES = 3 << 13, 3 << 17, 1 << 24
"""Of caches, the part that one operand may fill."""
SECOND_RATE, THIRD_RATE, MEMORY_RATE = 32.0, 12.0, 4.0
"""Bytes a cycle."""
PORTS, LATENCY_CYCLES = 2.0, 4.0
"""Vector instructions, or loads, that begin in a cycle; the time of one."""
CALL_CYCLES, SHARE_CYCLES = 30.0, 3000.0
"""To enter and leave a tile; to hand out a loop to threads."""


@dataclass(frozen=True)
class StepInstructions:
    """Vector instructions of a step of the reduction.

    Members:
        product: for each vector of products.
        row: for each pixel, beside its load.
        vector: for each vector of weights, beside its load.
    """

    product: float
    row: float
    vector: float


ONE = StepInstructions(1.0, 0.0, 0.0)
PAIRED = {
    DotInstruction.AVX2: StepInstructions(product=2.0, row=0.0, vector=1.0),
    DotInstruction.PLAIN: StepInstructions(product=8.0, row=2.0, vector=4.0),
}
"""Where int8 is widened (`lane_kernel.PairKernel`), the input before."""
HIDDEN = 0.1
"""Of the shorter of computing and reading, what is left beside the longer."""
PAIR_LANES = 4
"""Lanes of a vector of sums of `lane_kernel.PairKernel`."""


@dataclass(frozen=True)
class ConvolutionCost:
    """Counts of schedules of a convolution [n].

    Members:
        sizes: of the convolution.
        features: of the machine.
        threads: that share it.
        columns: the schedules, by member.
    """

    sizes: ConvolutionSizes
    features: Features
    threads: int
    columns: Columns

    # --- tiles ---------------------------------------------------------------------------------------------

    @cached_property
    def pixels(self) -> Numbers:
        """Of a whole tile."""
        return self.columns["rows"] * self.columns["columns"]

    @cached_property
    def vectors(self) -> Numbers:
        """Of a panel, as micro-kernels have them."""
        lanes = PAIR_LANES if self.instructions is not ONE else self.features.vector_bytes // WORD_BYTES
        return -(-self.columns["lanes"] // lanes)

    @cached_property
    def panels(self) -> Numbers:
        return -(-self.sizes.outputs // self.columns["lanes"])

    @cached_property
    def down(self) -> Numbers:
        """Rows of tiles."""
        return -(-self.sizes.result[0] // self.columns["rows"])

    @cached_property
    def right(self) -> Numbers:
        """Tiles of a row."""
        return -(-self.sizes.result[1] // self.columns["columns"])

    @cached_property
    def visits(self) -> Numbers:
        """To the sums of a tile."""
        is_whole = self.columns["depth"] == self.sizes.steps
        return np.where(is_whole, 1, self.sizes.steps // self.columns["depth"])

    @cached_property
    def cut(self) -> tuple[Numbers, Numbers]:
        """Pixels and vectors that are in registers together."""
        pairs, places = np.unique(np.stack([self.pixels, self.vectors]), axis=1, return_inverse=True)
        cuts = [register_cut(int(p), int(v), self.features.registers) for p, v in pairs.T]
        found = np.array(cuts, np.int64).reshape(-1, 2)[places.reshape(-1)]
        return found[:, 0], found[:, 1]

    @property
    def instructions(self) -> StepInstructions:
        """Of a step."""
        return ONE if self.sizes.is_float else PAIRED.get(self.features.dot, ONE)

    def _step_cycles(self, pixels: Numbers) -> Floats:
        """Of one step of the reduction of a tile of so many pixels."""
        height, width = self.cut
        height = np.minimum(height, pixels)
        pieces = np.ceil(pixels / height) * np.ceil(self.vectors / width)
        each = self.instructions
        count = height * width * each.product + height * each.row + width * each.vector
        busy = np.maximum(count, height + width) / PORTS
        cycles: Floats = pieces * (np.maximum(busy, LATENCY_CYCLES) + 1.0 / self.columns["unroll"])
        return cycles

    @cached_property
    def tile_cycles(self) -> Floats:
        """Of all tiles, those at the edges by their own sizes."""
        total = np.zeros(len(self.pixels))
        for row_tiles, rows in self._parts(self.sizes.result[0], "rows", self.down):
            for tiles, columns in self._parts(self.sizes.result[1], "columns", self.right):
                pixels = rows * columns
                sums = pixels * self.vectors * (4.0 + 2.0 * self.visits)
                each = self._step_cycles(pixels) * self.sizes.steps + CALL_CYCLES * self.visits + sums
                total += np.where(pixels > 0, row_tiles * tiles * each, 0.0)
        return total * self.panels

    def _parts(self, size: int, name: str, count: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
        """How many parts of a size there are, and that size: whole ones, and the last."""
        whole = self.columns[name]
        yield count - 1, whole
        yield np.ones_like(count), size - (count - 1) * whole

    # --- bytes ---------------------------------------------------------------------------------------------

    @cached_property
    def panel_bytes(self) -> Numbers:
        """Of the weights of a panel that pass the tiles of a row together."""
        size = self.sizes.dtype.size_bytes * self.sizes.group
        return np.minimum(self.columns["depth"], self.sizes.steps) * self.columns["lanes"] * size

    @cached_property
    def all_panels_bytes(self) -> Numbers:
        """Of all weights."""
        size = self.sizes.dtype.size_bytes * self.sizes.group
        return self.panels * self.columns["lanes"] * self.sizes.steps * size

    @property
    def input_bytes(self) -> int:
        """Of the padded feature map."""
        padded = self.sizes.padded_map
        return padded.rows * padded.columns * self.sizes.padded_dtype(self.features).size_bytes

    @cached_property
    def slice_bytes(self) -> Floats:
        """Of what a row of tiles reads of it."""
        reach = (self.sizes.kernel[0] - 1) * self.sizes.dilations[0] + 1
        rows = (self.columns["rows"] - 1) * self.sizes.window_strides[0] + reach
        return (rows * (self.input_bytes / self.sizes.padded_map.rows)).astype(np.float64)

    @cached_property
    def weight_cycles(self) -> Floats:
        """To read weights that are not in the first cache."""
        is_tiles = self.has("order", Order.TILES)
        stays = np.where(is_tiles, self.all_panels_bytes, self.panel_bytes) <= FIRST_BYTES
        times = np.where(stays, self.down, self.down * self.right)
        times = np.where(stays & self.has("order", Order.PANELS), 1, times)
        reused = np.where(
            self.has("order", Order.PANELS), self.panel_bytes * self.visits, self.all_panels_bytes
        )
        return times * self.all_panels_bytes / _rate(reused)

    @cached_property
    def input_cycles(self) -> Floats:
        """To read the feature map: again for each panel, where panels are outside."""
        times = np.where(self.has("order", Order.PANELS), self.panels, 1) * self.sizes.kernel[0]
        near = np.where(self.has("order", Order.PANELS), self.input_bytes, self.slice_bytes)
        return times * self.input_bytes / _rate(near)

    @cached_property
    def copy_cycles(self) -> Floats:
        """To copy it."""
        overlap = self.down * self.slice_bytes
        size = np.where(self.has("copy", Copy.SLICE), overlap, self.input_bytes)
        near = np.where(self.has("copy", Copy.SLICE), self.slice_bytes, self.input_bytes)
        cycles: Floats = np.where(self.has("copy", Copy.NONE), 0.0, 2.0 * size / _rate(near))
        return cycles

    # --- all of it -----------------------------------------------------------------------------------------

    @cached_property
    def shares(self) -> Numbers:
        """Iterations that threads share."""
        first = np.where(self.has("order", Order.PANELS), self.panels, self.down)
        second = np.where(self.has("order", Order.PANELS), self.down, self.panels)
        second = np.where(self.has("order", Order.TILES), self.right, second)
        shared = np.where(self.has("threads", Threads.BOTH), first * second, first)
        return np.where(self.has("threads", Threads.NONE), 1, shared)

    @cached_property
    def speed_up(self) -> Floats:
        """By threads that end at different times."""
        speed_up: Floats = self.shares / np.ceil(self.shares / self.threads)
        return speed_up

    @cached_property
    def seconds(self) -> Floats:
        """All of it."""
        # What is read in order is there before it is needed, mostly.
        read = self.weight_cycles + self.input_cycles
        cycles = (
            np.maximum(self.tile_cycles, read)
            + HIDDEN * np.minimum(self.tile_cycles, read)
            + self.copy_cycles
        )
        shared = np.where(self.has("threads", Threads.NONE) | (self.threads == 1), 0.0, SHARE_CYCLES)
        seconds: Floats = (cycles / self.speed_up + shared) / HERTZ
        return seconds

    def has(self, name: str, word: Order | Copy | Threads) -> NDArray[np.bool_]:
        """Where a word is this one."""
        found: NDArray[np.bool_] = self.columns[name] == place(word)
        return found


def _rate(size_bytes: Floats | Numbers | int) -> Floats:
    """Bytes a cycle of what is that large, and read again and again."""
    far = np.where(np.asarray(size_bytes) <= THIRD_BYTES, THIRD_RATE, MEMORY_RATE)
    return np.where(np.asarray(size_bytes) <= SECOND_BYTES, SECOND_RATE, far)
