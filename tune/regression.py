"""Linear forms fitted to few measurements, and how wrong they are about what they have not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.tune.error import TuneError

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Relative errors of several predictions: 0.1 is ten per cent.

    Members:
        count: how many.
        mean, worst: of their amounts.
    """

    count: int
    mean: float
    worst: float

    @classmethod
    def of(cls, errors: Numbers) -> "Spread":
        """The spread of signed errors; of none, both figures are nan."""
        if not errors.size:
            return cls(count=0, mean=float("nan"), worst=float("nan"))
        amounts = np.abs(errors)
        return cls(count=errors.size, mean=float(amounts.mean()), worst=float(amounts.max()))

    def __str__(self) -> str:
        if not self.count:
            return "unknown"
        return f"{100 * self.mean:.1f} % (worst {100 * self.worst:.1f} %, of {self.count})"


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A weighted sum of terms.

    Members:
        terms: their names.
        weights: none is below 0: no term gives room back.
    """

    terms: tuple[str, ...]
    weights: tuple[float, ...]

    def sums(self, values: Numbers) -> Numbers:
        """The sums (points,) of values (points, terms)."""
        # Not a product of matrices: its last bits depend on how many points come together.
        sums: Numbers = (values * np.asarray(self.weights)).sum(axis=1)
        return sums

    @classmethod
    def fitted(cls, terms: Sequence[str], sample: "Sample") -> "Regression":
        """The weights with the least squares of relative errors.

        Raises:
            TuneError: if there are fewer points than terms.
        """
        if len(sample.measured) < len(terms):
            raise TuneError(f"{len(terms)} terms need as many measurements, not {len(sample.measured)}")
        scale = sample.measured[:, None]
        rest = (sample.measured - sample.known) / sample.measured
        return cls(terms=tuple(terms), weights=tuple(_least_squares(sample.values / scale, rest).tolist()))

    def errors(self, sample: "Sample") -> Numbers:
        """Relative errors (points,), above 0 where the form says too much."""
        return (self.sums(sample.values) + sample.known) / sample.measured - 1


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Points that were measured.

    Members:
        values: (points, terms) what the form weighs.
        known: (points,) what of the measurement needs no weights.
        measured: (points,), above 0.
    """

    values: Numbers
    known: Numbers
    measured: Numbers

    def __getitem__(self, chosen: NDArray[np.bool_]) -> "Sample":
        """Some of the points."""
        return Sample(values=self.values[chosen], known=self.known[chosen], measured=self.measured[chosen])


def leave_one_out(terms: Sequence[str], sample: Sample) -> Numbers:
    """Relative errors (points,): each point's by the form that was fitted to all others.

    None if those others would be fewer than the terms.
    """
    if len(sample.measured) <= len(terms):
        return np.array([])
    places = np.arange(len(sample.measured))
    return np.concatenate(
        [Regression.fitted(terms, sample[places != left]).errors(sample[places == left]) for left in places]
    )


def _least_squares(values: Numbers, sums: Numbers) -> Numbers:
    """Weights of columns, none below 0: the furthest below goes until none is."""
    # In one scale: the rank is judged by it.
    scale = np.maximum(np.abs(values).max(axis=0), np.finfo(float).tiny)
    kept = np.ones(values.shape[1], dtype=bool)
    weights = np.zeros(values.shape[1])
    while kept.any():
        weights[:] = 0
        weights[kept] = np.linalg.lstsq(values[:, kept] / scale[kept], sums, rcond=None)[0]
        if weights.min() >= 0:
            break
        kept[weights.argmin()] = False
    result: Numbers = weights / scale
    return result
