"""What schedules of all convolutions have in common: numbers of one meaning, whatever the sizes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.compiler.targets.cpu.operator.convolution_cost import (
    FIRST_BYTES,
    LATENCY_CYCLES,
    PORTS,
    SECOND_BYTES,
    ConvolutionCost,
)
from tilewright.compiler.targets.cpu.operator.convolution_schedule import Copy, Order, Threads

Describe = Callable[[ConvolutionCost], ArrayLike]


def described(cost: ConvolutionCost) -> NDArray[np.float32]:
    """The features of schedules: float32 [n, len(FEATURE_NAMES)]."""
    count = len(cost.pixels)
    columns = [np.broadcast_to(np.asarray(each(cost), np.float32), count) for each in _FEATURES.values()]
    return np.stack(columns, axis=1)


def _at_once(cost: ConvolutionCost) -> NDArray[np.int64]:
    """Vectors of sums in registers."""
    return cost.cut[0] * cost.cut[1]


def _words(name: str, words: type[Order] | type[Copy] | type[Threads]) -> dict[str, Describe]:
    """A feature for each word: 1 where it is this."""
    return {f"{name} {word}": lambda cost, word=word: cost.has(name, word) for word in words}  # type: ignore[misc]


_FEATURES: dict[str, Describe] = {
    # --- of the convolution
    "log products": lambda c: np.log2(float(np.prod(c.sizes.result)) * c.sizes.steps * c.sizes.outputs),
    "log steps": lambda c: np.log2(c.sizes.steps),
    "elements of a step": lambda c: c.sizes.group,
    "log input / second cache": lambda c: np.log2(c.input_bytes / SECOND_BYTES),
    # --- of the tile
    "pixels": lambda c: c.pixels,
    "rows": lambda c: c.columns["rows"],
    "vectors": lambda c: c.vectors,
    "pixels in registers": lambda c: c.cut[0],
    "vectors in registers": lambda c: c.cut[1],
    "pieces": lambda c: np.ceil(c.pixels / c.cut[0]) * np.ceil(c.vectors / c.cut[1]),
    "share of registers": lambda c: (_at_once(c) + c.cut[1] + 2) / c.features.registers,
    "loads a product": lambda c: (c.cut[0] + c.cut[1]) / _at_once(c),
    "instructions a product": lambda c: (
        c.instructions.product + c.instructions.row / c.cut[1] + c.instructions.vector / c.cut[0]
    ),
    "waits a product": lambda c: np.maximum(
        1.0, PORTS * LATENCY_CYCLES / (_at_once(c) * c.instructions.product)
    ),
    "unroll": lambda c: c.columns["unroll"],
    # --- of all tiles
    "log visits": lambda c: np.log2(c.visits),
    "log tiles": lambda c: np.log2(c.down * c.right * c.panels),
    "rows beyond": lambda c: c.down * c.columns["rows"] / c.sizes.result[0],
    "columns beyond": lambda c: c.right * c.columns["columns"] / c.sizes.result[1],
    "lanes beyond": lambda c: c.panels * c.columns["lanes"] / c.sizes.outputs,
    # --- of what they read
    "log panel / first cache": lambda c: np.log2(c.panel_bytes / FIRST_BYTES),
    "log weights / second cache": lambda c: np.log2(c.all_panels_bytes / SECOND_BYTES),
    "log rows read / first cache": lambda c: np.log2(c.slice_bytes / FIRST_BYTES),
    "weights beside products": lambda c: c.weight_cycles / c.tile_cycles,
    "input beside products": lambda c: c.input_cycles / c.tile_cycles,
    "copy beside products": lambda c: c.copy_cycles / c.tile_cycles,
    "speed-up a thread": lambda c: c.speed_up / c.threads,
    **_words("order", Order),
    **_words("copy", Copy),
    **_words("threads", Threads),
}
FEATURE_NAMES = tuple(_FEATURES)
