"""Models that learn from measured points: what a point costs, and whether it is refused.

Only training and prediction of xgboost are used, with one thread and one seed: equal records make equal
models.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.tune.error import TuneError
from tilewright.tune.feature import Table, stack

_VERSION = 1
_PRIOR_POINTS = 8
"""As many points as speak for the prior before any is measured."""
_BASE = 0.5
"""What trees are added to. Another number is lost, silently, where xgboost 3.0 reads files of 3.2."""
_COMMON = {"tree_method": "hist", "nthread": 1, "seed": 0, "base_score": _BASE, "verbosity": 0}


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

    rounds: int = 150
    eta: float = 0.1
    max_depth: int = 6
    min_child_weight: float = 1.0
    reg_lambda: float = 1.0
    colsample_bytree: float = 0.8

    @property
    def parameters(self) -> dict[str, object]:
        """All but the number of rounds."""
        return {name: value for name, value in asdict(self).items() if name != "rounds"}


_DEFAULT = Boosting()


@dataclass(frozen=True, kw_only=True)
class CostModel:
    """Foretells the logarithm of costs: a share of the prior's, an offset, and trees for what is left.

    Members:
        names: of the features that it has learned from.
        slope: how much of the prior's logarithm is believed, 0 to 1.
        offset: added.
        booster: the trees, as xgboost has them.
    """

    names: tuple[str, ...]
    slope: float
    offset: float
    booster: Any = field(repr=False)

    @classmethod
    def fit(
        cls, samples: Sequence[Samples], *, boosting: Boosting = _DEFAULT, relative: bool = False
    ) -> "CostModel":
        """Learn from measured points of one task or of several.

        Args:
            samples: each of one task.
            boosting: how.
            relative: leave the level of each task out, so that only the order of its points is foretold: for
                tasks of very different size without a prior.

        Raises:
            TuneError: if there is no point, features differ, or xgboost is missing.
        """
        table = stack([each.table for each in samples])
        if not len(table):
            raise TuneError("there must be points to learn from, not none")
        slope = _slope(samples)
        rest = [np.log(each.costs) - slope * each.table.prior for each in samples]
        if relative:
            rest = [each - (each.mean() if len(each) else 0.0) for each in rest]
        weights = np.concatenate([np.full(len(each.costs), each.weight) for each in samples])
        labels = np.concatenate(rest)
        offset = float(np.average(labels, weights=weights))
        parameters = {**boosting.parameters, "objective": "reg:squarederror"}
        booster = _train(parameters, boosting.rounds, table, labels - offset + _BASE, weights)
        return cls(names=table.names, slope=slope, offset=offset, booster=booster)

    def predict(self, table: Table) -> NDArray[np.float64]:
        """The logarithm of the cost of points [n].

        Raises:
            TuneError: if their features are not those that it has learned from.
        """
        table.require(self.names, "this model of costs")
        return self.slope * table.prior + self.offset - _BASE + _predict(self.booster, table)

    @property
    def importance(self) -> Mapping[str, float]:
        """How much each feature explained, those that were used: shares of 1."""
        gains = self.booster.get_score(importance_type="total_gain")
        total = sum(gains.values()) or 1.0
        return {self.names[int(name[1:])]: float(gain) / total for name, gain in gains.items()}

    def save(self, path: Path) -> None:
        """Write `path` (JSON: what the features are called) and beside it the trees, as `.ubj`."""
        trees = bytes(self.booster.save_raw(raw_format="ubj"))
        path.with_suffix(".ubj").write_bytes(trees)
        head = {
            "version": _VERSION,
            "features": list(self.names),
            "slope": self.slope,
            "offset": self.offset,
            "probe": _probe(self.booster, len(self.names)),
            "xgboost": _xgboost().__version__,
            "sha256": hashlib.sha256(trees).hexdigest(),
        }
        path.write_text(json.dumps(head, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "CostModel":
        """Read what `save` wrote.

        Raises:
            TuneError: if it cannot be read, the two files are not of one model, or xgboost is missing.
        """
        head, trees = _read(path)
        xgboost = _xgboost()
        try:
            booster = xgboost.Booster(model_file=bytearray(trees), params={"nthread": 1})
        except xgboost.core.XGBoostError as error:
            raise TuneError(
                f"{path}: xgboost {xgboost.__version__} cannot read trees of xgboost {head.get('xgboost')}: "
                "train the model anew"
            ) from error
        names = tuple(head["features"])
        if booster.num_features() != len(names):
            raise TuneError(
                f"{path} must name {booster.num_features()} features, not {len(names)}: train it anew"
            )
        if abs(_probe(booster, len(names)) - head["probe"]) > 1e-5:
            raise TuneError(
                f"{path}: xgboost {xgboost.__version__} reads other numbers than xgboost "
                f"{head.get('xgboost')} wrote: train the model anew"
            )
        return cls(names=names, slope=head["slope"], offset=head["offset"], booster=booster)


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
        booster = _train(parameters, boosting.rounds, table, refused.astype(np.float64), np.ones(len(table)))
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
        if len(each.costs):
            prior, log_cost = each.table.prior, np.log(each.costs)
            covariance += each.weight * float((prior - prior.mean()) @ (log_cost - log_cost.mean()))
            variance += each.weight * float((prior - prior.mean()) @ (prior - prior.mean()))
            count += each.weight * len(each.costs)
    # Of priors that are all alike nothing is learned.
    if variance <= 1e-12 * max(count, 1.0):
        return 1.0
    believed = (count * covariance / variance + _PRIOR_POINTS) / (count + _PRIOR_POINTS)
    return float(np.clip(believed, 0.0, 1.0))


# --- xgboost -----------------------------------------------------------------------------------------------


def _xgboost() -> ModuleType:
    try:
        import xgboost
    except ImportError as error:
        raise TuneError(
            "models of cost need xgboost, which is not installed: pip install 'tilewright[tune]'"
        ) from error
    return xgboost


def _train(
    parameters: Mapping[str, object],
    rounds: int,
    table: Table,
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Any:
    xgboost = _xgboost()
    data = xgboost.DMatrix(table.values, label=labels, weight=weights, nthread=1)
    return xgboost.train({**_COMMON, **parameters}, data, num_boost_round=rounds)


def _predict(booster: Any, table: Table) -> NDArray[np.float64]:
    if not len(table):
        return np.empty(0)
    foretold = booster.predict(_xgboost().DMatrix(table.values, nthread=1))
    return np.asarray(foretold, np.float64)


def _probe(booster: Any, count: int) -> float:
    """What the trees say of a point whose features are all 0."""
    data = _xgboost().DMatrix(np.zeros((1, count), np.float32), nthread=1)
    return float(booster.predict(data)[0])


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    """The two files of a model, of which the first has been looked at."""
    try:
        head = json.loads(path.read_text())
        trees = path.with_suffix(".ubj").read_bytes()
    except (OSError, ValueError) as error:
        raise TuneError(f"{path} cannot be read as a model of costs: {error}") from error
    if problem := _problem_of_head(head, trees):
        raise TuneError(f"{path} {problem}: train it anew")
    return head, trees


def _problem_of_head(head: object, trees: bytes) -> str | None:
    if not isinstance(head, dict) or head.get("version") != _VERSION:
        return f"must be a model of version {_VERSION}"
    names = head.get("features")
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return "must list the names of its features"
    if not all(isinstance(head.get(name), float) for name in ("slope", "offset", "probe")):
        return "must have the numbers slope, offset and probe"
    if head.get("sha256") != hashlib.sha256(trees).hexdigest():
        return "must lie beside its own trees, not those of another model"
    return None
