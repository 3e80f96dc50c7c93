"""Models that learn from measured points: what a point costs, and whether it is refused.

Only training and prediction of xgboost are used, with one thread and one seed: equal records make equal
models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.tune import model_file
from tilewright.tune.error import TuneError
from tilewright.tune.feature import Table, stack
from tilewright.tune.model_file import NUMBERS
from tilewright.tune.rank import ranks

_SCORE = 4.0
"""Of an ordering model, units of its score for a unit of the prior's logarithm: as steep as the trees'."""
_PRIOR_POINTS = 8
"""As many points as speak for the prior before any is measured."""
# The base is the default's: another one is lost, silently, where xgboost 3.0 reads files of 3.2.
_COMMON = {"tree_method": "hist", "nthread": 1, "seed": 0, "base_score": 0.5, "verbosity": 0}


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Measured points of one task.

    Members:
        table: their features.
        costs: float64 [n], above 0, in the unit of the table's prior.
        weight: of each point, beside points of other tasks.

    Raises:
        TuneError: if lengths disagree, or a cost is no number above 0.
    """

    table: Table
    costs: NDArray[np.float64]
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.costs.shape != (len(self.table),):
            raise TuneError(f"{len(self.table)} points must have as many costs, not {self.costs.shape}")
        if not (np.isfinite(self.costs).all() and (self.costs > 0).all()):
            raise TuneError("costs must be numbers above 0")


@dataclass(frozen=True, kw_only=True)
class Boosting:
    """How trees are grown; the names are those of xgboost.

    Members:
        rounds: the number of trees.
        eta: the share of each tree.
        max_depth: of a tree.
        min_child_weight: the least weight of points in a leaf.
        reg_lambda: draws leaves to 0.
        colsample_bytree: the share of features that a tree sees.
    """

    rounds: int = 300
    eta: float = 0.1
    max_depth: int = 4
    min_child_weight: float = 1.0
    reg_lambda: float = 1.0
    colsample_bytree: float = 0.8

    @property
    def parameters(self) -> dict[str, object]:
        """All but the number of rounds."""
        return {name: value for name, value in asdict(self).items() if name != "rounds"}


_DEFAULT = Boosting()


class Objective(StrEnum):
    """What trees are grown for.

    Members:
        COST: small squared errors of the logarithm of the cost.
        ORDER: few pairs of points of one task in the wrong order. What it foretells of the cost itself is a
            straight line through its scores. Searches need half as many points to 99 % of the best with it.
    """

    COST = "cost"
    ORDER = "order"


@dataclass(frozen=True, kw_only=True)
class CostModel:
    """Foretells the logarithm of costs: trees add to a share of the prior's logarithm what it misses.

    It is offset + gain × (trees + scale × slope × prior).

    Members:
        names: of the features that it has learned from.
        slope: how much of the prior's logarithm is believed, 0 to 1.
        scale, gain, offset: from the logarithm of costs to scores of the trees, and back.
        booster: the trees, as xgboost has them.
    """

    names: tuple[str, ...]
    slope: float
    scale: float
    gain: float
    offset: float
    booster: Any = field(repr=False)

    @classmethod
    def fit(
        cls,
        samples: Sequence[Samples],
        *,
        objective: Objective = Objective.COST,
        boosting: Boosting = _DEFAULT,
        relative: bool = False,
    ) -> "CostModel":
        """Learn from measured points of one task or of several.

        Args:
            samples: each of one task.
            objective: what for.
            boosting: how.
            relative: leave the level of each task out, so that only the order of its points is foretold: for
                tasks of very different size without a prior. With the objective ORDER trees see no level.

        Raises:
            TuneError: if there is no point, features differ, or xgboost is missing.
        """
        table = stack([each.table for each in samples])
        kept = [each for each in samples if len(each.costs)]
        if not kept:
            raise TuneError("there must be points to learn from, not none")
        slope = _slope(kept)
        if objective is Objective.COST:
            scale, gain = 1.0, 1.0
            booster, offset = _train_cost(kept, slope, boosting, relative)
        else:
            scale = -_SCORE
            booster = _train_order(kept, slope, boosting)
            scores = [_predict(booster, each.table, scale * slope) for each in kept]
            gain, offset = _line(kept, scores)
        return cls(names=table.names, slope=slope, scale=scale, gain=gain, offset=offset, booster=booster)

    def predict(self, table: Table) -> NDArray[np.float64]:
        """The logarithm of the cost of points [n].

        Raises:
            TuneError: if their features are not those that it has learned from.
        """
        table.require(self.names, "this model of costs")
        return self.offset + self.gain * _predict(self.booster, table, self.scale * self.slope)

    @property
    def importance(self) -> Mapping[str, float]:
        """How much each feature explained, those that were used: shares of 1."""
        gains = self.booster.get_score(importance_type="total_gain")
        total = sum(gains.values()) or 1.0
        return {self.names[int(name[1:])]: float(gain) / total for name, gain in gains.items()}

    def save(self, path: Path) -> None:
        """Write `path` (JSON: what the features are called) and beside it the trees, as `.ubj`."""
        head = {
            "features": list(self.names),
            **{name: getattr(self, name) for name in NUMBERS},
            "probe": _probe(self.booster, len(self.names)),
            "xgboost": _xgboost().__version__,
        }
        model_file.write(path, head, bytes(self.booster.save_raw(raw_format="ubj")))

    @classmethod
    def load(cls, path: Path) -> "CostModel":
        """Read what `save` wrote.

        Raises:
            TuneError: if it cannot be read, the two files are not of one model, or xgboost is missing.
        """
        head, trees = model_file.read(path)
        names = tuple(head["features"])
        booster = _booster(path, head, trees)
        if booster.num_features() != len(names):
            raise TuneError(
                f"{path} must name {booster.num_features()} features, not {len(names)}: train it anew"
            )
        if abs(_probe(booster, len(names)) - head["probe"]) > 1e-5:
            raise TuneError(
                f"{path}: xgboost {_xgboost().__version__} reads other numbers than xgboost "
                f"{head.get('xgboost')} wrote: train the model anew"
            )
        return cls(names=names, booster=booster, **{name: head[name] for name in NUMBERS})


@dataclass(frozen=True, kw_only=True)
class RefusalModel:
    """Foretells whether a point is refused, or its answer is wrong.

    Members:
        names: of the features that it has learned from.
        booster: the trees, as xgboost has them.
    """

    names: tuple[str, ...]
    booster: Any = field(repr=False)

    @classmethod
    def fit(
        cls, table: Table, refused: NDArray[np.bool_], *, boosting: Boosting = _DEFAULT
    ) -> "RefusalModel":
        """Learn from points [n] of which some were refused.

        Raises:
            TuneError: if all were refused or none, or xgboost is missing.
        """
        if refused.all() or not refused.any():
            raise TuneError("refusals are learned from points of which some were refused, and some not")
        parameters = {**boosting.parameters, "objective": "binary:logistic"}
        booster = _train(parameters, boosting.rounds, table, {"label": refused.astype(np.float64)})
        return cls(names=table.names, booster=booster)

    def predict(self, table: Table) -> NDArray[np.float64]:
        """The probability that points [n] are refused.

        Raises:
            TuneError: if their features are not those that it has learned from.
        """
        table.require(self.names, "this model of refusals")
        return _predict(self.booster, table)


def _slope(samples: Sequence[Samples]) -> float:
    """How much of the prior to believe: its regression within tasks, drawn to 1 while points are few.

    A prior that misleads is left out so, after a dozen points.
    """
    covariance = variance = count = 0.0
    for each in samples:
        prior = each.table.prior - each.table.prior.mean()
        covariance += each.weight * float(prior @ np.log(each.costs))
        variance += each.weight * float(prior @ prior)
        count += each.weight * len(each.costs)
    # Of priors that are all alike nothing is learned.
    if variance <= 1e-12 * max(count, 1.0):
        return 1.0
    believed = (count * covariance / variance + _PRIOR_POINTS) / (count + _PRIOR_POINTS)
    return float(np.clip(believed, 0.0, 1.0))


# --- objectives --------------------------------------------------------------------------------------------


def _train_cost(
    samples: Sequence[Samples], slope: float, boosting: Boosting, relative: bool
) -> tuple[Any, float]:
    """Trees for what the prior misses of the logarithm, and its mean."""
    rest = [np.log(each.costs) - slope * each.table.prior for each in samples]
    if relative:
        rest = [each - each.mean() for each in rest]
    weights = np.concatenate([np.full(len(each.costs), each.weight) for each in samples])
    offset = float(np.average(np.concatenate(rest), weights=weights))
    table = stack([each.table for each in samples])
    labels = np.concatenate(rest) - offset + slope * table.prior
    parameters = {**boosting.parameters, "objective": "reg:squarederror"}
    details = {"label": labels, "weight": weights, "base_margin": slope * table.prior}
    return _train(parameters, boosting.rounds, table, details), offset


def _train_order(samples: Sequence[Samples], slope: float, boosting: Boosting) -> Any:
    """Trees whose scores are the higher the better a point is among those of its task."""
    table = stack([each.table for each in samples])
    parameters = {
        **boosting.parameters,
        "objective": "rank:pairwise",
        "lambdarank_pair_method": "mean",
        "lambdarank_num_pair_per_sample": 8,
    }
    details = {
        "label": np.concatenate([ranks(-each.costs) for each in samples]),
        "weight": [each.weight for each in samples],
        "group": [len(each.costs) for each in samples],
        "base_margin": -_SCORE * slope * table.prior,
    }
    return _train(parameters, boosting.rounds, table, details)


def _line(samples: Sequence[Samples], scores: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """The straight line from scores to the logarithm of costs: its slope within tasks, and its offset."""
    logs = [np.log(each.costs) for each in samples]
    covariance = sum(float((score - score.mean()) @ log) for score, log in zip(scores, logs, strict=True))
    variance = sum(float((score - score.mean()) @ score) for score in scores)
    # Scores fall where costs rise, however few points there are.
    gain = min(covariance / variance, -1e-3) if variance > 0 else -1 / _SCORE
    rest = np.concatenate(logs) - gain * np.concatenate(scores)
    return gain, float(rest.mean())


# --- xgboost -----------------------------------------------------------------------------------------------


def _xgboost() -> ModuleType:
    try:
        import xgboost
    except ImportError as error:
        raise TuneError(
            "models of cost need xgboost, which is not installed: pip install 'tilewright[tune]'"
        ) from error
    return xgboost


def _train(parameters: Mapping[str, object], rounds: int, table: Table, details: Mapping[str, object]) -> Any:
    """Trees by labels and what else xgboost is told of the points."""
    xgboost = _xgboost()
    data = xgboost.DMatrix(table.values, nthread=1, **details)
    return xgboost.train({**_COMMON, **parameters}, data, num_boost_round=rounds)


def _predict(booster: Any, table: Table, steepness: float | None = None) -> NDArray[np.float64]:
    """What trees add to the prior × `steepness`; without it, what they say alone."""
    if not len(table):
        return np.empty(0)
    data = _xgboost().DMatrix(table.values, nthread=1)
    if steepness is not None:
        data.set_base_margin(steepness * table.prior)
    return np.asarray(booster.predict(data), np.float64)


def _probe(booster: Any, count: int) -> float:
    """What the trees say of a point whose features are all 0."""
    point = Table(names=("0",) * count, values=np.zeros((1, count), np.float32), prior=np.zeros(1))
    return float(_predict(booster, point, 0.0)[0])


def _booster(path: Path, head: Mapping[str, object], trees: bytes) -> Any:
    xgboost = _xgboost()
    try:
        return xgboost.Booster(model_file=bytearray(trees), params={"nthread": 1})
    except xgboost.core.XGBoostError as error:
        raise TuneError(
            f"{path}: xgboost {xgboost.__version__} cannot read trees of xgboost {head.get('xgboost')}: "
            "train the model anew"
        ) from error
