"""Spaces of which every cost is known, for searches: bowls with interactions, cliffs, priors good and bad."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Space
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.task import Task

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
KNOBS = (
    Knob("tile_y", SIZES),
    Knob("tile_x", SIZES),
    Knob("tile_c", SIZES),
    Knob("depth", (1, 2, 3, 4)),
    Knob("order", ("yx", "xy", "c")),
)
SPACE = Space(KNOBS, lambda columns: columns["tile_y"] * columns["tile_x"] * columns["tile_c"] <= 4096)


@dataclass(frozen=True)
class Landscape:
    """A task and the cost of each of its points; infinite for those that are refused when measured."""

    task: Task
    cost_of: Callable[[np.ndarray], np.ndarray]

    @property
    def best(self) -> float:
        return float(self.cost_of(self.task.space.all_that_fit()).min())

    def measure(self, points: Sequence[Point]) -> Iterator[tuple[Point, Outcome]]:
        costs = self.cost_of(self.task.space.positions_of(points))
        for point, cost in zip(points, costs.tolist(), strict=True):
            yield point, outcome(cost)


def outcome(cost: float) -> Outcome:
    if np.isfinite(cost):
        return Outcome(kind=Kind.OK, cost=cost)
    return Outcome(kind=Kind.REFUSED, detail="it is beyond the cliff")


def bowl(seed: int = 0, *, cliff: bool = False) -> Landscape:
    """A quadratic bowl in the logarithms of the sizes, with interactions, and words that shift it."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(0, 1, (4, 4)) * 0.15 + np.diag([0.3, 0.3, 0.3, 0.3])
    centre = np.array([3.0, 2.5, 3.5, 1.2]) + rng.uniform(-1, 1, 4)
    shifts = rng.uniform(-1, 1, (3, 4)) * np.array([1, 1, 1, 0.2])
    level = rng.uniform(0, 0.4, 3)
    slopes = rng.uniform(0.3, 1.0, 3)

    def cost_of(positions: np.ndarray) -> np.ndarray:
        columns = SPACE.columns(positions)
        numbers = np.stack([np.log2(columns[knob.name]) for knob in KNOBS[:4]], axis=1)
        off = (numbers - centre - shifts[columns["order"]]) @ mixed
        costs = 1000 * np.exp((off**2).sum(axis=1) * 0.5 + level[columns["order"]])
        # The lowest part of the bowl lies behind it.
        over = (numbers[:, :3] - centre[:3]) @ slopes > 0.2
        return np.where(over, np.inf, costs) if cliff else costs

    return Landscape(_task(f"bowl {seed}"), cost_of)


def _task(key: str) -> Task:
    default = Point({"tile_y": 1, "tile_x": 1, "tile_c": 1, "depth": 1, "order": "yx"})
    return Task(key=key, target="synthetic", machine="none", space=SPACE, default=default, unit="cycles")


def with_prior(landscape: Landscape, *, noise: float, sign: float = 1.0, refine: bool = False) -> Landscape:
    """The same with an estimate that is right up to noise of the logarithm; with sign −1 it misleads."""

    def foretell(positions: np.ndarray, deviation: float) -> np.ndarray:
        # Of the point alone: the same whenever it is asked.
        numbers = landscape.task.space.numbers(positions).astype(np.uint64)
        mixed = (numbers * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
        wrong = np.sqrt(12) * (mixed / 2**24 - 0.5) * deviation
        costs = landscape.cost_of(positions)
        known = np.where(np.isfinite(costs), costs, 1500.0)
        return np.exp(sign * np.log(known / 1000) + wrong) * 1000

    def estimate(columns):
        rows = [columns[knob.name] for knob in KNOBS]
        at = [
            np.searchsorted(np.array(knob.values), row) if knob.is_number else row
            for knob, row in zip(KNOBS, rows, strict=True)
        ]
        return foretell(np.stack(at, axis=1), noise)

    better = (lambda positions: foretell(positions, noise / 4)) if refine else None
    return replace(landscape, task=replace(landscape.task, estimate=estimate, refine=better))


# --- tasks of one kind -------------------------------------------------------------------------------------


def layer(height: int, width: int, channels: int, *, bus_bytes: int = 8) -> Landscape:
    """Tiles of a layer: each costs its start, and the longer of its sums and its transfers; edges are waste.

    Its features are those of any such layer: what its tiles are, not how large the layer is.
    """

    def parts(columns):
        sizes = zip((height, width, channels), ("tile_y", "tile_x", "tile_c"), strict=True)
        counts = np.prod([-(-size // columns[name]) for size, name in sizes], axis=0).astype(float)
        y, x, c = (columns[name].astype(float) for name in ("tile_y", "tile_x", "tile_c"))
        sums = y * x * np.ceil(c / 16) * 16
        inputs = (y + 2) * (x + 2) * c
        moved = np.where(
            columns["order"] == 0, inputs + 9 * c, np.where(columns["order"] == 1, 2 * inputs, 9 * c * y)
        )
        return counts, y * x * c, sums, moved / bus_bytes, 40.0 / np.minimum(columns["depth"], 3)

    def cost_of(positions):
        counts, _, sums, transfers, start = parts(SPACE.columns(positions))
        return counts * (start + np.maximum(sums, transfers) + 0.2 * np.minimum(sums, transfers))

    def features(columns):
        counts, volume, sums, transfers, start = parts(columns)
        useful = height * width * channels / (counts * volume)
        rows = (
            np.log(volume),
            np.log(sums / volume),
            np.log(transfers / volume),
            start / volume,
            np.log(useful),
        )
        return np.stack([*rows, columns["order"]], axis=1).astype(np.float32)

    names = ("log volume", "log sums", "log transfers", "start", "log useful", "order in use")
    task = _task(f"layer {height} {width} {channels}, bus {bus_bytes}")
    return Landscape(replace(task, features=features, feature_names=names), cost_of)
