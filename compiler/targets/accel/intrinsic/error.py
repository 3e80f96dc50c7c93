"""Why a loop nest is not one instruction."""

from enum import IntEnum

from tilewright.numerics.error import TilewrightError


class MatchProgress(IntEnum):
    """How far a loop nest agrees with an intrinsic before the first difference."""

    EXPRESSION = 0
    ACCESS = 1
    LANES = 2
    LOOPS = 3
    LIMITS = 4


class MismatchError(TilewrightError):
    """A loop nest that an intrinsic does not stand for: the first difference.

    Members:
        progress: how far it agreed.
    """

    def __init__(self, text: str, progress: MatchProgress) -> None:
        super().__init__(text)
        self.progress = progress
