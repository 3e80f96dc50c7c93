"""What a measurement came to."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from tilewright.tune.error import TuneError


class Kind(StrEnum):
    """How a measurement ended.

    Members:
        OK: the answer was right; only this has a cost.
        REFUSED: the point cannot be used: it does not fit, or the compiler says why not.
        WRONG: the answer was not that of the meaning.
        TIMEOUT: it took too long and was stopped.
        CRASHED: the process that measured it died, or an error came that nobody foresaw.
        LOST: the machine that measured it went away; it may be measured again.
    """

    OK = "ok"
    REFUSED = "refused"
    WRONG = "wrong"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of one measurement.

    Members:
        kind: how it ended.
        cost: cycles or seconds, as the task counts, above 0; None unless `kind` is OK.
        detail: why not, in one line; empty if OK.
        seconds: that measuring took.
        worker: who measured it; empty for this process.

    Raises:
        TuneError: if there is a cost and the kind is not OK, or the reverse, or it is no positive number.
    """

    kind: Kind
    cost: float | None = None
    detail: str = ""
    seconds: float = 0.0
    worker: str = ""

    def __post_init__(self) -> None:
        if (self.cost is not None) != (self.kind is Kind.OK):
            raise TuneError(
                f"an outcome must have a cost if it is ok, and else none, not {self.cost!r} and {self.kind}"
            )
        # Timers of other tuners gave 0, and logarithms of it ended their runs.
        if self.cost is not None and not (isfinite(self.cost) and self.cost > 0):
            raise TuneError(f"a cost must be a number above 0, not {self.cost!r}")

    @property
    def is_final(self) -> bool:
        """Whether measuring again would tell nothing new."""
        return self.kind is not Kind.LOST
