"""The schedule of a chain: a loop over the blocks between, pipelined over all tiles."""

from tilewright.compiler.schedule import (
    BufferDepth,
    CacheRead,
    CacheWrite,
    ComputeAt,
    Pipeline,
    Primitive,
    Reorder,
    SetScope,
    Split,
    SplitSelect,
)
from tilewright.compiler.targets.accel.cost.chain import ChainTiling
from tilewright.compiler.targets.accel.operator.schedule import TILE, Schedule
from tilewright.compiler.tir.buffer import MemoryScope

_TILES, _STEP, _RESULT = "xo", "sums_i", "tile_o"
"""Loops: over tiles of a row, over the blocks between, over blocks of results."""


def chain_schedule(tiling: ChainTiling) -> Schedule:
    """The schedule of `ChainNest.program`."""
    chain, depths = tiling.chain, tiling.depths
    primitives: list[Primitive] = [
        CacheWrite("result", MemoryScope.ACTIVATION, TILE),
        Split("tile_y", tiling.height, "yo", "yi"),
        Split("tile_x", tiling.width, _TILES, "xi"),
        Reorder(("yo", _TILES, _RESULT, "yi", "xi", "tile_c")),
        ComputeAt("result", _RESULT),
        BufferDepth(TILE, depths.results),
        ComputeAt("sums", _TILES),
        SetScope("sums", MemoryScope.ACCUMULATOR),
        BufferDepth("sums", depths.sums),
        Reorder((_STEP, "sums_o", "sums_s", "sums_y", "sums_x", "sums_r", "sums_c")),
        *_attach("filtered", MemoryScope.ACTIVATION, depths.filtered),
        ComputeAt("reduced", "filtered_c"),
        SetScope("reduced", MemoryScope.LANE),
        *_attach("padded", MemoryScope.ACTIVATION, depths.padded),
    ]
    if chain.expands:
        # Before the expansion is attached: to what lies inside alone.
        primitives += [
            SplitSelect("padded"),
            *_attach("expanded", MemoryScope.ACCUMULATOR, depths.expanded),
            Reorder(
                (
                    "expanded_o",
                    "expanded_s",
                    "expanded_y",
                    "expanded_x",
                    "expanded_i",
                    "expanded_r",
                    "expanded_c",
                )
            ),
            *_read("expanded", "x", MemoryScope.ACTIVATION, "input", _TILES, depths.inputs),
            *_read(
                "expanded",
                "expand_weight",
                MemoryScope.WEIGHT,
                "expand_weights",
                _STEP,
                depths.expand_weights,
            ),
        ]
    primitives += [
        *_read("sums", "weight", MemoryScope.WEIGHT, "weights", _STEP, depths.weights),
        *_attach("vectors", MemoryScope.PARAMETER, depths.vectors),
        *_read(
            "result", "parameters", MemoryScope.PARAMETER, "result_vectors", _RESULT, depths.result_vectors
        ),
    ]
    if chain.residual:
        primitives += _read(
            "result", "residual", MemoryScope.ACTIVATION, "shortcut", _RESULT, depths.residuals
        )
    return (*primitives, _pipeline(tiling))


def _pipeline(tiling: ChainTiling) -> Pipeline:
    """What is loaded first; then what waits for nothing of its step; last the products of a step before."""
    expand, lag = tiling.chain.expands, tiling.lag
    offsets = {"expand_weights": 0} if expand else {}
    offsets |= {"weights": 0, "vectors": 0}
    if expand and any(tile.has_border for tile in tiling.tiles):
        offsets["padded_fill"] = 0
    if not expand:
        offsets["padded"] = 0
    if lag:
        offsets["filtered"] = lag
    if expand:
        offsets |= {"expanded": 0, "padded": 0}
    offsets |= {"filtered": lag, "sums": lag + 1}
    return Pipeline(_STEP, "yo", tuple(offsets), tuple(offsets.values()), tiling.drain)


def _attach(stage: str, scope: MemoryScope, depth: int) -> Schedule:
    return (ComputeAt(stage, _STEP), SetScope(stage, scope), BufferDepth(stage, depth))


def _read(block: str, buffer: str, scope: MemoryScope, name: str, loop: str, depth: int) -> Schedule:
    return (CacheRead(block, buffer, scope, name), ComputeAt(name, loop), BufferDepth(name, depth))
