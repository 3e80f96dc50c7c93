"""Fronts of machines: who is dominated by nobody, and how much of the room below a point they dominate."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from tilewright.tune.budget import Board
from tilewright.tune.error import TuneError
from tilewright.tune.evaluated import Evaluated
from tilewright.tune.hardware import SLOWEST
from tilewright.tune.hardware_space import shares_of

Values = NDArray[np.float64]

REFERENCE = (SLOWEST, 1.0, 1.0)
"""Twice the base's latency, and all of the board's look-up tables and block RAMs: from here volume counts."""


def values_of(machines: Sequence[Evaluated], board: Board, base_latency: float) -> Values:
    """What is made least [machines, 3]: latency as a share of the base's, shares of the board.

    Machines that were refused are behind every reference.
    """
    rows = [
        (np.inf,) * len(REFERENCE)
        if each.costs is None
        else (each.costs.latency / base_latency, *_shares(each, board))
        for each in machines
    ]
    return np.array(rows, np.float64).reshape(-1, len(REFERENCE))


def _shares(machine: Evaluated, board: Board) -> tuple[float, float]:
    shares = shares_of(machine.area, board)
    return shares["lut"], shares["bram"]


def front_places(values: Values) -> list[int]:
    """The places of those that no other dominates, by the first value; of equal ones the first.

    Args:
        values: what is made least [n, objectives]; infinite ones are on no front.
    """
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    if not len(finite):
        return []
    kept = finite[_moocore().is_nondominated(values[finite])]
    return sorted(kept.tolist(), key=lambda place: tuple(values[place]))


def hypervolume(values: Values, reference: Sequence[float] = REFERENCE) -> float:
    """The volume below the reference that values dominate, exactly; 0 of none."""
    inside = values[(values < np.array(reference)).all(axis=1)]
    return float(_moocore().hypervolume(inside, ref=np.array(reference))) if len(inside) else 0.0


def hypervolumes(values: Values, reference: Sequence[float] = REFERENCE) -> Values:
    """The hypervolume behind each of the values [n], as they come: it never falls."""
    found, front, volume = [], np.empty((0, values.shape[1])), 0.0
    for row in values:
        if (row < np.array(reference)).all() and not (front <= row).all(axis=1).any():
            front = np.vstack([front[~(row <= front).all(axis=1)], row])
            volume = hypervolume(front, reference)
        found.append(volume)
    return np.array(found, np.float64)


@dataclass(frozen=True, kw_only=True)
class Quartiles:
    """Quartiles over seeds, behind each call.

    Members:
        low, median, high: [calls].
    """

    low: Values
    median: Values
    high: Values

    @classmethod
    def of(cls, curves: Sequence[Values]) -> "Quartiles":
        """Of curves of several seeds; a shorter one keeps its last value.

        Raises:
            TuneError: if there is none, or an empty one.
        """
        if not curves or not all(map(len, curves)):
            raise TuneError("quartiles must be of curves with values")
        calls = max(map(len, curves))
        full = np.stack([np.pad(each, (0, calls - len(each)), mode="edge") for each in curves])
        low, median, high = np.quantile(full, (0.25, 0.5, 0.75), axis=0)
        return cls(low=low, median=median, high=high)


def calls_until(curve: Values, volume: float) -> int | None:
    """Calls until a hypervolume is reached; None if it is not."""
    reached = np.flatnonzero(curve >= volume)
    return int(reached[0]) + 1 if len(reached) else None


def _moocore() -> ModuleType:
    """Raises TuneError with the remedy where it is missing."""
    try:
        import moocore
    except ImportError as error:
        raise TuneError(
            "fronts need moocore, which is not installed: pip install 'tilewright[tune]'"
        ) from error
    found: ModuleType = moocore
    return found
