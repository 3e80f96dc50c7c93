"""Landscapes of which every cost is known: read from files, or made up.

A file is an .npz without pickles:

    knob_NAME       [values of that knob], numbers or words; the knobs in the order of the file
    positions       int64 [n, knobs]: of every point that fits
    costs           float64 [n]; infinite where measuring it was refused
    estimate        float64 [n], optional: what the cheap model says
    refined         float64 [n], optional: what the dear model says
    default         int64 [], optional: the row of the default
    unit            `cycles` or `seconds`
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.knob import Knob
from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Columns, Positions, Space
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.task import Task


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """A task of which every cost is known.

    Members:
        task: it.
        numbers: of the points that fit, rising: int64 [n].
        costs: of these, float64 [n]; infinite where there is none.
    """

    task: Task
    numbers: NDArray[np.int64]
    costs: NDArray[np.float64]

    @property
    def best(self) -> float:
        return float(self.costs.min())

    def measure(self, points: Sequence[Point]) -> Iterator[tuple[Point, Outcome]]:
        """As a worker would, by looking it up."""
        space = self.task.space
        rows = np.searchsorted(self.numbers, space.numbers(space.positions_of(points)))
        for point, cost in zip(points, self.costs[rows].tolist(), strict=True):
            yield (
                point,
                (
                    Outcome(kind=Kind.OK, cost=cost)
                    if np.isfinite(cost)
                    else Outcome(kind=Kind.REFUSED, detail="refused")
                ),
            )


def read(path: Path) -> Landscape:
    """A landscape from a file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    knobs = tuple(
        Knob(name.removeprefix("knob_"), tuple(values.tolist()))
        for name, values in arrays.items()
        if name.startswith("knob_")
    )
    return landscape(path.stem, knobs, **{n: a for n, a in arrays.items() if not n.startswith("knob_")})


def landscape(
    key: str,
    knobs: tuple[Knob, ...],
    *,
    positions: Positions,
    costs: NDArray[np.float64],
    estimate: NDArray[np.float64] | None = None,
    refined: NDArray[np.float64] | None = None,
    default: NDArray[np.int64] | None = None,
    unit: object = "cycles",
) -> Landscape:
    """A landscape from the arrays of a file."""
    every = Space(knobs)
    order = np.argsort(every.numbers(positions))
    numbers = every.numbers(positions)[order]

    def rows(asked: Positions) -> NDArray[np.int64]:
        return np.searchsorted(numbers, every.numbers(asked))

    def at(columns: Columns) -> Positions:
        """The positions back from values; knobs of words have them as they are."""
        places = [
            np.argsort(knob.values)[np.searchsorted(np.sort(knob.values), columns[knob.name])]
            if knob.is_number
            else columns[knob.name]
            for knob in knobs
        ]
        return np.stack(places, axis=1)

    def fits(columns: Columns) -> NDArray[np.bool_]:
        return np.isin(every.numbers(at(columns)), numbers)

    space = Space(knobs, fits)
    task = Task(
        key=key,
        target="recorded",
        machine="recorded",
        space=space,
        default=None if default is None else space.points(positions[int(default)][None])[0],
        unit=str(unit),
        estimate=None if estimate is None else lambda columns: estimate[order][rows(at(columns))],
        refine=None if refined is None else lambda asked: refined[order][rows(asked)],
    )
    return Landscape(task=task, numbers=numbers, costs=costs[order])


# --- made up -----------------------------------------------------------------------------------------------

_SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)


def made_up(height: int, width: int, channels: int) -> Landscape:
    """Tiles of a layer, on a machine that does not exist.

    Each tile costs its start, and the longer of its sums and its transfers with a share of the shorter. The
    estimate forgets the starts; many rows in deep buffers are refused, which only measuring them says.
    """
    tile = [tuple(size for size in _SIZES if size <= extent) for extent in (height, width, channels)]
    knobs = (
        *(Knob(name, sizes) for name, sizes in zip(("tile_y", "tile_x", "tile_c"), tile, strict=True)),
        Knob("depth", (1, 2, 3, 4)),
        Knob("order", ("inputs", "weights", "results")),
    )
    every = Space(knobs)
    positions = every.positions(np.arange(every.size))
    columns = every.columns(positions)
    y, x, c, depth = (columns[name].astype(float) for name in ("tile_y", "tile_x", "tile_c", "depth"))
    tiles = np.ceil(height / y) * np.ceil(width / x) * np.ceil(channels / c)
    inputs, weights, results = (y + 2) * (x + 2) * c, 9 * c * 16, 4 * y * x * 16
    kept = np.choose(columns["order"], [inputs, weights, results])
    sums = 9 * y * x * np.ceil(c / 16)
    moved = (inputs + weights + results - 0.8 * kept) / 16
    costs = tiles * (
        60 / np.minimum(depth, 3) + np.maximum(sums, moved) + 0.3 * np.minimum(sums, moved) / depth
    )
    fits = depth * (inputs + weights) <= 65536
    costs[(depth * y > 100) & (columns["order"] != 1)] = np.inf
    estimate = tiles * np.maximum(sums, moved)
    return landscape(
        f"made up {height}×{width}×{channels}",
        knobs,
        positions=positions[fits],
        costs=costs[fits],
        estimate=estimate[fits],
        default=np.int64(np.flatnonzero(np.isfinite(costs[fits]))[0]),
    )
