"""Steps from points to other points: crossover and mutation."""

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.space import Positions, Space
from tilewright.tune.rank import ranks

_JUMPS = 0.25
"""The share of mutated knobs of numbers that take any value, and not a neighbour."""


def crossed(rng: np.random.Generator, mothers: Positions, fathers: Positions) -> Positions:
    """Children [n, knobs] that have each knob of one or the other parent, evenly."""
    return np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)


def mutated(rng: np.random.Generator, space: Space, positions: Positions) -> Positions:
    """The same with about one knob of each changed: numbers mostly by a step, words to any."""
    sizes = np.array([len(knob.values) for knob in space.knobs], np.int64)
    is_number = np.array([knob.is_number for knob in space.knobs], np.bool_)
    changed = rng.random(positions.shape) < 1 / len(sizes)
    # At least one, else the point is the old one.
    changed[np.arange(len(positions)), rng.integers(0, len(sizes), len(positions))] = True
    steps = positions + rng.choice((-1, 1), positions.shape)
    jumps = rng.integers(0, sizes, positions.shape)
    is_step = is_number & (rng.random(positions.shape) >= _JUMPS)
    return np.where(changed, np.clip(np.where(is_step, steps, jumps), 0, sizes - 1), positions)


def tournament(
    rng: np.random.Generator, scores: NDArray[np.float64], count: int, size: int = 3
) -> NDArray[np.int64]:
    """Indices [count] of winners: each the best, by smallest score, of `size` drawn evenly."""
    drawn = rng.integers(0, len(scores), (count, size))
    winners = np.argmin(ranks(scores)[drawn], axis=1)
    won: NDArray[np.int64] = drawn[np.arange(count), winners]
    return won


def offspring(
    rng: np.random.Generator, space: Space, parents: Positions, scores: NDArray[np.float64], count: int
) -> Positions:
    """Children [count, knobs] of parents chosen by tournament; not all fit."""
    mothers, fathers = (parents[tournament(rng, scores, count)] for _ in range(2))
    return mutated(rng, space, crossed(rng, mothers, fathers))


def all_neighbours(space: Space, positions: Positions) -> Positions:
    """The neighbours of points, those of the first point first."""
    return np.concatenate([positions[:0], *(space.neighbours(row) for row in positions)])


def distinct(space: Space, positions: Positions) -> Positions:
    """Each point once, where it comes first."""
    _, first = np.unique(space.numbers(positions), return_index=True)
    kept: Positions = positions[np.sort(first)]
    return kept


def diverse(positions: Positions, count: int) -> Positions:
    """The first `count` that differ from each other in two knobs at least; filled up with those that do not.

    Points that differ in one knob tell much the same: measuring one of them and learning is worth more.
    """
    chosen: list[int] = []
    for row in range(len(positions)):
        if len(chosen) == count:
            break
        if not chosen or ((positions[chosen] != positions[row]).sum(axis=1) > 1).all():
            chosen.append(row)
    others = [row for row in range(min(len(positions), 2 * count)) if row not in chosen]
    found: Positions = positions[np.array([*chosen, *others][:count], np.int64)]
    return found
