"""Default schedules: primitives that cut an operator's loops as its tiling says."""

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
from tilewright.compiler.targets.accel.window_tiling import WindowTiling
from tilewright.compiler.tir.buffer import MemoryScope

Schedule = tuple[Primitive, ...]

TILE = "tile"
"""The buffer of results on the chip, and the block that stores it."""


def convolution_schedule(
    tiling: Tiling, *, pooled: bool, residual: bool, lookup: bool = False, copied: bool = False
) -> Schedule:
    """Of `ConvolutionNest.function`; `copied` says whether its weights are a stage."""
    cut, versions = tiling.cut, tiling.versions
    primitives: list[Primitive] = [
        *_cut_results(cut.height, cut.width, cut.first_height),
        Split("tile_o", cut.group_blocks, "og", "ob"),
        Split("ob", tiling.threads, "oo", "oi"),
        Reorder(("og", "yo", "xo", "oo", "oi", "yi", "xi", "tile_c")),
        ComputeAt("result", "oi"),
        *(_fold("pooled") if pooled else ()),
        ComputeAt("sums", "oi"),
        SetScope("sums", MemoryScope.ACCUMULATOR),
        BufferDepth("sums", versions.sums),
        Split("sums_ky", cut.taps[0], "kyo", "kyi"),
        Split("sums_kx", cut.taps[1], "kxo", "kxi"),
        _split("sums_i", cut.chunk_blocks, cut.first_blocks, "yo", "io", "ii"),
        Reorder(
            (
                "kyo",
                "kxo",
                "io",
                "sums_s",
                "sums_o",
                "sums_y",
                "sums_x",
                "kyi",
                "kxi",
                "ii",
                "sums_r",
                "sums_c",
            )
        ),
        *_bring_stage("input", "io", versions.inputs),
        *(
            _bring_stage("weights", "sums_s", versions.weights, MemoryScope.WEIGHT)
            if copied
            else _bring("sums", "weight", MemoryScope.WEIGHT, "weights", "sums_s", versions.weights)
        ),
        # Behind the sums, which are waited for.
        *_bring("result", "parameters", MemoryScope.PARAMETER, "vectors", "result_o", versions.parameters),
        BufferDepth(TILE, versions.results),
    ]
    if tiling.threads > 1:
        primitives.append(VirtualThread("oi"))
    if residual:
        primitives += _bring(
            "result", "residual", MemoryScope.ACTIVATION, "shortcut", "result_o", versions.residuals
        )
    return (*primitives, *(_fill_tables() if lookup else ()))


def window_schedule(
    tiling: WindowTiling, *, parameters: bool = False, residual: bool = False, lookup: bool = False
) -> Schedule:
    """Of the nests of `WindowNest`."""
    primitives = [
        *_cut_results(tiling.height, tiling.width),
        Reorder(("tile_o", "yo", "xo", "yi", "xi", "tile_c")),
        ComputeAt("result", "xo"),
        *(_keep("fold", tiling.sum_versions) if residual else _fold("fold")),
        *_bring_stage("input", "xo", tiling.input_versions),
        BufferDepth(TILE, tiling.result_versions),
    ]
    if parameters:
        primitives += _bring_stage("vectors", "xo", tiling.parameter_versions, MemoryScope.PARAMETER)
    if residual:
        primitives += _bring(
            "result", "residual", MemoryScope.ACTIVATION, "shortcut", "xo", tiling.input_versions
        )
    return (*primitives, *(_fill_tables() if lookup else ()))


def addition_schedule(tiling: WindowTiling) -> Schedule:
    """Of `AdditionNest.function`."""
    return (
        *_cut_results(tiling.height, tiling.width),
        Reorder(("tile_o", "yo", "xo", "yi", "xi", "tile_c")),
        ComputeAt("result", "xo"),
        *_keep("sums", tiling.sum_versions),
        *_bring("sums", "a", MemoryScope.ACTIVATION, "a_tile", "xo", tiling.input_versions),
        *_bring("result", "b", MemoryScope.ACTIVATION, "b_tile", "xo", tiling.input_versions),
        *_bring("result", "parameters", MemoryScope.PARAMETER, "vectors", "xo", tiling.parameter_versions),
        BufferDepth(TILE, tiling.result_versions),
    )


def product_schedule(tiling: WindowTiling) -> Schedule:
    """Of the loops of `lower_qmul`: both sums wait in banks of their own."""
    versions = max(1, tiling.sum_versions // 2)
    return (
        *_cut_results(tiling.height, tiling.width),
        Reorder(("tile_o", "yo", "xo", "yi", "xi", "tile_c")),
        ComputeAt("result", "xo"),
        *_keep("products", versions),
        *_keep("shifted", versions),
        *_bring_stage("a_tile", "xo", tiling.input_versions),
        *_bring("products", "b", MemoryScope.ACTIVATION, "b_tile", "xo", tiling.input_versions),
        *_bring("result", "parameters", MemoryScope.PARAMETER, "vectors", "xo", tiling.parameter_versions),
        BufferDepth(TILE, tiling.result_versions),
    )


def lookup_schedule(tiling: WindowTiling) -> Schedule:
    """Of the loops of `lower_qlookup`."""
    return (
        *_cut_results(tiling.height, tiling.width),
        Reorder(("tile_o", "yo", "xo", "yi", "xi", "tile_c")),
        ComputeAt("result", "xo"),
        *_bring("result", "x", MemoryScope.ACTIVATION, "x_tile", "xo", tiling.input_versions),
        BufferDepth(TILE, tiling.result_versions),
        *_fill_tables(),
    )


def _fill_tables() -> Schedule:
    """The stages of `table_stages`, once for all results."""
    return (SetScope("entries", MemoryScope.ACTIVATION), SetScope("tables", MemoryScope.TABLE))


def _cut_results(height: int, width: int, first_height: int | None = None) -> Schedule:
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


def _fold(stage: str) -> Schedule:
    """A reduction in the lanes, item by item of the instruction that takes its result."""
    return (ComputeAt(stage, "result_c"), SetScope(stage, MemoryScope.LANE))


def _keep(stage: str, versions: int) -> Schedule:
    """Sums of the vector engine that wait for a second instruction."""
    return (ComputeAt(stage, "xo"), SetScope(stage, MemoryScope.ACCUMULATOR), BufferDepth(stage, versions))


def _bring_stage(
    stage: str, loop: str, versions: int, scope: MemoryScope = MemoryScope.ACTIVATION
) -> Schedule:
    """A stage that only copies, such as a padded picture, is loaded where it is needed."""
    return (ComputeAt(stage, loop), SetScope(stage, scope), BufferDepth(stage, versions))


def _bring(block: str, buffer: str, scope: MemoryScope, name: str, loop: str, versions: int) -> Schedule:
    """A parameter of the function is loaded where it is needed."""
    return (CacheRead(block, buffer, scope, name), ComputeAt(name, loop), BufferDepth(name, versions))
