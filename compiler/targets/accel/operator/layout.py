"""The layouts of tensors in the memory outside: channels in blocks of `cols` lanes, weights in tiles.

Channel i lies in lane i % cols of block i // cols. What pads a block is 0.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.config import Config

Int8Array = NDArray[np.int8]
Int32Array = NDArray[np.int32]


def blocks(channels: int, config: Config) -> int:
    """The number of blocks of `cols` lanes that hold `channels` channels."""
    return -(-channels // config.cols)


def weight_tiles(weight: Int8Array, config: Config) -> Int8Array:
    """Tiles of `rows` x `cols` weights.

    Args:
        weight: [O, I, KH, KW].
        config: the machine.

    Returns:
        [O / cols][cols / rows][KH][KW][I / cols][rows][cols]; input channel (i, s, r) is
        i * cols + s * rows + r.
    """
    padded = _pad(_pad(weight, 0, config.cols), 1, config.cols)
    out, channels, height, width = padded.shape
    split = padded.reshape(
        out // config.cols,
        config.cols,
        channels // config.cols,
        config.slices,
        config.rows,
        height,
        width,
    )
    return np.ascontiguousarray(split.transpose(0, 3, 5, 6, 2, 4, 1))


def parameter_vectors(rows: list[Int32Array], config: Config) -> Int32Array:
    """Parameters of each block, one vector after the other.

    Args:
        rows: for each vector its lanes, [O] int32.
        config: the machine.

    Returns:
        [O / cols][vectors][cols].
    """
    padded = _pad(np.stack([row.astype(np.int32) for row in rows]), 1, config.cols)
    count, lanes = padded.shape
    return np.ascontiguousarray(padded.reshape(count, lanes // config.cols, config.cols).transpose(1, 0, 2))


def packed_parameters(rows: list[Int32Array], config: Config) -> dict[str, Int32Array]:
    """`parameter_vectors` as the constants of an operator that has no others."""
    return {"parameters": parameter_vectors(rows, config)}


def _pad(array: NDArray[Any], axis: int, multiple: int) -> NDArray[Any]:
    """Zeros behind `axis` up to a multiple."""
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, -array.shape[axis] % multiple)
    return np.pad(array, widths)
