"""An analytic model of Gemmini 16×16 (weight stationary), for `dosa.py`: cycles of a layer by its mapping.

The form is what the machine does; the 16 coefficients are fitted. A mapping cuts a layer into tiles that lie
in the scratchpad, by the loops of its DRAM level. Of a tile:

- an instruction multiplies up to 16 rows of inputs, along P, with 16×16 weights: it takes the longer of its
  rows and of loading the weights;
- inputs and weights are moved in rows of 16 channels, again for each turn of the loops outside the last one
  that concerns them (matrix products reload both for each tile);
- beyond the last cache lines of 64 bytes come from DRAM, whole ones even if less is wanted.

Sums and transfers overlap in part: p-norm of both. All sizes are float64 [n].
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DIMENSIONS = "NKCPQRS"
_DAMPING, _ROUNDS = 1.0, 60
_OUTLIER = 0.1
"""Errors of the logarithm beyond which a row counts less."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Layers and mappings.

    Members:
        layer: of each row the index of its layer, int64 [n].
        cycles: of the RTL.
        own_cycles: as the authors' own analytic model has them.
        problem, outer, tile: sizes by dimension: of the layer, of the loops at DRAM, of a tile.
        trips: by operand (`inputs`, `weights`, `results`), how often a tile of it is moved.
        innermost, outermost: the loop at DRAM, as a number.
        stride: of the layer.
        scratchpad_bytes, accumulator_rows: of the machine that the mapping was made for.
    """

    layer: NDArray[np.int64]
    cycles: Array
    own_cycles: Array
    problem: Mapping[str, Array]
    outer: Mapping[str, Array]
    tile: Mapping[str, Array]
    trips: Mapping[str, Array]
    innermost: Array
    outermost: Array
    stride: Array
    scratchpad_bytes: Array
    accumulator_rows: Array


_CONCERNS = {"inputs": "CPQRS", "weights": "KCRS", "results": "KPQ"}


def read(path: Path) -> Rows:
    """The rows of a table of DOSA."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))

    def column(name: str) -> Array:
        return np.array([float(line[name]) for line in lines])

    problem = {d: column(f"prob.{d}") for d in DIMENSIONS}
    stride = column("prob.Hstride")
    loops = [_outer_loops(line["mapping.mapping"]) for line in lines]
    outer = {d: np.array([float(dict(each).get(d, 1)) for each in loops]) for d in DIMENSIONS}
    _, layer = np.unique(np.stack([*problem.values(), stride]), axis=1, return_inverse=True)
    is_product = (problem["Q"] == 1) & (problem["R"] == 1) & (problem["P"] > 1)
    tiles = np.prod(list(outer.values()), axis=0)
    trips = {name: np.array([_trips(each, dims) for each in loops]) for name, dims in _CONCERNS.items()}
    for name in ("inputs", "weights"):
        trips[name] = np.where(is_product, tiles, trips[name])
    ends = np.array(
        [[DIMENSIONS.index(each[at][0]) if each else 0 for each in loops] for at in (-1, 0)], float
    )
    return Rows(
        layer=layer.ravel().astype(np.int64),
        cycles=column("target.gemmini_cycle"),
        own_cycles=column("target.cycle"),
        problem=problem,
        outer=outer,
        tile={d: problem[d] / outer[d] for d in DIMENSIONS},
        trips=trips,
        innermost=ends[0],
        outermost=ends[1],
        stride=stride,
        scratchpad_bytes=16 * column("arch.mem2_depth"),
        accumulator_rows=column("arch.mem1_depth"),
    )


def _outer_loops(mapping: str) -> list[tuple[str, int]]:
    """The loops at DRAM, the outermost first: of `L3[WIO] K2 P7 - …` (K, 2) and (P, 7)."""
    level = next(part for part in mapping.split(" - ") if part.startswith("L3"))
    loops = ((name, int(count)) for name, count in re.findall(r" ([A-Z])(\d+)", level))
    return [(name, count) for name, count in loops if count > 1]


def _trips(loops: Sequence[tuple[str, int]], concerned: str) -> float:
    """How often an operand is moved: the turns of all loops but the innermost ones that leave it as it is."""
    last = max((n for n, (name, _) in enumerate(loops) if name in concerned), default=-1)
    return float(np.prod([count for _, count in loops[: last + 1]]))


# --- the model ---------------------------------------------------------------------------------------------


def quantities(rows: Rows) -> dict[str, Array]:
    """What the model counts, by name: [n] each."""
    n, k, c, p, q, r, s = (rows.tile[d] for d in DIMENSIONS)
    blocks = np.ceil(p / 16)
    height, width = (p - 1) * rows.stride + r, (q - 1) * rows.stride + s
    c_blocks, k_blocks = np.ceil(c / 16), np.ceil(k / 16)
    problem = rows.problem
    whole_height, whole_width = (
        (problem[a] - 1) * rows.stride + problem[b] for a, b in (("P", "R"), ("Q", "S"))
    )
    whole = (
        whole_height * whole_width * problem["C"]
        + problem["R"] * problem["S"] * problem["C"] * problem["K"]
        + problem["P"] * problem["Q"] * problem["K"]
    )
    return {
        "tiles": np.prod(list(rows.outer.values()), axis=0),
        "rows of an instruction": p / blocks,
        "instructions": n * r * s * c_blocks * k_blocks * q * blocks,
        "input bytes": height * width * c,
        "input rows": height * width * c_blocks,
        "input lines": height * width * _lines(problem["C"], c),
        "weight bytes": r * s * c * k,
        "weight rows": r * s * c * k_blocks,
        "weight lines": r * s * c * _lines(problem["K"], k),
        "result bytes": p * q * k,
        "result rows": p * q * k_blocks,
        "result lines": p * q * _lines(problem["K"], k),
        "all bytes": whole,
    }


def _lines(whole: Array, part: Array) -> Array:
    """Cache lines of 64 bytes of a part of the channels of a pixel; whole pixels lie side by side."""
    return np.where(whole == part, part / 64, np.ceil(part / 64))


START = {
    "weight loading": 7.7,
    "instruction": 1.0,
    "input byte": 0.05,
    "input row": 0.5,
    "weight byte": 0.05,
    "weight row": 0.5,
    "result byte": 0.05,
    "result row": 0.5,
    "overlap": 2.0,
    "tile": 100.0,
    "layer": 1000.0,
    "cache bytes": 4e6,
    "edge of the cache": 3.0,
    "input miss": 20.0,
    "weight miss": 10.0,
    "result miss": 20.0,
}
"""Cycles of each, where the fit begins; all are above 0."""


def foretold(coefficients: Array, rows: Rows) -> Array:
    """The logarithm of the cycles [n], by the logarithms of the coefficients."""
    a, of = dict(zip(START, np.exp(np.clip(coefficients, -30, 30)), strict=True)), quantities(rows)
    trips, tiles = rows.trips, of["tiles"]
    # A maximum with a round corner.
    each = (a["weight loading"] ** 4 + (of["rows of an instruction"] + a["instruction"]) ** 4) ** 0.25
    sums = tiles * of["instructions"] * each
    moved = {
        name: trips[f"{name}s"]
        * (a[f"{name} byte"] * of[f"{name} bytes"] + a[f"{name} row"] * of[f"{name} rows"])
        for name in ("input", "weight", "result")
    }
    missed = 1 / (1 + (a["cache bytes"] / of["all bytes"]) ** a["edge of the cache"])
    for name in moved:
        misses = missed * a[f"{name} miss"] * trips[f"{name}s"] * of[f"{name} lines"]
        # Results leave last: what they wait for in the cache hides behind the next tile.
        moved["input" if name == "result" else name] += misses
    transfers = moved["input"] + moved["weight"]
    longer, shorter = np.maximum(sums, transfers), np.minimum(sums, transfers)
    power = 1 + a["overlap"]
    both = longer * (1 + (shorter / longer) ** power) ** (1 / power)
    return np.log(both + tiles * a["tile"] + moved["result"] + a["layer"])


def fit(rows: Rows, kept: NDArray[np.bool_]) -> Array:
    """The logarithms of the coefficients that foretell these rows best, by Levenberg and Marquardt.

    Rows that are far off count less (weights of a Cauchy loss); coefficients are drawn to where they began.
    """
    start = np.log(list(START.values()))
    found, damping = start.copy(), _DAMPING

    def errors(at: Array) -> Array:
        return (foretold(at, rows) - np.log(rows.cycles))[kept]

    def loss(at: Array) -> float:
        return float(np.log1p((errors(at) / _OUTLIER) ** 2).sum() + 0.04 * ((at - start) ** 2).sum())

    best = loss(found)
    for _ in range(_ROUNDS):
        error = errors(found)
        slope = np.stack(
            [(errors(found + step) - error) / 1e-5 for step in 1e-5 * np.eye(len(start))], axis=1
        )
        weight = 1 / (_OUTLIER**2 + error**2)
        normal = slope.T @ (weight[:, None] * slope) + 0.04 * np.eye(len(start))
        right = -slope.T @ (weight * error) - 0.04 * (found - start)
        tried = found + np.linalg.solve(normal + damping * np.diag(np.diag(normal)), right)
        after = loss(tried)
        if after < best:
            found, best, damping = tried, after, damping / 3
        else:
            damping *= 4
    return found
