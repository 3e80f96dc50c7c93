"""Figures of a network that is trained for its integers: epoch by epoch, and of the integers in the end."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tilewright.api.accuracy import finite_fields
from tilewright.compiler.network.budget import Agreement


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """How good a network is, with what integers leave of its values.

    Members:
        loss: what training makes small: the noise as a share of the signal, or the cross-entropy of labels.
        agreement: of the network's ends with those of floats.
        right_share: of the samples, those whose largest end is at their label; None without labels.
    """

    loss: float
    agreement: Agreement
    right_share: float | None = None

    def __str__(self) -> str:
        right = "" if self.right_share is None else f", {self.right_share:.2%} right"
        return f"{self.agreement.decibels:.2f} dB{right}"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the integers of a network are worth, on the samples that judge.

    Members:
        snr_db: of the network's outputs, in dB, beside those of floats.
        same_share: of the answers, those that are the same as in floats; see `Agreement`.
        right_share: those whose largest output is at their label; None without labels.
    """

    snr_db: float
    same_share: float
    right_share: float | None

    def __str__(self) -> str:
        right = "" if self.right_share is None else f", {self.right_share:.2%} right"
        return f"{self.snr_db:.2f} dB, {self.same_share:.2%} of the answers the same{right}"

    def to_json(self) -> Mapping[str, Any]:
        """What `json.dumps` can write: infinite decibels are None."""
        return finite_fields(asdict(self))


@dataclass(frozen=True, kw_only=True)
class FinetuneEpoch:
    """A pass over all samples.

    Members:
        number: from 1; 0 is what calibration alone gives.
        loss: the mean over its steps, each before weights changed; None at 0.
        judgement: behind it, on the samples that judge.
        is_best: whether nothing before was better.
    """

    number: int
    loss: float | None
    judgement: Judgement
    is_best: bool

    def to_json(self) -> Mapping[str, Any]:
        """What `json.dumps` can write: infinite decibels are None."""
        judged = {"loss": self.judgement.loss, "right_share": self.judgement.right_share}
        agreement = self.judgement.agreement
        judged |= {"snr_db": agreement.decibels, "same_share": agreement.same_share}
        told = {"number": self.number, "loss": self.loss, "is_best": self.is_best}
        return {**told, "judgement": finite_fields(judged)}
