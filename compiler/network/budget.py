"""How far the outputs of a network of integers may be from those of floats."""

import math
import re
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.quantise.calibration import Samples
from tilewright.compiler.quantise.distance import decibels, noise_share
from tilewright.numerics.error import TilewrightError

_SEQUENCE_RANK = 3
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(dB|%)", re.IGNORECASE)


class BudgetError(TilewrightError):
    """A budget that is none."""


@dataclass(frozen=True)
class Agreement:
    """Outputs of integers beside those of floats, on samples.

    Members:
        decibels: 10 log10 of the ratio of signal to noise; infinite without noise.
        same_share: of the answers, those that stay: which element of its kind is the largest. A classifier
            gives one a sample, [n, kinds], a sequence one a step, [n, steps, kinds], and what has rows and
            columns one a pixel, [n, kinds, rows, columns]; of several outputs the worst one counts.
    """

    decibels: float
    same_share: float

    def __str__(self) -> str:
        return f"{self.decibels:.1f} dB, {self.same_share:.1%} of the answers the same"

    @staticmethod
    def of(expected: Samples, found: Samples) -> "Agreement":
        """The agreement of outputs by name."""
        same = [_same_shares(array, found[name]) for name, array in expected.items()]
        worst = np.minimum.reduce(same)
        return Agreement(decibels(noise_share(expected, found)), float(worst.mean()))


@dataclass(frozen=True)
class AccuracyBudget:
    """What a network may lose: a least ratio of signal to noise, or a most share of other answers.

    Members:
        least_decibels: of all outputs.
        most_other: the share of answers that are others than in floats, as `Agreement` counts them.
    """

    least_decibels: float = -math.inf
    most_other: float = 1.0

    def holds(self, agreement: Agreement) -> bool:
        """Whether outputs that agree so are within the budget."""
        enough = agreement.decibels >= self.least_decibels
        # Shares are of whole answers: rounding of the difference must not count as one.
        return enough and 1 - agreement.same_share <= self.most_other + 1e-9

    def __str__(self) -> str:
        return f"{self.least_decibels:g} dB" if self.most_other == 1.0 else f"{100 * self.most_other:g} %"


def parse_budget(text: str) -> AccuracyBudget:
    """A budget of its text: "30dB", or "1%".

    Raises:
        BudgetError: if it is neither.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None or (found[2] == "%" and float(found[1]) > 100):
        raise BudgetError(
            f"accuracy budget must be decibels of the outputs (30dB), or the share of answers that may be "
            f"others (1%), not {text!r}"
        )
    number = float(found[1])
    return AccuracyBudget(most_other=number / 100) if found[2] == "%" else AccuracyBudget(number)


def _same_shares(expected: Array, found: Array) -> Array:
    """Of each sample the share of answers that are the same, float64 [n]."""
    one, other = (_answers(array) for array in (expected, found))
    shares: Array = (one == other).reshape(len(one), -1).mean(axis=1)
    return shares


def _answers(array: Array) -> Array:
    """Which element is the largest, of each kind that is alternative to others [n, …]."""
    if array.ndim < 2:
        return np.zeros(len(array), np.int64)
    answers: Array = array.argmax(axis=-1 if array.ndim <= _SEQUENCE_RANK else 1)
    return answers
