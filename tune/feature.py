"""Points as rows of numbers of one length, from which models of cost learn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.space import Positions
from tilewright.tune.error import TuneError
from tilewright.tune.task import Task

ESTIMATE, REFINED = "log estimate", "log refined"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Features of points.

    Members:
        names: of the columns, each once.
        values: float32 [n, len(names)].
        prior: float64 [n]: the natural logarithm of the cost as the best model that was asked foretells it;
            0 where there is none.

    Raises:
        TuneError: if lengths disagree, a prior is not finite, or a feature infinite.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    prior: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.prior), len(self.names)):
            raise TuneError(
                f"features of {len(self.prior)} points must have shape ({len(self.prior)}, "
                f"{len(self.names)}), not {self.values.shape}"
            )
        if not np.isfinite(self.prior).all():
            raise TuneError("a model of cost must foretell a number above 0 for each point that fits")
        if np.isinf(self.values).any():
            raise TuneError("features of points must be numbers, not infinite")

    def __len__(self) -> int:
        return len(self.prior)

    def require(self, names: tuple[str, ...], whose: str) -> None:
        """Hold that the columns are these, in this order.

        Raises:
            TuneError: with what is missing and what is new.
        """
        if self.names == names:
            return
        missing, new = [n for n in names if n not in self.names], [n for n in self.names if n not in names]
        raise TuneError(
            f"{whose} has learned from other features than it is asked with (missing: "
            f"{', '.join(missing) or 'none'}; new: {', '.join(new) or 'none'}): train it anew"
        )

    def rows(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Table":
        """Some of the points."""
        return Table(names=self.names, values=self.values[which], prior=self.prior[which])


def describe(
    task: Task, positions: Positions, *, refined: NDArray[np.float64] | None = None, portable: bool = False
) -> Table:
    """The features of points of a task: its knobs, its own features, and what is foretold of their cost.

    Args:
        task: whose.
        positions: of the points.
        refined: what `task.refine` says of them, if it was asked.
        portable: leave out the knobs if the task has features, so that other tasks of its kind can use what
            is learned, whatever their knobs.
    """
    columns = task.space.columns(positions)
    count = len(positions)
    names: list[str] = list(task.feature_names)
    blocks: list[NDArray[np.float32]] = []
    if task.features is not None:
        blocks.append(np.asarray(task.features(columns), np.float32).reshape(count, len(names)))
    if not (portable and names):
        names += [f"knob {knob.name}" for knob in task.space.knobs]
        blocks += [_scaled(columns[knob.name]) for knob in task.space.knobs]
    prior = np.zeros(count)
    estimated = None if task.estimate is None else task.estimate(columns)
    for name, cost in ((ESTIMATE, estimated), (REFINED, refined)):
        if cost is not None:
            prior = _log(cost)
            names.append(name)
            blocks.append(prior.astype(np.float32)[:, None])
    values = np.concatenate(blocks, axis=1) if blocks else np.empty((count, 0), np.float32)
    return Table(names=tuple(names), values=values, prior=prior)


def _scaled(column: NDArray[np.int64]) -> NDArray[np.float32]:
    """Sizes by their logarithm, whatever their sign: [n, 1]."""
    scaled: NDArray[np.float32] = (np.sign(column) * np.log2(1.0 + np.abs(column))).astype(np.float32)
    return scaled[:, None]


def _log(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Not finite where a cost is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.asarray(costs, np.float64))


def stack(tables: Sequence[Table]) -> Table:
    """The points of several tables of equal columns, one after another.

    Raises:
        TuneError: if there is none, or columns differ.
    """
    if not tables:
        raise TuneError("there must be points to learn from, not none")
    for table in tables[1:]:
        table.require(tables[0].names, "one of the tables")
    return Table(
        names=tables[0].names,
        values=np.concatenate([table.values for table in tables]),
        prior=np.concatenate([table.prior for table in tables]),
    )


def based_on(table: Table, name: str, prior: NDArray[np.float64]) -> Table:
    """The same points with another prior [n], which is a feature too."""
    values = np.concatenate([table.values, prior.astype(np.float32)[:, None]], axis=1)
    return Table(names=(*table.names, name), values=values, prior=prior)
