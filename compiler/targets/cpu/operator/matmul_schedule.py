"""How the loops of a product of matrices run on the host, and the space of all such choices."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule import (
    CacheRead,
    ComputeAt,
    Parallel,
    Primitive,
    Reorder,
    Split,
    StorageAlign,
    Vectorise,
)
from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Columns, Space
from tilewright.compiler.targets.cpu.contraction import DOT, FMA, GROUP
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.operator.matmul_sizes import MatmulSizes
from tilewright.compiler.targets.cpu.operator.register_tile import product_lanes, rows_at_once, vector_lanes
from tilewright.compiler.targets.cpu.tensorise import Tensorise
from tilewright.compiler.tir.buffer import MemoryScope

DEPTH_BLOCK = 512
"""Steps of a float reduction between visits of the results: rows of both operands stay in the first cache."""
ROW_BLOCK = 16
"""Tiles of rows that pass one panel: what they read stays in the second cache."""
LEAST_ROW_BLOCK, PARTS = 4, 16
"""Fewer tiles read panels too often; parts for threads to share, so that they end at one time."""
PAGE_ROW, ODD_LINES = 32, 16
"""Rows of a copied block are an odd number of half lines apart, so that they do not meet in one set."""
VECTORS_MAXIMUM = 4
BLOCKS, DEPTHS = (1, 2, 4, 8, 16, 32), (64, 128, 256, 512, 1024, 2048)


@dataclass(frozen=True, kw_only=True)
class MatmulSchedule:
    """All that is chosen for a product of matrices besides its sizes.

    Members:
        rows: of a tile of the result, whose sums are in registers together.
        lanes: columns of a panel of b.
        tiles: of rows that pass one panel.
        depth: steps of the reduction between two visits to the sums; integers take all at once.
    """

    rows: int
    lanes: int
    tiles: int
    depth: int

    @staticmethod
    def default(sizes: MatmulSizes, features: Features) -> "MatmulSchedule":
        """What is taken where nothing was measured."""
        lanes = product_lanes(sizes.columns, sizes.is_float, features)
        rows = rows_at_once(lanes, sizes.is_float, features)
        if not sizes.is_float:
            return MatmulSchedule(rows=rows, lanes=lanes, tiles=ROW_BLOCK, depth=sizes.steps)
        all_tiles = -(-sizes.rows // rows)
        tiles = min(ROW_BLOCK, max(LEAST_ROW_BLOCK, -(-all_tiles // PARTS)))
        return MatmulSchedule(rows=rows, lanes=lanes, tiles=tiles, depth=DEPTH_BLOCK)

    def steps(self, sizes: MatmulSizes, features: Features) -> list[Primitive]:
        """The primitives."""
        if sizes.is_float:
            return self._float_steps()
        return self._integer_steps(is_copied(sizes, features))

    def _float_steps(self) -> list[Primitive]:
        """Blocks of rows outside, for threads; in each, blocks of the depth, copied, pass all panels."""
        return [
            Split("c_i", self.rows * self.tiles, "block", "row"),
            Split("row", self.rows, "tile", "i"),
            Split("c_j", self.lanes, "panel", "j"),
            Split("c_k", self.depth, "depth", "k"),
            Reorder(("block", "depth", "panel", "tile", "i", "k", "j")),
            CacheRead("c", "a", MemoryScope.GLOBAL, "near"),
            ComputeAt("near", "depth"),
            Vectorise("near_1"),
            StorageAlign("near", 0, PAGE_ROW, ODD_LINES),
            Tensorise("i", FMA),
            Parallel("block"),
        ]

    def _integer_steps(self, is_copied: bool) -> list[Primitive]:
        """Blocks of rows pass all panels; the whole depth at once, so that results are written once."""
        padded = [Vectorise("whole_d"), Parallel("whole_i")] if is_copied else []
        return [
            *padded,
            Split("c_i", self.rows * self.tiles, "block", "row"),
            Split("row", self.rows, "tile", "i"),
            Split("c_j", self.lanes, "panel", "j"),
            Reorder(("block", "panel", "tile", "i", "c_k", "j", "c_q")),
            Tensorise("i", DOT),
            Parallel("panel"),
        ]


def is_copied(sizes: MatmulSizes, features: Features) -> bool:
    """Whether a is copied before it is multiplied: integers, widened or with zeros behind."""
    return not sizes.is_float and bool(features.pairs_shorts or sizes.depth % GROUP)


@dataclass(frozen=True)
class _Rules:
    """What schedules must hold to."""

    sizes: MatmulSizes
    features: Features

    def broken(self, columns: Columns) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Each rule, with the schedules [n] that break it."""
        rows, lanes, tiles, depth = (columns[field.name] for field in fields(MatmulSchedule))
        vector = vector_lanes(self.sizes.is_float, self.features)
        yield f"lanes must be a multiple of {vector}", (lanes < vector) | (lanes % vector != 0)
        most = [rows_at_once(int(each), self.sizes.is_float, self.features) for each in lanes]
        yield "rows must be so few that registers hold their sums", (rows < 1) | (rows > np.array(most))
        yield "tiles must be at least 1", tiles < 1
        if self.sizes.is_float:
            yield "depth must be at least 1", depth < 1
        else:
            yield f"depth must be {self.sizes.steps}: integers take all at once", depth != self.sizes.steps

    def fits(self, columns: Columns) -> NDArray[np.bool_]:
        """Of the space."""
        found: NDArray[np.bool_] = ~np.any([breaks for _, breaks in self.broken(columns)], axis=0)
        return found

    def why_not(self, point: Point) -> str:
        """Of the space."""
        columns = {name: np.array([point.number(name)], np.int64) for name in point}
        return "; ".join(text for text, breaks in self.broken(columns) if breaks[0])


def check_matmul(schedule: MatmulSchedule, sizes: MatmulSizes, features: Features) -> None:
    """Refuse a schedule that the sizes or the machine do not allow.

    Raises:
        CpuError: with all reasons.
    """
    reasons = _Rules(sizes, features).why_not(Point(asdict(schedule)))
    if reasons:
        raise CpuError(f"{reasons}: not {schedule}")


def matmul_space(sizes: MatmulSizes, features: Features) -> Space:
    """The schedules of a product of matrices, the default among them."""
    default, vector = MatmulSchedule.default(sizes, features), vector_lanes(sizes.is_float, features)
    is_tiled = not sizes.is_float and features.dot is DotInstruction.AMX
    lanes = range(vector, max(default.lanes, VECTORS_MAXIMUM * vector) + 1, vector)
    rows = range(1, rows_at_once(vector, sizes.is_float, features) + 1)
    # What tile registers hold is a block of rows or two.
    halves = [each for each in rows if not is_tiled or each % (default.rows // 2) == 0]
    depths = DEPTHS if sizes.is_float else (sizes.steps,)
    knobs = {
        "rows": halves,
        "lanes": lanes,
        "tiles": {*BLOCKS, default.tiles},
        "depth": {*depths, default.depth},
    }
    rules = _Rules(sizes, features)
    found = tuple(Knob(name, tuple(sorted(values))) for name, values in knobs.items())
    return Space(found, rules.fits, rules.why_not)


def matmul_schedule_of(point: Point) -> MatmulSchedule:
    """The schedule that a point of the space is.

    Raises:
        SpaceError: if a value is no number.
    """
    return MatmulSchedule(**{field.name: point.number(field.name) for field in fields(MatmulSchedule)})
