"""Default schedules: primitives that tile an operator's loops as its tiling says."""

from tilewright.compiler.schedule import (
    BufferDepth,
    CacheRead,
    CacheWrite,
    ComputeAt,
    Primitive,
    Reorder,
    SetScope,
    Split,
    SplitFirst,
    VirtualThread,
)
from tilewright.compiler.targets.accel.cost.problem import Tiling
from tilewright.compiler.targets.accel.cost.window import WindowTiling
from tilewright.compiler.tir.buffer import MemoryScope

Schedule = tuple[Primitive, ...]

_SUMS = (
    *("kyo", "kxo", "io", "sums_s", "sums_o", "sums_y", "sums_x"),
    *("kyi", "kxi", "ii", "sums_r", "sums_c"),
)
"""Loops of the sums: reduction tiles, results, the sum within a tile."""
TILE = "tile"
"""The buffer of results on the chip, and the block that stores it."""


def convolution_schedule(
    tiling: Tiling,
    *,
    pooled: bool,
    residual: bool,
    lookup: bool = False,
    copied: bool = False,
    parted: bool = False,
) -> Schedule:
    """The schedule of `ConvolutionNest.program`, or of a product of two activations.

    Args:
        tiling: its sizes.
        pooled, residual, lookup: what is behind the sums.
        copied: whether its weights are a stage.
        parted: whether every second sum is a fine part, added to the one before it.
    """
    tile_sizes, depths = tiling.tile_sizes, tiling.depths
    primitives: list[Primitive] = [
        *_tile_results(tile_sizes.height, tile_sizes.width, tile_sizes.first_height),
        Split("tile_o", tile_sizes.outer_blocks, "og", "ob"),
        Split("ob", tiling.threads, "oo", "oi"),
        Reorder((*tiling.order, "oo", "oi", "yi", "xi", "tile_c")),
        ComputeAt("result", "oi"),
        *(_reduce_in_lanes("pooled") if pooled else ()),
        *(_fine_parts(depths.results) if parted else ()),
        ComputeAt("sums", "oi"),
        SetScope("sums", MemoryScope.ACCUMULATOR),
        BufferDepth("sums", depths.accumulators),
        Split("sums_ky", tile_sizes.taps[0], "kyo", "kyi"),
        Split("sums_kx", tile_sizes.taps[1], "kxo", "kxi"),
        _split("sums_i", tile_sizes.reduction_blocks, tile_sizes.first_reduction_blocks, "yo", "io", "ii"),
        Reorder(_SUMS),
        *_load_stage("input", "io", depths.inputs),
        *(
            _load_stage("weights", "sums_s", depths.weights, MemoryScope.WEIGHT)
            if copied
            else _cache_read("sums", "weight", MemoryScope.WEIGHT, "weights", "sums_s", depths.weights)
        ),
        # Behind the accumulators, which are waited for.
        *_cache_read("result", "parameters", MemoryScope.PARAMETER, "vectors", "result_o", depths.parameters),
        BufferDepth(TILE, depths.results),
    ]
    if tiling.threads > 1:
        primitives.append(VirtualThread("oi"))
    if residual:
        primitives += _cache_read(
            "result", "residual", MemoryScope.ACTIVATION, "shortcut", "result_o", depths.residuals
        )
    if parted:
        primitives += _cache_read("fine", "parameters", MemoryScope.PARAMETER, "fine_scale", "fine_o", 1)
    return (*primitives, *(_fill_tables() if lookup else ()))


def window_schedule(
    tiling: WindowTiling, *, parameters: bool = False, residual: bool = False, lookup: bool = False
) -> Schedule:
    """The schedule of the loop nests of `WindowNest`."""
    primitives = [
        *_tile_results(tiling.height, tiling.width, tiling.first_height),
        Reorder(("tile_o", "yo", "xo", "yi", "xi", "tile_c")),
        ComputeAt("result", "xo"),
        *(_keep("reduced", tiling.accumulator_depth) if residual else _reduce_in_lanes("reduced")),
        *_load_stage("input", "xo", tiling.input_depth),
        BufferDepth(TILE, tiling.result_depth),
    ]
    if parameters:
        primitives += _load_stage("vectors", "xo", tiling.parameter_depth, MemoryScope.PARAMETER)
    if residual:
        primitives += _cache_read(
            "result", "residual", MemoryScope.ACTIVATION, "shortcut", "xo", tiling.input_depth
        )
    return (*primitives, *(_fill_tables() if lookup else ()))


def addition_schedule(tiling: WindowTiling) -> Schedule:
    """The schedule of `AdditionNest.program`."""
    return (
        *_tile_results(tiling.height, tiling.width, tiling.first_height),
        Reorder(("tile_o", "yo", "xo", "yi", "xi", "tile_c")),
        ComputeAt("result", "xo"),
        *_keep("sums", tiling.accumulator_depth),
        *_cache_read("sums", "a", MemoryScope.ACTIVATION, "a_tile", "xo", tiling.input_depth),
        *_cache_read("result", "b", MemoryScope.ACTIVATION, "b_tile", "xo", tiling.input_depth),
        *_cache_read("result", "parameters", MemoryScope.PARAMETER, "vectors", "xo", tiling.parameter_depth),
        BufferDepth(TILE, tiling.result_depth),
    )


def product_schedule(tiling: WindowTiling) -> Schedule:
    """The schedule of the loops of `lower_qmul`: both accumulators wait in banks of their own."""
    depth = max(1, tiling.accumulator_depth // 2)
    return (
        *_tile_results(tiling.height, tiling.width, tiling.first_height),
        Reorder(("tile_o", "yo", "xo", "yi", "xi", "tile_c")),
        ComputeAt("result", "xo"),
        *_keep("products", depth),
        *_keep("shifted", depth),
        *_load_stage("a_tile", "xo", tiling.input_depth),
        *_cache_read("products", "b", MemoryScope.ACTIVATION, "b_tile", "xo", tiling.input_depth),
        *_cache_read("result", "parameters", MemoryScope.PARAMETER, "vectors", "xo", tiling.parameter_depth),
        BufferDepth(TILE, tiling.result_depth),
    )


def lookup_schedule(tiling: WindowTiling) -> Schedule:
    """The schedule of the loops of `lower_qlookup`."""
    return (
        *_tile_results(tiling.height, tiling.width, tiling.first_height),
        Reorder(("tile_o", "yo", "xo", "yi", "xi", "tile_c")),
        ComputeAt("result", "xo"),
        *_cache_read("result", "x", MemoryScope.ACTIVATION, "x_tile", "xo", tiling.input_depth),
        BufferDepth(TILE, tiling.result_depth),
        *_fill_tables(),
    )


def _fill_tables() -> Schedule:
    """The stages of `table_stages`, once for all results."""
    return (SetScope("entries", MemoryScope.ACTIVATION), SetScope("tables", MemoryScope.TABLE))


def _tile_results(height: int, width: int, first_height: int | None = None) -> Schedule:
    """Results leave through a tile on the chip."""
    return (
        CacheWrite("result", MemoryScope.ACTIVATION, TILE),
        _split("tile_y", height, first_height, "yo", "yo", "yi"),
        Split("tile_x", width, "xo", "xi"),
    )


def _split(loop: str, factor: int, first: int | None, at: str, outer: str, inner: str) -> Primitive:
    """A loop in parts, which are of another size while `at` is at 0, if one is given."""
    if first is None:
        return Split(loop, factor, outer, inner)
    return SplitFirst(loop, factor, first, at, outer, inner)


def _reduce_in_lanes(stage: str) -> Schedule:
    """A reduction in the lanes, item by item of the instruction that takes its result."""
    return (ComputeAt(stage, "result_c"), SetScope(stage, MemoryScope.LANE))


def _keep(stage: str, depth: int) -> Schedule:
    """Accumulators of the vector engine that wait for a second instruction."""
    return (ComputeAt(stage, "xo"), SetScope(stage, MemoryScope.ACCUMULATOR), BufferDepth(stage, depth))


def _fine_parts(depth: int) -> Schedule:
    """Fine parts wait on the chip for the sums that they are added to."""
    return (ComputeAt("fine", "oi"), SetScope("fine", MemoryScope.ACTIVATION), BufferDepth("fine", depth))


def _load_stage(stage: str, loop: str, depth: int, scope: MemoryScope = MemoryScope.ACTIVATION) -> Schedule:
    """A stage that only copies, such as a padded feature map, is loaded where it is needed."""
    return (ComputeAt(stage, loop), SetScope(stage, scope), BufferDepth(stage, depth))


def _cache_read(block: str, buffer: str, scope: MemoryScope, name: str, loop: str, depth: int) -> Schedule:
    """A parameter of the function is loaded where it is needed."""
    return (CacheRead(block, buffer, scope, name), ComputeAt(name, loop), BufferDepth(name, depth))
